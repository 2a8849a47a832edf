"""The identification light of an IceRiver: told to blink, then asked whether it does."""

from __future__ import annotations

from typing import ClassVar, Final

from drivers.base import Permit, Proof, Strength
from drivers.changes.light import LightWay
from drivers.iceriver.changes import state
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.models import STOCK
from drivers.iceriver.protocol.web import LIGHT

LOCATE: Final = Proof("light", "locate", Strength.STATE, 0.5, 30.0)


class IceriverLight(LightWay[Iceriver]):
    """The miner takes its time to answer."""

    proofs: ClassVar = {STOCK: (LOCATE,)}

    def proof(self, miner: Iceriver) -> Proof:
        del miner
        return LOCATE

    async def is_on(self, miner: Iceriver) -> bool | None:
        return (await state.look(miner)).light_on

    async def is_on_now(self, miner: Iceriver) -> bool | None:
        return (await state.glance(miner, "getlocate")).light_on

    async def switch(self, miner: Iceriver, permit: Permit, *, on: bool) -> None:
        await miner.web.order(*LIGHT, {"locate": "1" if on else "0"}, permit)


WAY: Final = IceriverLight()
