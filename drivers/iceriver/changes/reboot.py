"""The reboot: asked for once, then watched until the miner counts its running time from the start again.

That count is the mining daemon's. That the whole device restarted shows by its web server, another process, being away
meanwhile.
"""

from __future__ import annotations

from typing import Any, Final

from contract.clock import to_text
from contract.errors import MinerError, PolicyRefusedError
from contract.miner import PowerMode
from drivers.base import Effect, Evidence, Plan, Reboot
from drivers.changes.hashing import is_hashing
from drivers.changes.reboot import Signs, Verdict, judge
from drivers.changes.uptime import Turn, turn_of
from drivers.changes.verification import evidence, is_silent
from drivers.iceriver import proofs
from drivers.iceriver.changes import state
from drivers.iceriver.changes.orders import Subject
from drivers.iceriver.protocol.web import REBOOT
from drivers.reading.values import rate_text
from drivers.watch import OUTAGE_NOTE, Watch, was_away, watch_port

ANSWERED_NOTE: Final = "answered"  # the miner took the order
_QUIET_S: Final = 3.0
_PROBE_EVERY_S: Final = 3.0
_LOOK_EACH_PROBES: Final = 10  # a look costs its web server memory that it never gets back


async def plan(miner: Subject, change: Reboot) -> Plan:
    """See how long it has been running. Raises PolicyRefusedError while it hashes, unless forced.

    The rate is an average over 5 minutes, so a miner that stopped just now still counts as hashing unless it says that
    it sleeps, and one that began just now does not yet.
    """
    now = await state.look(miner)
    rate_hs = now.hashrate_hs or 0.0
    works = await is_hashing(miner, rate_hs)
    if works and state.rests(now):
        works = not await _is_asleep(miner)
    if works and not change.force and not miner.allow_plain_reboot:
        raise PolicyRefusedError(
            f"it is hashing ({rate_text(rate_hs)} over 5 minutes): a reboot would cost that work; "
            "repeat with force to do it anyway"
        )
    before = {
        "elapsed_s": now.runtime_s,
        "hashrate_5m_hs": now.hashrate_hs,
        "hashing": works,
        "read_at": to_text(miner.clock.now()),
    }
    return Plan(change=change, before=before)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Send the order once. Most miners are gone before they answer."""
    del plan
    await restart(miner, effect)
    await effect.note(ANSWERED_NOTE, True)


async def restart(miner: Subject, effect: Effect) -> None:
    """The order itself. Raises as `Web.order`."""
    try:
        await miner.web.order(*REBOOT, {}, effect)
    finally:
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Watch its web server go and come back, then its running time begin anew."""
    watch = Watch(miner, effect)
    began_late = watch.device_s > proofs.RUNTIME.earliest_s
    probes = 0
    while True:
        await watch_port(
            miner, miner.endpoint.http_port, effect, watch, give_up_s=proofs.RUNTIME.latest_s
        )
        probes += 1
        # Until it goes down a bare connect is enough.
        is_down_awaited = not was_away(effect) and watch.device_s < proofs.OUTAGE.latest_s
        if is_down_awaited and not began_late and probes % _LOOK_EACH_PROBES != 1:
            await watch.pause(_PROBE_EVERY_S)
            continue
        try:
            now = await state.look(miner)
        except MinerError as error:
            if not is_silent(error):
                reason = f"could not look again: {error}"
                return evidence(plan, watch, "unknown", "none", {}, reason=reason)
            now = state.State()
        verdict = judge_runtime(plan, effect, watch, now, began_late=began_late)
        if verdict is not None:
            return _evidence(plan, effect, watch, now, verdict)
        await watch.pause(_PROBE_EVERY_S)


def judge_runtime(
    plan: Plan, effect: Effect, watch: Watch, now: state.State, *, began_late: bool
) -> Verdict | None:
    """What the running time and the outage say, or `None` while it is too early.

    `began_late`: nobody looked when the outage was to be seen, so its absence says nothing. Then a running time that
    began anew is the proof, if the miner is known to have taken the order: some restart by themselves every half hour.
    """
    elapsed_s = plan.before.get("elapsed_s")
    if elapsed_s is not None:
        elapsed_s += watch.ahead_s(plan.before.get("read_at"))  # a plan may wait for its turn
    turn = turn_of(elapsed_s, now.runtime_s, watch.since_s, watch.slack_s)
    if began_late and turn is Turn.RESTARTED and effect.notes.get(ANSWERED_NOTE):
        return Verdict(outcome="done", signal=proofs.RUNTIME.signal)
    signs = Signs(
        since_s=watch.device_s,
        is_timed=watch.since_s is not None,
        process=turn,
        system=Turn.UNCLEAR,  # no IceRiver tells the time since its boot
        has_outage=was_away(effect),  # a dead web server alone restarts no daemon
        answers=now.runtime_s is not None,
    )
    return judge(signs, outage=proofs.OUTAGE, boot=proofs.RUNTIME, counter="runtime")


async def _is_asleep(miner: Subject) -> bool:
    """Whether it says so; one that does not tell counts as awake."""
    try:
        return (await state.config(miner)).mode is PowerMode.SLEEP
    except MinerError as error:
        if not is_silent(error):
            raise
        return False


def _evidence(
    plan: Plan, effect: Effect, watch: Watch, now: state.State, verdict: Verdict
) -> Evidence:
    after: dict[str, Any] = {"elapsed_s": now.runtime_s}
    if OUTAGE_NOTE in effect.notes:
        after["outage_at"] = effect.notes[OUTAGE_NOTE]
    return evidence(plan, watch, verdict.outcome, verdict.signal, after, reason=verdict.reason)
