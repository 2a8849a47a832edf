"""The wire of a rig: what `Wire` promises of every miner, by way of the rig's reach; and its files and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from contract.clock import Clock
from contract.miner import Endpoint
from drivers.base import Timing
from drivers.rig.reach.base import FileTexts, Ran, RigReach
from drivers.rig.spec import EnrolledRig
from drivers.wire import Wire


class RigWire(Wire):
    """The wire of one rig. Its ports are those of the rig's own loopback, which no network reaches."""

    def __init__(self, spec: EnrolledRig, reach: RigReach, clock: Clock, timing: Timing) -> None:
        super().__init__(Endpoint(host=spec.host), clock, timing)
        self.spec = spec
        self.reach = reach

    async def read_texts(self, patterns: Sequence[str]) -> FileTexts:
        """See `RigReach`; one exchange."""
        self.exchanges += 1
        async with self._turn():
            await self._quiet()
            return await self.reach.read_texts(patterns, deadline_s=self.timing.read_s)

    async def run(self, argv: Sequence[str]) -> Ran:
        """See `RigReach`; one exchange. For commands that change nothing."""
        self.exchanges += 1
        async with self._turn():
            await self._quiet()
            return await self.reach.run(argv, deadline_s=self.timing.read_s)

    async def _connect(
        self, made: Callable[[], asyncio.Protocol], port: int, timeout_s: float
    ) -> None:
        await self.reach.connect(made, port, deadline_s=timeout_s)
