"""Mining switched off and on again; the control board stays up. What is stored as the power mode stays too."""

from __future__ import annotations

from typing import Final

from contract.errors import MinerError, OutcomeUnknownError
from drivers.base import Effect, Evidence, NoChange, Plan, Resume, Suspend
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch, pause
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, give
from drivers.whatsminer.models import COMPAT

_LOOK_EVERY_S: Final = 5.0
_WAKES_WITHIN_S: Final = 60.0
_OFF: Final = {"cmd": "power_off", "respbefore": "true"}  # a text; a JSON true is not understood
_ON: Final = {"cmd": "power_on"}
_SERVICE: Final = "set.miner.service"


async def plan(miner: Subject, change: Suspend | Resume) -> Plan | NoChange:
    """Ask whether it is switched off now, or mines."""
    is_resume = isinstance(change, Resume)
    now = await (state.settled(miner) if is_resume else state.look(miner))
    before = state.shown(now)
    if state.is_mining(now) if is_resume else state.is_off(now):
        return NoChange(change=change, before=before)
    return Plan(change=change, before=before, raises_power=isinstance(change, Resume))


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Switch it."""
    if isinstance(plan.change, Suspend):
        await give(miner, effect, v2=_OFF, v3=(_SERVICE, "stop"))
    else:
        await give(miner, effect, v2=_ON, v3=(_SERVICE, "start"))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Look until it is switched as wished. Off must last for a while: one firmware comes back by itself."""
    watch = Watch(miner, effect)
    if isinstance(plan.change, Suspend):
        return await _stays_off(miner, plan, watch)
    return await _comes_on(miner, plan, watch)


async def wake(miner: Subject, effect: Effect) -> None:
    """Switch mining on and wait until the miner says that it is. Raises as `apply`; a lost answer may be none."""
    lost: OutcomeUnknownError | None = None
    try:
        await give(miner, effect, v2=_ON, v3=(_SERVICE, "start"))
    except OutcomeUnknownError as error:
        lost = error
    watch = Watch(miner)
    while watch.device_s < _WAKES_WITHIN_S:
        await pause(miner, _LOOK_EVERY_S)
        try:
            if (await state.look(miner)).mining:
                return
        except MinerError as error:
            if not is_silent(error):
                raise
    if lost is not None:
        raise lost


async def _stays_off(miner: Subject, plan: Plan, watch: Watch) -> Evidence:
    hold_s = proofs.HOLDS_S if miner.identity.generation == COMPAT else proofs.HOLDS_BRIEFLY_S
    off_since_s: float | None = None
    now: state.State | None = None
    trouble: MinerError | None = None
    while True:
        try:
            now, trouble = await state.look(miner), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        else:
            if state.is_off(now):
                off_since_s = watch.device_s if off_since_s is None else off_since_s
                if watch.device_s - off_since_s >= hold_s:
                    return evidence(plan, watch, "done", proofs.STOPS.signal, state.shown(now))
            elif off_since_s is not None:
                reason = (
                    "it stopped mining and began again by itself: this firmware does not keep to it by port 4028; "
                    "update the firmware, or open its API v3 (port 4433)"
                )
                return evidence(plan, watch, "unknown", "none", state.shown(now), reason=reason)
        if off_since_s is None and watch.device_s >= proofs.STOPS.latest_s:
            break
        if watch.device_s >= proofs.STOPS.latest_s + hold_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    return _ran_out(plan, watch, now, trouble)


async def _comes_on(miner: Subject, plan: Plan, watch: Watch) -> Evidence:
    now: state.State | None = None
    trouble: MinerError | None = None
    while True:
        try:
            now, trouble = await state.look(miner), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        else:
            if state.is_mining(now):
                return evidence(plan, watch, "done", proofs.STARTS.signal, state.shown(now))
        if watch.device_s >= proofs.STARTS.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    return _ran_out(plan, watch, now, trouble)


def _ran_out(
    plan: Plan, watch: Watch, now: state.State | None, trouble: MinerError | None
) -> Evidence:
    if now is None or trouble is not None:
        reason = f"could not look again: {trouble}"
        return evidence(plan, watch, "unknown", "none", state.shown(now), reason=reason)
    is_stop = isinstance(plan.change, Suspend)
    if now.mining is None or now.mining is not is_stop:
        reason = "the miner shows neither that it mines nor that it is switched off"
        return evidence(plan, watch, "unknown", "none", state.shown(now), reason=reason)
    signal = proofs.STOPS.signal if is_stop else proofs.STARTS.signal
    reason = f"the miner still {'mines' if is_stop else 'is switched off'}"
    return evidence(plan, watch, "not_done", signal, state.shown(now), reason=reason)
