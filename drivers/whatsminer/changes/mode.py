"""The power mode of a WhatsMiner: believed once the miner reports it and its mining process began again with it."""

from __future__ import annotations

from typing import Final

import msgspec

from contract.clock import to_text
from contract.errors import MinerError, UnsupportedModeError
from contract.miner import PowerMode
from drivers.base import Depth, Evidence, Mode, NoChange, Permit, Proof, Strength, TypedPlan
from drivers.changes.power import raises_power
from drivers.changes.uptime import CounterSign
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.changes.state import WhatsminerState
from drivers.whatsminer.changes.suspend import wake
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import WRITABLE

MODE: Final = Proof(
    "mode", "reported power mode, then a smaller Elapsed", Strength.PROCESS, 5.0, 300.0
)

_HIGH_FAULTS: Final = ("218", "610")  # input under 230 V, ambient too hot


class WhatsminerModeData(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: wake it first, set the mode, or both."""

    mode: PowerMode
    wake: bool
    set: bool


_Watch = Verification[Whatsminer, WhatsminerModeData]


class WhatsminerMode(Way[Whatsminer, WhatsminerModeData]):
    """The order restarts the mining process even into the mode it has, so then it is not given."""

    changes = (Mode,)
    data = WhatsminerModeData
    proofs = dict.fromkeys(WRITABLE, (MODE,))

    async def plan(
        self, miner: Whatsminer, change: Mode
    ) -> TypedPlan[WhatsminerModeData] | NoChange:
        """Read the mode. Raises UnsupportedModeError for what WhatsMiners have not."""
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
        data = WhatsminerModeData(mode=wanted, wake=is_off, set=is_to_set)
        return TypedPlan(change=change, before=before, data=data, raises_power=raises)

    async def apply(
        self, miner: Whatsminer, plan: TypedPlan[WhatsminerModeData], permit: Permit
    ) -> None:
        """Wake it if it is switched off, then give the order, where it has another mode."""
        if plan.data.wake:
            await wake(miner, permit)
        if plan.data.set:
            word = plan.data.mode.value
            order = {"cmd": f"set_{word}_power"}
            await give(miner, permit, v2=order, v3=("set.miner.power_mode", word))

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until the miner reports the mode and its process is younger than the order."""
        wanted = watch.plan.data.mode
        seen = await watch.until(
            lambda: state.look(watch.miner),
            lambda now: (
                now.mode is wanted
                and now.is_up
                and watch.sign("elapsed_s", now.elapsed_s) is CounterSign.RESTARTED
            ),
            latest_s=MODE.latest_s,
        )
        now, after = seen.found, state.shown(seen.found)
        if now is None or seen.trouble is not None:
            return watch.unseen(seen.trouble, after)
        if seen.is_enough:
            return watch.done(MODE.signal, after)
        if now.mode is wanted:
            return watch.unknown(after, _why_unknown(watch, now))
        if not now.is_up or now.mode is None:
            reason = "its mining process did not come back in time, so its mode cannot be told"
            return watch.unknown(after, reason)
        reason = f"the miner stays in mode {now.mode}" + await _fault(watch.miner, wanted)
        return watch.not_done("reported power mode", after, reason)


WAY: Final = WhatsminerMode()


def wanted_mode(change: Mode) -> PowerMode:
    """The mode asked for. Raises UnsupportedModeError for one that no WhatsMiner has."""
    if change.mode is PowerMode.SLEEP:
        raise UnsupportedModeError(
            "WhatsMiners have no sleep mode: use low, normal or high; "
            "to stop one, have its mining switched off (miner.mining.update)"
        )
    if change.mode is None:
        raise UnsupportedModeError(
            f"WhatsMiners have no mode {change.preset}: use low, normal or high"
        )
    return change.mode


def _why_unknown(watch: _Watch, now: WhatsminerState) -> str:
    wanted = watch.plan.data.mode
    if now.mining is False:
        return f"{wanted} is stored, but the miner is switched off"
    if not now.is_up:
        return f"{wanted} is stored, but its mining process did not come back in time"
    if watch.sign("elapsed_s", now.elapsed_s) is CounterSign.RUNS_ON:
        return f"{wanted} is stored, but its mining process was not restarted: it may take it at its next start"
    return f"{wanted} is reported, but the miner's own clock does not show that its process began again"


async def _fault(miner: Whatsminer, wanted: PowerMode) -> str:
    """What the miner itself says about why it cannot run so."""
    if wanted is not PowerMode.HIGH:
        return ""
    try:
        slow = (await miner.read(Depth.SLOW)).slow
    except MinerError:
        return ""  # the mode has spoken; this was only for a better word
    named = [fault for fault in (slow.faults if slow else ()) if fault.code in _HIGH_FAULTS]
    return "".join(f"; it reports {fault.code}: {fault.text}" for fault in named[:1])
