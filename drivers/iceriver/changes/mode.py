"""The power mode of an IceRiver: normal or sleep. Read back, and then believed once the hash rate follows.

Mining switched off and on (`suspend`) is the same to these miners.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from contract.clock import to_text
from contract.errors import (
    BadParamsError,
    RefusedError,
    UnsupportedError,
    UnsupportedModeError,
)
from contract.miner import PowerMode
from drivers.base import (
    AWAKE_MODE,
    Evidence,
    Mode,
    NoChange,
    Permit,
    Proof,
    Resume,
    Strength,
    Suspend,
    TypedPlan,
)
from drivers.changes.pools import shown as shown_pools
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.iceriver.changes import machine, state
from drivers.iceriver.changes.state import IceriverSettings, IceriverState
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.models import STOCK
from drivers.iceriver.protocol.web import SET_FAN_AND_MODE, SET_POOLS
from drivers.protocol.values import rate_text
from drivers.watch import LOOK_EVERY_S, Watch

MODE: Final = Proof("mode", "machineconfig mode", Strength.STATE, 1.0, 60.0)
# The rate is an average over 5 minutes, so it takes its time to show that hashing stopped or began.
STOPS: Final = Proof(
    "suspend", "machineconfig mode, then a falling hash rate", Strength.PROCESS, 30.0, 600.0
)
STARTS: Final = Proof(
    "resume", "machineconfig mode, then a rising hash rate", Strength.PROCESS, 30.0, 600.0
)

MODES: Final = (PowerMode.SLEEP, PowerMode.NORMAL)
_ASK_RATE_EVERY_S: Final = 20.0
_TAKEN_WITHIN_S: Final = 20.0  # a mode not taken by then was garbled on the way
# Of the rate before: an average over 5 minutes gets there after 90 s without work.
_FALLEN: Final = 0.7


class IceriverModeData(msgspec.Struct, frozen=True, kw_only=True):
    """The mode, and the form that writes it along with fan and pools as they were."""

    mode: PowerMode
    form: dict[str, str]


_Watch = Verification[Iceriver, IceriverModeData]


class IceriverMode(Way[Iceriver, IceriverModeData]):
    """The stored mode is not the running one: only the hash rate shows that."""

    changes = (Mode, Suspend, Resume)
    data = IceriverModeData
    proofs: ClassVar = {STOCK: (MODE, STOPS, STARTS)}

    async def plan(
        self, miner: Iceriver, change: Mode | Suspend | Resume
    ) -> TypedPlan[IceriverModeData] | NoChange:
        """Read mode, fan and pools. Raises UnsupportedModeError for a mode that no IceRiver has, and then asks
        nothing.
        """
        wanted = wanted_mode(change)
        found = await state.config(miner)
        now = await state.look(miner)
        before = _shown(found, now.hashrate_hs) | {"read_at": to_text(miner.clock.now())}
        # Sleep that is stored and not obeyed is ordered once more; one that falls asleep is let do so.
        is_seen = state.rests(now) if wanted is PowerMode.SLEEP else bool(now.hashrate_hs)
        if found.mode is wanted and is_seen:
            return NoChange(change=change, before=before)
        if wanted is PowerMode.SLEEP and found.mode is not wanted:
            before[AWAKE_MODE] = before["mode"]
        data = IceriverModeData(mode=wanted, form=_form(found, wanted))
        raises = wanted is not PowerMode.SLEEP
        return TypedPlan(change=change, before=before, data=data, raises_power=raises)

    async def apply(
        self, miner: Iceriver, plan: TypedPlan[IceriverModeData], permit: Permit
    ) -> None:
        """Give the order; once more when the miner, looked at, still has the other mode: one build garbles the word."""
        await _order(miner, plan.data, permit)
        if await _is_refusing(miner, plan.data.mode):
            await _order(miner, plan.data, permit)

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until the miner has the mode, then until its hash rate follows."""
        wanted = watch.plan.data.mode
        seen = await watch.until(
            lambda: state.config(watch.miner),
            lambda found: found.mode is wanted,
            latest_s=MODE.latest_s,
        )
        if seen.found is None or seen.trouble is not None:
            return watch.unseen(seen.trouble)
        if seen.is_enough:
            return await _followed(watch, seen.found)
        after = _set(seen.found)
        if seen.found.mode is None:
            return watch.unknown(after, "the miner does not tell its mode any more")
        reason = f"the miner stays in mode {seen.found.mode}"
        return watch.not_done(MODE.signal, after, reason)


WAY: Final = IceriverMode()


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


def disobedience(wanted: PowerMode, rate_hs: float | None) -> str:
    """What a miner shows that has the mode stored and does not follow."""
    if rate_hs is None:
        return f"it has the mode {wanted} stored, but its hash rate cannot be read"
    if wanted is PowerMode.SLEEP:
        return "it says that it sleeps, but its hash rate does not fall: look at the miner"
    if rate_hs == 0:
        return "it says that it is awake and does not hash: check its pools and boards"
    return f"it says that it is awake, but its hash rate of {rate_text(rate_hs)} does not rise: look at the miner"


# --- private -------------------------------------------------------------------------------------


async def _order(miner: Iceriver, data: IceriverModeData, permit: Permit) -> None:
    """Set the mode alone, where this firmware can; else with fan and pools as they are.

    What an answer without `error` proves, that nothing was executed, is what makes the second order allowed.
    """
    if miner.has_mode_order is not False:
        try:
            await miner.web.order(*SET_FAN_AND_MODE, data.form, permit)
        except UnsupportedError:
            miner.has_mode_order = False
        else:
            miner.has_mode_order = True
            return
    # This order writes pools and fan, too: those of this very moment.
    found = await state.config(miner)
    try:
        form = _form(found, data.mode)
    except BadParamsError as error:
        raise RefusedError(
            f"this firmware writes its pools along with its mode, and cannot write those it has: {error}; "
            "set its pools first"
        ) from None
    await miner.web.order(*SET_POOLS, form, permit)


async def _is_refusing(miner: Iceriver, wanted: PowerMode) -> bool:
    """Whether it certainly has the other mode after the time an order takes."""
    watch = Watch(miner)
    await watch.pause(LOOK_EVERY_S)
    seen = await watch.until(
        lambda: state.config(miner), lambda found: found.mode is wanted, latest_s=_TAKEN_WITHIN_S
    )
    seen.raise_lasting()
    if seen.is_enough or seen.trouble is not None or seen.found is None:
        return False
    return seen.found.mode is not None


async def _followed(watch: _Watch, found: IceriverSettings) -> Evidence:
    """The evidence of a mode that is stored, once its hash rate shows it as well or its time is over."""
    wanted = watch.plan.data.mode
    proof = STOPS if wanted is PowerMode.SLEEP else STARTS
    trend = Trend(wanted, watch.plan.before.get("hashrate_5m_hs"))

    async def look() -> IceriverState:
        return await state.glance(watch.miner, "boardpow")

    seen = await watch.until(
        look,
        lambda now: trend.has_turned(now.hashrate_hs),
        latest_s=proof.latest_s,
        every_s=_ASK_RATE_EVERY_S,
    )
    rate_hs = trend.rate_hs if seen.trouble is None else None
    after = _shown(found, rate_hs)
    remarks: list[str] = []
    if beside := machine.changed_beside(watch.plan.before, after, "ratio", "pools"):
        after["also_changed"] = beside
        remarks.append(f"the miner also changed {', '.join(beside)}")
    if seen.is_enough:
        return watch.done(proof.signal, after, "; ".join(remarks) or None)
    return watch.unknown(after, "; ".join([disobedience(wanted, rate_hs), *remarks]))


def _form(found: IceriverSettings, mode: PowerMode) -> dict[str, str]:
    return machine.form(machine.texts_of(found.slots), found.ratio, mode)


def _shown(found: IceriverSettings, rate_hs: float | None) -> dict[str, Any]:
    return _set(found) | {"hashrate_5m_hs": rate_hs}


def _set(found: IceriverSettings) -> dict[str, Any]:
    return {**machine.shown(found), "pools": shown_pools(found.slots)}
