"""Whether a miner rebooted: the verdict from its counters and its silence. No I/O: signs in, a word out."""

from __future__ import annotations

import msgspec

from drivers.base import Proof
from drivers.changes.uptime import Turn


class Signs(msgspec.Struct, frozen=True, kw_only=True):
    """What is seen `since_s` device seconds after the order; at least so many where that is not known (`is_timed`)."""

    since_s: float
    is_timed: bool = True
    process: Turn  # what the mining process' own count shows
    system: Turn  # what the count since boot shows, where the miner tells it
    has_outage: bool  # a port that does not belong to the mining process was away
    answers: bool  # any counter could be read


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome` and `signal` as in the evidence."""

    outcome: str
    signal: str
    reason: str | None = None


def judge(signs: Signs, *, outage: Proof, boot: Proof, counter: str = "Elapsed") -> Verdict | None:
    """The verdict, or `None` while it is too early to say.

    `outage` and `boot` are the make's own proofs: until the first one's latest time the miner may still go down,
    until the second one's it may still come back. `counter` is what the make calls its process' own count.
    """
    if signs.system is Turn.RESTARTED and (signs.has_outage or signs.process is Turn.RESTARTED):
        return Verdict(outcome="done", signal=boot.signal)
    if signs.has_outage and signs.process is Turn.RESTARTED and signs.system is not Turn.RUNS_ON:
        return Verdict(outcome="done", signal=outage.signal)
    if signs.since_s < outage.latest_s:
        return None
    # It has been running since before the order, and what was ordered would have begun by now.
    if not signs.has_outage and signs.system is Turn.RUNS_ON:
        return _not_done(boot.signal)
    if (
        not signs.has_outage
        and signs.process is Turn.RUNS_ON
        and signs.system is not Turn.RESTARTED
    ):
        return _not_done(f"{counter} runs on")
    if signs.since_s < boot.latest_s and (signs.has_outage or signs.process is not Turn.RESTARTED):
        return None  # still booting, or about to
    return _unknown(_why_unknown(signs))


def _why_unknown(signs: Signs) -> str:
    if not signs.has_outage and signs.process is Turn.RESTARTED:
        return (
            "the mining process began anew since the order, but nobody saw the device go down: "
            "it rebooted, or only its process restarted"
        )
    if not signs.answers:
        where = (
            "went down and did not come back" if signs.has_outage else "does not answer any more"
        )
        return f"the miner {where}: check it on site"
    if not signs.is_timed:
        return (
            "the host of the agent was restarted since the order, so the miner's clocks "
            "cannot be compared with ours: look at the miner"
        )
    return "the miner's own clocks contradict each other or the outage seen"


def _not_done(signal: str) -> Verdict:
    return Verdict(outcome="not_done", signal=signal, reason="the miner did not reboot")


def _unknown(reason: str) -> Verdict:
    return Verdict(outcome="unknown", signal="none", reason=reason)
