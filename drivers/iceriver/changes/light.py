"""The identification light of an IceRiver: told to blink, then asked whether it does."""

from __future__ import annotations

from drivers.base import Effect, Proof
from drivers.changes.light import LightWay
from drivers.iceriver import proofs
from drivers.iceriver.changes import state
from drivers.iceriver.driver import Iceriver
from drivers.iceriver.protocol.web import LIGHT


class IceriverLight(LightWay[Iceriver]):
    """The miner takes its time to answer."""

    def proof(self, miner: Iceriver) -> Proof:
        del miner
        return proofs.LIGHT

    async def is_on(self, miner: Iceriver) -> bool | None:
        return (await state.look(miner)).light_on

    async def is_on_now(self, miner: Iceriver) -> bool | None:
        return (await state.glance(miner, "getlocate")).light_on

    async def switch(self, miner: Iceriver, effect: Effect, *, on: bool) -> None:
        await miner.web.order(*LIGHT, {"locate": "1" if on else "0"}, effect)
