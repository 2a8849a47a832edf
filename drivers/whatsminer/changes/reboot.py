"""The reboot: asked for once, then watched until the control board counts from the start again."""

from __future__ import annotations

from typing import Any, Final

from contract.clock import to_text
from contract.errors import MinerError, PolicyRefusedError
from drivers.base import Effect, Evidence, Plan, Reboot
from drivers.changes.hashing import is_hashing
from drivers.changes.reboot import Signs, Verdict, judge
from drivers.changes.uptime import turn_of
from drivers.changes.verification import evidence, is_silent
from drivers.reading.values import rate_text
from drivers.watch import OUTAGE_NOTE, Watch, was_away, watch_port
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, api_port, forget_login, give

_QUIET_S: Final = 3.0
_PROBE_EVERY_S: Final = 3.0
_LOOK_EACH_PROBES: Final = 5


async def plan(miner: Subject, change: Reboot) -> Plan:
    """See how long board and process have been running. Raises PolicyRefusedError while it hashes, unless forced."""
    now = await state.look(miner)
    works = await is_hashing(miner, now.hashrate_hs)
    if works and not change.force and not miner.allow_plain_reboot:
        rate = now.hashrate_hs or 0.0
        raise PolicyRefusedError(
            f"it is hashing ({rate_text(rate)}): a reboot would cost that work; repeat with force to do it anyway"
        )
    before = {
        "uptime_s": now.uptime_s,
        "elapsed_s": now.elapsed_s,
        "hashrate_hs": now.hashrate_hs,
        "hashing": works,
        "read_at": to_text(miner.clock.now()),
    }
    return Plan(change=change, before=before)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Send the order once. Most miners are gone before they answer."""
    del plan
    try:
        await give(miner, effect, v2={"cmd": "reboot"}, v3=("set.system.reboot", None))
    finally:
        forget_login(miner)
        miner.wire.quiet_for(miner.timing.device_s(_QUIET_S))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Watch its API go and come back, then its clocks begin anew."""
    watch = Watch(miner, effect)
    probes = 0
    while True:
        await watch_port(miner, api_port(miner), effect, watch, give_up_s=proofs.BOOT.latest_s)
        probes += 1
        # Until it goes down a bare connect is enough.
        is_down_awaited = not was_away(effect) and watch.device_s < proofs.OUTAGE.latest_s
        if is_down_awaited and probes % _LOOK_EACH_PROBES != 1:
            await watch.pause(_PROBE_EVERY_S)
            continue
        try:
            now = await state.look(miner)
        except MinerError as error:
            if not is_silent(error):
                reason = f"could not look again: {error}"
                return evidence(plan, watch, "unknown", "none", {}, reason=reason)
            now = state.State()
        verdict = judge_clocks(plan, effect, watch, now)
        if verdict is not None:
            return _evidence(plan, effect, watch, now, verdict)
        await watch.pause(_PROBE_EVERY_S)


def judge_clocks(plan: Plan, effect: Effect, watch: Watch, now: state.State) -> Verdict | None:
    """What the clocks and the outage say, or `None` while it is too early."""
    before, since_s, slack_s = plan.before, watch.since_s, watch.slack_s
    ahead_s = watch.ahead_s(before.get("read_at"))  # a plan may wait for its turn

    def then(key: str) -> float | None:
        value = before.get(key)
        return None if value is None else value + ahead_s

    signs = Signs(
        since_s=watch.device_s,
        is_timed=since_s is not None,
        process=turn_of(then("elapsed_s"), now.elapsed_s, since_s, slack_s),
        system=turn_of(then("uptime_s"), now.uptime_s, since_s, slack_s),
        has_outage=was_away(effect),  # the API daemon outlives the mining process
        answers=now.elapsed_s is not None or now.uptime_s is not None,
    )
    return judge(signs, outage=proofs.OUTAGE, boot=proofs.BOOT)


def _evidence(
    plan: Plan, effect: Effect, watch: Watch, now: state.State, verdict: Verdict
) -> Evidence:
    after: dict[str, Any] = {"uptime_s": now.uptime_s, "elapsed_s": now.elapsed_s}
    if OUTAGE_NOTE in effect.notes:
        after["outage_at"] = effect.notes[OUTAGE_NOTE]
    return evidence(plan, watch, verdict.outcome, verdict.signal, after, reason=verdict.reason)
