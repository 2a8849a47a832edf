"""The identification light of a WhatsMiner: one colour told to blink, or both given back to the firmware."""

from __future__ import annotations

from typing import Any, Final

from drivers.base import Effect, Proof
from drivers.changes.light import LightWay
from drivers.whatsminer import proofs
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import V1, V3

# One order sets one colour on port 4028, and one order is one write: red alone is seen well enough.
BLINK: Final[dict[str, Any]] = {"color": "red", "period": 200, "duration": 100, "start": 0}
AUTO: Final = "auto"
_PROOFS: Final = {V1: proofs.LIGHT_V1, V3: proofs.LIGHT_V3}


class WhatsminerLight(LightWay[Whatsminer]):
    """On is a light that was set by hand."""

    def proof(self, miner: Whatsminer) -> Proof:
        return _PROOFS.get(miner.identity.generation or "", proofs.LIGHT)

    async def is_on(self, miner: Whatsminer) -> bool | None:
        return await state.light_on(miner)

    async def switch(self, miner: Whatsminer, effect: Effect, *, on: bool) -> None:
        """Tell it to blink, or to show its own state again."""
        v2 = {"cmd": "set_led", **(BLINK if on else {"param": AUTO})}
        await give(miner, effect, v2=v2, v3=("set.system.led", [BLINK] if on else AUTO))
