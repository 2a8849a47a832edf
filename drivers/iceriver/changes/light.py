"""The identification light: told to blink, then asked whether it does."""

from __future__ import annotations

from drivers.base import Effect, Evidence, Light, NoChange, Plan
from drivers.changes import light
from drivers.iceriver import proofs
from drivers.iceriver.changes import state
from drivers.iceriver.changes.orders import Subject
from drivers.iceriver.protocol.web import LIGHT


async def plan(miner: Subject, change: Light) -> Plan | NoChange:
    """Ask whether it blinks now."""
    now = await state.look(miner)
    before = {"light_on": now.light_on}
    if now.light_on == change.on:
        return NoChange(change=change, before=before)
    return Plan(change=change, before=before, raises_power=False)


async def apply(miner: Subject, plan: Plan, effect: Effect) -> None:
    """Tell it to blink or to stop. The miner takes its time to answer."""
    assert isinstance(plan.change, Light)
    await miner.web.order(*LIGHT, {"locate": "1" if plan.change.on else "0"}, effect)
    await light.note_answer(plan, effect)


async def verify(miner: Subject, plan: Plan, effect: Effect) -> Evidence:
    """Ask until it shows the wish, or until it no longer can come."""

    async def is_on() -> bool | None:
        return (await state.glance(miner, "getlocate")).light_on

    return await light.verify(miner, plan, effect, proofs.LIGHT, is_on)
