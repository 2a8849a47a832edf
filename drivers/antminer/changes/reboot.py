"""The reboot: asked for once, then watched from silence to the first seconds of the new life."""

from __future__ import annotations

from typing import Any, Final

from contract.clock import to_text
from contract.errors import MinerError, PolicyRefusedError, UnsupportedError
from contract.miner import Reading
from drivers.antminer import proofs
from drivers.antminer.changes.orders import Subject, is_old, system_info
from drivers.antminer.changes.orders import judge as judge_answer
from drivers.antminer.changes.uptime import Clocks, system_turn
from drivers.base import Depth, Effect, Evidence, Plan, Reboot
from drivers.changes.hashing import HASHING_SHARE
from drivers.changes.reboot import Signs, Verdict, judge
from drivers.changes.uptime import turn_of
from drivers.changes.verification import evidence, is_silent
from drivers.reading.values import rate_text
from drivers.watch import OUTAGE_NOTE, Watch, was_away, watch_port

_QUIET_S: Final = 10.0
_PROBE_EVERY_S: Final = 3.0
_LOOK_EACH_PROBES: Final = 10


async def plan(miner: Subject, change: Reboot) -> Plan:
    """See how long it has been running, and that its web side takes our password.

    Raises PolicyRefusedError while it hashes, unless forced.
    """
    info = await system_info(miner)
    reading = await reading_or_none(miner)
    is_hashing = _is_hashing(miner, reading)
    if is_hashing and not change.force and not miner.allow_plain_reboot:
        assert reading is not None
        rate = reading.moving.hashrate_hs
        told = "at a rate in doubt" if rate is None else rate_text(rate)
        raise PolicyRefusedError(
            f"it is hashing ({told}): a reboot would cost that work; repeat with force to do it anyway"
        )
    clocks = clocks_of(miner, info, reading)
    before = {
        "elapsed_s": clocks.elapsed_s,
        "system_uptime": clocks.system,
        "hashrate_hs": reading.moving.hashrate_hs if reading else None,
        "hashing": is_hashing,
        "read_at": to_text(miner.clock.now()),
    }
    return Plan(change=change, before=before)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Send the order once. GET first; some builds want a POST and say so without doing anything."""
    del plan
    try:
        for method in ("GET", "POST"):
            response = await miner.cgi.act(method, "reboot.cgi", b"", effect)
            if is_refused_method(response.status) and method == "GET":
                continue
            if response.status == 404:
                raise UnsupportedError("this firmware has no reboot.cgi")
            judge_answer(response, "reboot.cgi")
            return
    finally:
        # Within a second or so another order would overwrite this one in the miner's mailbox.
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Watch the web port go and come back, then the clocks begin anew."""
    watch = Watch(miner, effect)
    probes = 0
    while True:
        await watch_port(
            miner, miner.endpoint.http_port, effect, watch, give_up_s=proofs.BOOT.latest_s
        )
        probes += 1
        # Until it goes down, a bare connect is enough; a script costs an old board seconds.
        is_down_awaited = (
            OUTAGE_NOTE not in effect.notes and watch.device_s < proofs.OUTAGE.latest_s
        )
        if is_down_awaited and probes % _LOOK_EACH_PROBES != 1:
            await watch.pause(_PROBE_EVERY_S)
            continue
        try:
            info = await system_info(miner)
            clocks = clocks_of(miner, info, await reading_or_none(miner))
        except MinerError as error:
            if not is_silent(error):
                return evidence(
                    plan, watch, "unknown", "none", {}, reason=f"could not look again: {error}"
                )
            clocks = Clocks()
        verdict = judge_clocks(plan, effect, watch, clocks)
        after = {"elapsed_s": clocks.elapsed_s, "system_uptime": clocks.system}
        if OUTAGE_NOTE in effect.notes:
            after["outage_at"] = effect.notes[OUTAGE_NOTE]
        if verdict is not None:
            return evidence(
                plan, watch, verdict.outcome, verdict.signal, after, reason=verdict.reason
            )
        await watch.pause(_PROBE_EVERY_S)


def judge_clocks(plan: Plan, effect: Effect, watch: Watch, clocks: Clocks) -> Verdict | None:
    """What the clocks and the outage say, or `None` while it is too early."""
    before, since_s, slack_s = plan.before, watch.since_s, watch.slack_s
    elapsed_s = before.get("elapsed_s")
    if elapsed_s is not None:
        elapsed_s += watch.ahead_s(before.get("read_at"))  # a plan may wait for its turn
    signs = Signs(
        since_s=watch.device_s,
        is_timed=since_s is not None,
        process=turn_of(elapsed_s, clocks.elapsed_s, since_s, slack_s),
        system=system_turn(before.get("system_uptime"), clocks.system, since_s, slack_s),
        has_outage=was_away(effect),  # the watchdog of a mining process leaves the web server alone
        answers=clocks.elapsed_s is not None or clocks.system is not None,
    )
    return judge(signs, outage=proofs.OUTAGE, boot=proofs.BOOT)


def is_refused_method(status: int) -> bool:
    """Whether a status says that the script is not there under this method: nothing was executed."""
    return status in (404, 405)


def clocks_of(miner: Subject, info: dict[str, Any], reading: Reading | None) -> Clocks:
    """The clocks as read. Only the old generation tells its system's uptime."""
    return Clocks(
        elapsed_s=reading.moving.uptime_s if reading else None,
        system=_text(info.get("uptime")) if is_old(miner) else None,
    )


async def reading_or_none(miner: Subject) -> Reading | None:
    """What runs now; `None` while the mining process is down."""
    try:
        return await miner.read(Depth.MOVING)
    except MinerError as error:
        if not is_silent(error):
            raise
        return None


def _is_hashing(miner: Subject, reading: Reading | None) -> bool:
    """Whether it works: over 5 % of its ideal rate. What cannot be read counts as not hashing."""
    if reading is None:
        return False
    rate_hs = reading.moving.hashrate_hs
    if rate_hs is None:
        return reading.moving.hashes
    return rate_hs > HASHING_SHARE * (miner.ideal_hs or 0.0)


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and str(value) else None
