"""The identification light of a WhatsMiner: one colour told to blink, or both given back to the firmware."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drivers.base import Permit, Proof, Strength
from drivers.changes.light import LightWay
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.orders import give
from drivers.whatsminer.driver import Whatsminer
from drivers.whatsminer.models import COMPAT, V1, V2, V3

# The LED state is written by a script in the background.
LIGHT: Final = Proof("light", "get_miner_info ledstat", Strength.STATE, 5.5, 45.0)
# Nothing will show, but the order is given the time it takes before the task ends.
LIGHT_V1: Final = Proof(
    "light", "none (this firmware does not tell its LED state)", Strength.NONE, 5.5, 6.0
)
LIGHT_V3: Final = Proof("light", "get.device.info ledstatus", Strength.STATE, 5.5, 45.0)

# One order sets one colour on port 4028, and one order is one write: red alone is seen well enough.
BLINK: Final[dict[str, Any]] = {"color": "red", "period": 200, "duration": 100, "start": 0}
AUTO: Final = "auto"


class WhatsminerLight(LightWay[Whatsminer]):
    """On is a light that was set by hand."""

    proofs: ClassVar = {V1: (LIGHT_V1,), V2: (LIGHT,), COMPAT: (LIGHT,), V3: (LIGHT_V3,)}

    def proof(self, miner: Whatsminer) -> Proof:
        return self.proofs.get(miner.identity.generation or "", (LIGHT,))[0]

    async def is_on(self, miner: Whatsminer) -> bool | None:
        return await state.light_on(miner)

    async def switch(self, miner: Whatsminer, permit: Permit, *, on: bool) -> None:
        """Tell it to blink, or to show its own state again."""
        v2 = {"cmd": "set_led", **(BLINK if on else {"param": AUTO})}
        await give(miner, permit, v2=v2, v3=("set.system.led", [BLINK] if on else AUTO))


WAY: Final = WhatsminerLight()
