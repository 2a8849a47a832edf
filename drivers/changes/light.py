"""The identification light: told to blink, then asked whether it does, until it shows the wish or no longer can."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final, TypeVar

from drivers.base import Effect, Evidence, Light, NoChange, NoData, Proof, TypedPlan
from drivers.changes.verification import Verification
from drivers.changes.way import Way
from drivers.driver import MinerDriver

# The miner took the order: all there will ever be where the light cannot be read.
ANSWERED_NOTE: Final = "answered"
_LOOK_EVERY_S: Final = 2.0

Driven = TypeVar("Driven", bound=MinerDriver)


class LightWay(Way[Driven, NoData]):
    """A make says how its light is asked for and switched, and by when it shows."""

    changes = (Light,)
    data = NoData

    @abstractmethod
    def proof(self, miner: Driven) -> Proof:
        """How the light of this miner shows."""

    @abstractmethod
    async def is_on(self, miner: Driven) -> bool | None:
        """Whether it blinks; `None`: this firmware does not tell. Raises as reads."""

    @abstractmethod
    async def switch(self, miner: Driven, effect: Effect, *, on: bool) -> None:
        """Tell it to blink or to stop. Raises as `Driver.apply`."""

    async def is_on_now(self, miner: Driven) -> bool | None:
        """`is_on`, made to be asked often."""
        return await self.is_on(miner)

    async def plan(self, miner: Driven, change: Light) -> TypedPlan[NoData] | NoChange:
        is_on = await self.is_on(miner)
        before = {"light_on": is_on}
        if is_on == change.on:
            return NoChange(change=change, before=before)
        return TypedPlan(change=change, before=before, data=NoData(), raises_power=False)

    async def apply(self, miner: Driven, plan: TypedPlan[NoData], effect: Effect) -> None:
        assert isinstance(plan.change, Light)
        await self.switch(miner, effect, on=plan.change.on)
        if plan.before.get("light_on") is None:
            await effect.note(ANSWERED_NOTE, True)

    async def verify(self, watch: Verification[Driven, NoData]) -> Evidence:
        assert isinstance(watch.plan.change, Light)
        wanted, proof = watch.plan.change.on, self.proof(watch.miner)
        seen = await watch.until(
            lambda: self.is_on_now(watch.miner),
            lambda is_on: is_on == wanted,
            latest_s=proof.latest_s,
            every_s=_LOOK_EVERY_S,
        )
        is_on = seen.found
        after: dict[str, Any] = {"light_on": is_on}
        if seen.is_enough:
            return watch.done(proof.signal, after)
        if seen.trouble is not None:
            return watch.unseen(seen.trouble, after)
        if is_on is not None:
            return watch.not_done(
                proof.signal, after, f"the light stays {'on' if is_on else 'off'}"
            )
        untold = "this firmware does not tell whether its light blinks"
        if watch.effect.notes.get(ANSWERED_NOTE):
            return watch.done("none", after, f"the miner took the order; {untold}")
        return watch.unknown(after, f"no answer, and {untold}")
