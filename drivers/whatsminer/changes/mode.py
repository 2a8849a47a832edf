"""The power mode: believed once the miner reports it and its mining process began anew with it."""

from __future__ import annotations

from typing import Final

from contract.clock import to_text
from contract.errors import MinerError, UnsupportedModeError
from contract.miner import PowerMode
from drivers.base import Depth, Effect, Evidence, Mode, NoChange, Plan
from drivers.changes.power import raises_power
from drivers.changes.uptime import Turn, turn_of
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, give
from drivers.whatsminer.changes.suspend import wake

_LOOK_EVERY_S: Final = 5.0
_HIGH_FAULTS: Final = ("218", "610")  # input under 230 V, ambient too hot


async def plan(miner: Subject, change: Mode) -> Plan | NoChange:
    """Read the mode. The order restarts the mining process even into the mode it has, so then it is not given.

    Raises UnsupportedModeError for what WhatsMiners have not.
    """
    wanted = wanted_mode(change)
    now = await state.settled(miner)
    before = state.shown(now) | {"read_at": to_text(miner.clock.now())}
    is_off = now.mining is False
    if now.mode is wanted and now.is_up and not is_off:
        return NoChange(change=change, before=before)
    is_hashing = now.is_up and not is_off and bool(now.hashrate_hs)
    raises = raises_power(now.mode if is_hashing else None, wanted)
    # One that is down without having been told so does not show its mode by being switched on.
    is_to_set = now.mode is not wanted or not is_off
    data = {"mode": wanted.value, "wake": is_off, "set": is_to_set}
    return Plan(change=change, before=before, data=data, raises_power=raises)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Wake it if it is switched off, then give the order, where it has another mode."""
    if plan.data["wake"]:
        await wake(miner, effect)
    if plan.data["set"]:
        word = plan.data["mode"]
        order = {"cmd": f"set_{word}_power"}
        await give(miner, effect, v2=order, v3=("set.miner.power_mode", word))


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Look until the miner reports the mode and its process is younger than the order."""
    watch = Watch(miner, effect)
    wanted = PowerMode(plan.data["mode"])
    now: state.State | None = None
    trouble: MinerError | None = None
    turn = Turn.UNCLEAR
    while True:
        try:
            now, trouble = await state.look(miner), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        else:
            turn = _turn(plan, watch, now)
            if now.mode is wanted and now.is_up and turn is Turn.RESTARTED:
                return evidence(plan, watch, "done", proofs.MODE.signal, state.shown(now))
        if watch.device_s >= proofs.MODE.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    if now is None or trouble is not None:
        reason = f"could not look again: {trouble}"
        return evidence(plan, watch, "unknown", "none", state.shown(now), reason=reason)
    if now.mode is wanted:
        return evidence(
            plan, watch, "unknown", "none", state.shown(now), reason=_why(now, wanted, turn)
        )
    if not now.is_up or now.mode is None:
        reason = "its mining process did not come back in time, so its mode cannot be told"
        return evidence(plan, watch, "unknown", "none", state.shown(now), reason=reason)
    reason = f"the miner stays in mode {now.mode}" + await _fault(miner, wanted)
    return evidence(plan, watch, "not_done", "reported power mode", state.shown(now), reason=reason)


def wanted_mode(change: Mode) -> PowerMode:
    """The mode asked for. Raises UnsupportedModeError for one that no WhatsMiner has."""
    if change.mode is PowerMode.SLEEP:
        raise UnsupportedModeError(
            "WhatsMiners have no sleep mode: use low, normal or high; "
            "their mining is switched off only where a Mining Rig Monitor wishes it"
        )
    if change.mode is None:
        raise UnsupportedModeError(
            f"WhatsMiners have no mode {change.preset}: use low, normal or high"
        )
    return change.mode


def _turn(plan: Plan, watch: Watch, now: state.State) -> Turn:
    elapsed_s = plan.before.get("elapsed_s")
    if elapsed_s is not None:
        elapsed_s += watch.ahead_s(plan.before.get("read_at"))  # a plan may wait for its turn
    return turn_of(elapsed_s, now.elapsed_s, watch.since_s, watch.slack_s)


def _why(now: state.State, wanted: PowerMode, turn: Turn) -> str:
    if now.mining is False:
        return f"{wanted} is stored, but the miner is switched off"
    if not now.is_up:
        return f"{wanted} is stored, but its mining process did not come back in time"
    if turn is Turn.RUNS_ON:
        return f"{wanted} is stored, but its mining process was not restarted: it may take it at its next start"
    return (
        f"{wanted} is reported, but the miner's own clock does not show that its process began anew"
    )


async def _fault(miner: Subject, wanted: PowerMode) -> str:
    """What the miner itself says about why it cannot run so."""
    if wanted is not PowerMode.HIGH:
        return ""
    try:
        slow = (await miner.read(Depth.SLOW)).slow
    except MinerError:
        return ""  # the mode has spoken; this was only for a better word
    named = [fault for fault in (slow.faults if slow else ()) if fault.code in _HIGH_FAULTS]
    return "".join(f"; it reports {fault.code}: {fault.text}" for fault in named[:1])
