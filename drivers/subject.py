"""What any change needs of a miner, whatever its make; each make's `Subject` adds what its own dialect needs."""

from __future__ import annotations

from typing import Protocol

from contract.miner import Identity, Reading
from drivers.base import Depth
from drivers.changes.identity import Asked


class Subject(Asked, Protocol):
    """One miner with the firmware of its maker, as its driver holds it."""

    @property
    def identity(self) -> Identity: ...
    @property
    def ideal_hs(self) -> float | None: ...

    allow_plain_reboot: bool  # whether a hashing miner is rebooted without `force`

    async def identify(self) -> Identity: ...

    async def read(self, depth: Depth = Depth.MOVING) -> Reading: ...
