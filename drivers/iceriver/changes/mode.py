"""The power mode: normal or sleep. Read back, and then believed once the hash rate follows.

Mining switched off and on (`suspend`) is the same to these miners.
"""

from __future__ import annotations

from typing import Any, Final

from contract.clock import to_text
from contract.errors import (
    BadParamsError,
    MinerError,
    RefusedError,
    UnsupportedError,
    UnsupportedModeError,
)
from contract.miner import PowerMode
from drivers.base import Effect, Evidence, Mode, NoChange, Plan, Resume, Suspend
from drivers.changes.verification import evidence, is_silent
from drivers.iceriver import proofs
from drivers.iceriver.changes import machine, pools, state
from drivers.iceriver.changes.orders import Subject
from drivers.iceriver.protocol.web import SET_FAN_AND_MODE, SET_POOLS
from drivers.reading.values import rate_text
from drivers.watch import Watch

MODES: Final = (PowerMode.SLEEP, PowerMode.NORMAL)
_LOOK_EVERY_S: Final = 5.0
_ASK_RATE_EVERY_S: Final = 20.0
_TAKEN_WITHIN_S: Final = 20.0  # a mode not taken by then was garbled on the way
_FALLEN: Final = (
    0.7  # of the rate before: an average over 5 minutes gets there after 90 s without work
)


async def plan(miner: Subject, change: Mode | Suspend | Resume) -> Plan | NoChange:
    """Read mode, fan and pools. Raises UnsupportedModeError for a mode that no IceRiver has, and then asks nothing."""
    wanted = wanted_mode(change)
    found = await state.config(miner)
    now = await state.look(miner)
    before = _shown(found, now.hashrate_hs) | {"read_at": to_text(miner.clock.now())}
    # Sleep that is stored and not obeyed is ordered once more; one that falls asleep is let do so.
    is_seen = state.rests(now) if wanted is PowerMode.SLEEP else bool(now.hashrate_hs)
    if found.mode is wanted and is_seen:
        return NoChange(change=change, before=before)
    form = machine.form(machine.texts_of(found.slots), found.ratio, wanted)
    data = {"mode": wanted.value, "form": form}
    raises = wanted is not PowerMode.SLEEP
    return Plan(change=change, before=before, data=data, raises_power=raises)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Give the order; once more when the miner, looked at, still has the other mode: one build garbles the word."""
    wanted = PowerMode(plan.data["mode"])
    await _order(miner, plan, effect)
    if await _is_refusing(miner, wanted):
        await _order(miner, plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Look until the miner has the mode, then until its hash rate follows."""
    watch = Watch(miner, effect)
    wanted = PowerMode(plan.data["mode"])
    found: state.Config | None = None
    trouble: MinerError | None = None
    while True:
        try:
            found, trouble = await state.config(miner), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        if trouble is None and found is not None and found.mode is wanted:
            return await _followed(miner, plan, watch, found, wanted)
        if watch.device_s >= proofs.MODE.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    if found is None or trouble is not None:
        reason = f"could not look again: {trouble}"
        return evidence(plan, watch, "unknown", "none", {}, reason=reason)
    after = _set(found)
    if found.mode is None:
        reason = "the miner does not tell its mode any more"
        return evidence(plan, watch, "unknown", "none", after, reason=reason)
    reason = f"the miner stays in mode {found.mode}"
    return evidence(plan, watch, "not_done", proofs.MODE.signal, after, reason=reason)


def wanted_mode(change: Mode | Suspend | Resume) -> PowerMode:
    """The mode asked for. Raises UnsupportedModeError for one that no IceRiver has."""
    if isinstance(change, Suspend):
        return PowerMode.SLEEP
    if isinstance(change, Resume):
        return PowerMode.NORMAL
    if change.mode not in MODES:
        word = change.preset if change.mode is None else change.mode
        raise UnsupportedModeError(f"IceRivers have no mode {word}: use normal or sleep")
    return change.mode


async def _order(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Set the mode alone, where this firmware can; else with fan and pools as they are.

    What an answer without `error` proves, that nothing was executed, is what makes the second order allowed.
    """
    form: dict[str, str] = plan.data["form"]
    if miner.has_mode_order is not False:
        try:
            await miner.web.order(*SET_FAN_AND_MODE, form, effect)
        except UnsupportedError:
            miner.has_mode_order = False
        else:
            miner.has_mode_order = True
            return
    await miner.web.order(*SET_POOLS, await _form_of_now(miner, plan), effect)


async def _form_of_now(miner: Subject, plan: Plan) -> dict[str, str]:
    """The form with the pools and the fan of this very moment, for this order writes them all."""
    found = await state.config(miner)
    try:
        return machine.form(
            machine.texts_of(found.slots), found.ratio, PowerMode(plan.data["mode"])
        )
    except BadParamsError as error:
        raise RefusedError(
            f"this firmware writes its pools along with its mode, and cannot write those it has: {error}; "
            "set its pools first"
        ) from None


async def _is_refusing(miner: Subject, wanted: PowerMode) -> bool:
    """Whether it certainly has the other mode after the time an order takes."""
    watch = Watch(miner)
    mode: PowerMode | None = None
    while watch.device_s < _TAKEN_WITHIN_S:
        await watch.pause(_LOOK_EVERY_S)
        try:
            mode = (await state.config(miner)).mode
        except MinerError as error:
            if not is_silent(error):
                raise
            mode = None
        if mode is wanted:
            return False
    return mode is not None


class Trend:
    """Whether the hash rate, an average over 5 minutes, goes where a mode sends it."""

    def __init__(self, wanted: PowerMode, before_hs: float | None) -> None:
        self.rate_hs: float | None = None
        self._wanted = wanted
        self._before_hs = before_hs or 0.0
        self._lowest_hs = self._before_hs

    def has_turned(self, rate_hs: float | None) -> bool:
        """Take the next rate (`None`: not readable). Asleep it falls, all the time; awake it rises above its lowest."""
        self.rate_hs = rate_hs
        if rate_hs is None:
            return False
        if self._wanted is PowerMode.SLEEP:
            return rate_hs <= _FALLEN * self._before_hs
        if rate_hs > self._lowest_hs:
            return True
        self._lowest_hs = rate_hs
        return False


async def _followed(
    miner: Subject, plan: Plan, watch: Watch, found: state.Config, wanted: PowerMode
) -> Evidence:
    """The evidence of a mode that is stored, once its hash rate shows it as well or its time is over."""
    proof = proofs.STOPS if wanted is PowerMode.SLEEP else proofs.STARTS
    trend = Trend(wanted, plan.before.get("hashrate_5m_hs"))
    while True:
        try:
            now = await state.glance(miner, "boardpow")
            has_turned = trend.has_turned(now.hashrate_hs)
        except MinerError as error:
            has_turned = trend.has_turned(None)
            if not is_silent(error):
                break
        if has_turned or watch.device_s >= proof.latest_s:
            break
        await watch.pause(_ASK_RATE_EVERY_S)
    after = _shown(found, trend.rate_hs)
    remarks: list[str] = []
    if beside := machine.changed_beside(plan.before, after, "ratio", "pools"):
        after["also_changed"] = beside
        remarks.append(f"the miner also changed {', '.join(beside)}")
    if has_turned:
        return evidence(plan, watch, "done", proof.signal, after, reason="; ".join(remarks) or None)
    # The stored mode is not the running one: only the rate shows that.
    remarks.insert(0, disobedience(wanted, trend.rate_hs))
    return evidence(plan, watch, "unknown", "none", after, reason="; ".join(remarks))


def disobedience(wanted: PowerMode, rate_hs: float | None) -> str:
    """What a miner shows that has the mode stored and does not follow."""
    if rate_hs is None:
        return f"it has the mode {wanted} stored, but its hash rate cannot be read"
    if wanted is PowerMode.SLEEP:
        return "it says that it sleeps, but its hash rate does not fall: look at the miner"
    if rate_hs == 0:
        return "it says that it is awake and does not hash: check its pools and boards"
    return f"it says that it is awake, but its hash rate of {rate_text(rate_hs)} does not rise: look at the miner"


def _shown(found: state.Config, rate_hs: float | None) -> dict[str, Any]:
    return _set(found) | {"hashrate_5m_hs": rate_hs}


def _set(found: state.Config) -> dict[str, Any]:
    return {**machine.shown(found), "pools": pools.shown(found.slots)}
