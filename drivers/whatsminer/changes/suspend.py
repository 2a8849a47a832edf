"""Mining of a WhatsMiner switched off and on again; the control board stays up. What is stored as the power mode stays
too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from contract.errors import OutcomeUnknownError
from drivers.base import (
    AWAKE_MODE,
    Evidence,
    NoChange,
    NoData,
    Permit,
    Proof,
    Resume,
    Strength,
    Suspend,
    TypedPlan,
)
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.watch import LOOK_EVERY_S, ORDER_NOTE, LastLook, Watch, pause, seconds_since
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.changes.state import WhatsminerState
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import COMPAT, WRITABLE

# How long a stop must last to be believed: one firmware of 2025 starts again by itself, after two minutes.
HOLDS_S: Final = 180.0
_OFF_WITHIN_S: Final = 300.0
OFF_NOTE: Final = "seen_off"  # after which order, and when on the clock of the host's boot
STOPS: Final = Proof(
    "suspend", "reported off, and stays so", Strength.PROCESS, HOLDS_S, _OFF_WITHIN_S + HOLDS_S
)
STARTS: Final = Proof("resume", "reported on", Strength.PROCESS, 5.0, 300.0)

_WAKES_WITHIN_S: Final = 60.0
_OFF: Final = {"cmd": "power_off", "respbefore": "true"}  # a text; a JSON true is not understood
_ON: Final = {"cmd": "power_on"}
_SERVICE: Final = "set.miner.service"

_Watch = Verification[Whatsminer, NoData]


class WhatsminerSwitch(Way[Whatsminer, NoData]):
    """Off must last for a while: one firmware comes back by itself."""

    changes = (Suspend, Resume)
    data = NoData
    proofs = dict.fromkeys(WRITABLE, (STOPS, STARTS))

    async def plan(
        self, miner: Whatsminer, change: Suspend | Resume
    ) -> TypedPlan[NoData] | NoChange:
        """Ask whether it is switched off now, or mines."""
        is_resume = isinstance(change, Resume)
        now = await (state.settled(miner) if is_resume else state.look(miner))
        before = state.shown(now)
        if state.is_mining(now) if is_resume else state.is_off(now):
            return NoChange(change=change, before=before)
        if not is_resume and now.mining:
            before[AWAKE_MODE] = before["mode"]
        return TypedPlan(change=change, before=before, data=NoData(), raises_power=is_resume)

    async def apply(self, miner: Whatsminer, plan: TypedPlan[NoData], permit: Permit) -> None:
        if isinstance(plan.change, Suspend):
            await give(miner, permit, v2=_OFF, v3=(_SERVICE, "stop"))
        else:
            await give(miner, permit, v2=_ON, v3=(_SERVICE, "start"))

    async def verify(self, watch: _Watch) -> Evidence:
        """Look until it is switched as wished."""
        if isinstance(watch.plan.change, Suspend):
            return await _stays_off(watch)
        seen = await watch.until(
            lambda: state.look(watch.miner), state.is_mining, latest_s=STARTS.latest_s
        )
        if seen.is_enough:
            return watch.done(STARTS.signal, state.shown(seen.found))
        return _ran_out(watch, seen)


WAY: Final = WhatsminerSwitch()


async def wake(miner: Whatsminer, permit: Permit) -> None:
    """Switch mining on and wait until the miner says that it is. Raises as `apply`; a lost answer may be none."""
    lost: OutcomeUnknownError | None = None
    try:
        await give(miner, permit, v2=_ON, v3=(_SERVICE, "start"))
    except OutcomeUnknownError as error:
        lost = error
    watch = Watch(miner)
    await pause(miner, LOOK_EVERY_S)
    seen = await watch.until(
        lambda: state.look(miner), lambda now: bool(now.mining), latest_s=_WAKES_WITHIN_S
    )
    seen.raise_lasting()
    if lost is not None and not seen.is_enough:
        raise lost


async def _stays_off(watch: _Watch) -> Evidence:
    miner = watch.miner
    off = await watch.until(lambda: state.look(miner), state.is_off, latest_s=_OFF_WITHIN_S)
    if not off.is_enough:
        return _ran_out(watch, off)
    off_since_s = watch.device_s - await _off_for_s(watch)
    await watch.pause(LOOK_EVERY_S)
    seen = await watch.until(
        lambda: state.look(miner),
        lambda now: not state.is_off(now) or watch.device_s - off_since_s >= HOLDS_S,
        # After a crash, or of a slow miner, it may be seen off late: it is watched for as long as any.
        latest_s=max(STOPS.latest_s, off_since_s + HOLDS_S + LOOK_EVERY_S),
    )
    if not seen.is_enough or seen.found is None:
        return _ran_out(watch, msgspec.structs.replace(seen, found=seen.found or off.found))
    after = state.shown(seen.found)
    if state.is_off(seen.found):
        return watch.done(STOPS.signal, after)
    return watch.unknown(
        after,
        "it stopped mining and began again by itself: this firmware does not keep to it; "
        + (
            "update the firmware, or open its API v3 (port 4433)"
            if miner.identity.generation == COMPAT
            else "update the firmware"
        ),
    )


async def _off_for_s(watch: _Watch) -> float:
    """For how long it has been off since its order, in seconds of the device. The first sight is noted: a crash of the
    agent does not start the time over.
    """
    notes, clock = watch.permit.notes, watch.miner.clock
    order, seen = notes.get(ORDER_NOTE, {}).get("at"), notes.get(OFF_NOTE, {})
    since_s = seconds_since(seen.get("boot"), clock)
    if since_s is not None and seen.get("order") == order:
        return since_s * watch.miner.timing.pace
    await watch.permit.note(OFF_NOTE, {"order": order, "boot": list(clock.boot())})
    return 0.0


def _ran_out(watch: _Watch, seen: LastLook[WhatsminerState]) -> Evidence:
    now, after = seen.found, state.shown(seen.found)
    if now is None or seen.trouble is not None:
        return watch.unseen(seen.trouble, after)
    is_stop = isinstance(watch.plan.change, Suspend)
    if now.mining is None or now.mining is not is_stop:
        reason = "the miner shows neither that it mines nor that it is switched off"
        return watch.unknown(after, reason)
    signal = STOPS.signal if is_stop else STARTS.signal
    return watch.not_done(
        signal, after, f"the miner still {'mines' if is_stop else 'is switched off'}"
    )
