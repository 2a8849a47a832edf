"""What the clocks inside a miner say about whether it restarted. No I/O: facts in, a word out.

A process restart is not a reboot; only the system's own uptime (old generation) or an outage of the web
server, which does not belong to the mining process, shows one.
"""

from __future__ import annotations

import msgspec

from drivers.antminer.changes.orders import boot_uptimes_s
from drivers.changes.uptime import Turn


class Clocks(msgspec.Struct, frozen=True, kw_only=True):
    """The clocks of a miner at one moment: seconds of its mining process, words of its system's uptime."""

    elapsed_s: float | None = None
    system: str | None = None


def system_turn(before: str | None, now: str | None, since_s: float | None, slack_s: float) -> Turn:
    """What the system's uptime shows. Its words are ambiguous, so only what holds for every reading counts.

    `since_s` as in `drivers.changes.uptime.turn_of`.
    """
    then = boot_uptimes_s(before)
    present = boot_uptimes_s(now)
    if not present:
        return Turn.UNCLEAR
    slack_s += 60.0  # counted in whole minutes
    if since_s is None:
        went_back = bool(then) and all(
            most + slack_s < least_then for _, most in present for least_then, _ in then
        )
        return Turn.RESTARTED if went_back else Turn.UNCLEAR
    if all(least > since_s + slack_s for least, _ in present):
        return Turn.RUNS_ON
    could_run_on = not then or any(
        least <= most_then + since_s + slack_s and most >= least_then + since_s - slack_s
        for least, most in present
        for least_then, most_then in then
    )
    if could_run_on:
        return Turn.UNCLEAR
    return (
        Turn.RESTARTED if any(least <= since_s + slack_s for least, _ in present) else Turn.UNCLEAR
    )
