"""The proof of an identification light: asked until it shows the wish, or no longer can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from contract.errors import MinerError
from drivers.base import Effect, Evidence, Light, Plan, Proof
from drivers.changes.verification import evidence, is_silent
from drivers.watch import Watch, Watched

ANSWERED_NOTE: Final = (
    "answered"  # the miner took the order: all there will ever be where the light cannot be read
)
_LOOK_EVERY_S: Final = 2.0


async def note_answer(plan: Plan, effect: Effect) -> None:
    """Keep that the order was taken, where nothing else will tell."""
    if plan.before.get("light_on") is None:
        await effect.note(ANSWERED_NOTE, True)


async def verify(
    miner: Watched,
    plan: Plan,
    effect: Effect,
    proof: Proof,
    is_on: Callable[[], Awaitable[bool | None]],
) -> Evidence:
    """Ask `is_on` (`None`: the firmware does not tell) until it is as wished or `proof` has no time left."""
    assert isinstance(plan.change, Light)
    wanted = plan.change.on
    watch = Watch(miner, effect)
    seen: bool | None = None
    trouble: MinerError | None = None
    while True:
        try:
            seen, trouble = await is_on(), None
        except MinerError as error:
            trouble = error
            if not is_silent(error):
                break
        if seen == wanted:
            return _shown(plan, watch, "done", proof.signal, seen)
        if watch.device_s >= proof.latest_s:
            break
        await watch.pause(_LOOK_EVERY_S)
    if trouble is not None:
        reason = f"could not look again: {trouble}"
        return _shown(plan, watch, "unknown", "none", seen, reason=reason)
    if seen is None:
        if effect.notes.get(ANSWERED_NOTE):
            reason = (
                "the miner took the order; this firmware does not tell whether its light blinks"
            )
            return _shown(plan, watch, "done", "none", seen, reason=reason)
        reason = "no answer, and this firmware does not tell whether its light blinks"
        return _shown(plan, watch, "unknown", "none", seen, reason=reason)
    reason = f"the light stays {'on' if seen else 'off'}"
    return _shown(plan, watch, "not_done", proof.signal, seen, reason=reason)


def _shown(
    plan: Plan,
    watch: Watch,
    outcome: str,
    signal: str,
    seen: bool | None,
    *,
    reason: str | None = None,
) -> Evidence:
    return evidence(plan, watch, outcome, signal, {"light_on": seen}, reason=reason)
