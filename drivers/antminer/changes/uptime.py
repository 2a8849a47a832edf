"""What the words of a system's uptime say about whether it rebooted. No I/O: facts in, a word out.

The script of old firmware cuts the third word out of `uptime`, and with it the unit.
"""

from __future__ import annotations

import re

from drivers.changes.uptime import CounterSign


def system_sign(
    before: str | None, now: str | None, since_s: float | None, slack_s: float
) -> CounterSign:
    """What the system's uptime shows. Its words are ambiguous, so only what holds for every reading counts.

    `since_s` as in `drivers.changes.uptime.sign_of`.
    """
    then = boot_uptimes_s(before)
    present = boot_uptimes_s(now)
    if not present:
        return CounterSign.UNCLEAR
    slack_s += 60.0  # counted in whole minutes
    if since_s is None:
        went_back = bool(then) and all(
            most + slack_s < least_then for _, most in present for least_then, _ in then
        )
        return CounterSign.RESTARTED if went_back else CounterSign.UNCLEAR
    could_run_on = not then or any(
        least <= most_then + since_s + slack_s and most >= least_then + since_s - slack_s
        for least, most in present
        for least_then, most_then in then
    )
    if all(least > since_s + slack_s for least, _ in present):
        # It began before the order. One that is far from where it was then is no witness of either.
        return CounterSign.RUNS_ON if could_run_on else CounterSign.UNCLEAR
    if could_run_on:
        return CounterSign.UNCLEAR
    return (
        CounterSign.RESTARTED
        if any(least <= since_s + slack_s for least, _ in present)
        else CounterSign.UNCLEAR
    )


def boot_uptimes_s(text: object) -> tuple[tuple[float, float], ...]:
    """What the old firmware's `uptime` may mean, as (least, most) seconds since boot.

    The script cuts the third word out of `uptime`, and with it the unit: `5:13` is hours and
    minutes, but `25` is 25 minutes or 25 days.
    """
    if not isinstance(text, str | int):
        return ()
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", str(text).strip())
    if clock:
        least = int(clock[1]) * 3600 + int(clock[2]) * 60
        return ((least, least + 60.0),)
    if re.fullmatch(r"\d{1,5}", str(text).strip()):
        number = int(str(text))
        days = (number * 86400.0, (number + 1) * 86400.0)
        return ((number * 60.0, number * 60.0 + 60.0), days) if number < 60 else (days,)
    return ()
