"""The identification light: one colour told to blink, or both given back to the firmware."""

from __future__ import annotations

from typing import Any, Final

from drivers.base import Effect, Evidence, Light, NoChange, Plan
from drivers.changes import light
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import Subject, give
from drivers.whatsminer.models import V1, V3

# One order sets one colour on port 4028, and one order is one write: red alone is seen well enough.
BLINK: Final[dict[str, Any]] = {"color": "red", "period": 200, "duration": 100, "start": 0}
AUTO: Final = "auto"
_PROOFS: Final = {V1: proofs.LIGHT_V1, V3: proofs.LIGHT_V3}


async def plan(miner: Subject, change: Light) -> Plan | NoChange:
    """Ask whether it blinks by hand now."""
    is_on = await state.light_on(miner)
    before = {"light_on": is_on}
    if is_on == change.on:
        return NoChange(change=change, before=before)
    return Plan(change=change, before=before, raises_power=False)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Tell it to blink, or to show its own state again."""
    assert isinstance(plan.change, Light)
    if plan.change.on:
        v2: dict[str, Any] = {"cmd": "set_led", **BLINK}
        await give(miner, effect, v2=v2, v3=("set.system.led", [BLINK]))
    else:
        v2 = {"cmd": "set_led", "param": AUTO}
        await give(miner, effect, v2=v2, v3=("set.system.led", AUTO))
    await light.note_answer(plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Ask until it shows the wish, or until it no longer can come."""
    proof = _PROOFS.get(miner.identity.generation or "", proofs.LIGHT)
    return await light.verify(miner, plan, effect, proof, lambda: state.light_on(miner))
