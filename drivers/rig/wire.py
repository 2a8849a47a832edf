"""The wire of a rig: what `Wire` promises of every miner, by way of the rig's reach; and its files and commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from contract.clock import Clock
from contract.errors import (
    MalformedError,
    OutcomeUnknownError,
    UnreachableError,
    UnsupportedError,
)
from contract.miner import Endpoint
from drivers.base import Permit, Timing
from drivers.rig.protocol.orders import says_no_start
from drivers.rig.reach.base import NO_COMMAND, OUTPUT_CAP_BYTES, FileTexts, Ran, RigReach
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

    async def run(
        self,
        argv: Sequence[str],
        *,
        permit: Permit | None = None,
        deadline_s: float | None = None,
        cap_bytes: int = OUTPUT_CAP_BYTES,
        cut: bool = False,
    ) -> Ran:
        """See `RigReach`; one exchange. Raises UnsupportedError when there is no such command. With `permit` the
        command changes the rig: as in `exchange` its leave is taken once the rig is connected, before the first byte.
        Raises OutcomeUnknownError then, where nobody can say how the command ended; that it never began is told as
        ever. `deadline_s` is that of a read, or of a write, where not given.
        """
        self.exchanges += 1
        if permit is not None:
            return await self._order(argv, permit, deadline_s or self.timing.write_s)
        async with self._turn():
            await self._quiet()
            ran = await self.reach.run(
                argv, deadline_s=deadline_s or self.timing.read_s, cap_bytes=cap_bytes, cut=cut
            )
        if ran.status == NO_COMMAND:
            raise self._lacks(argv[0])
        return ran

    # --- private ---------------------------------------------------------------------------------

    async def _order(self, argv: Sequence[str], permit: Permit, deadline_s: float) -> Ran:
        async with AsyncExitStack() as held:
            while True:
                if self._check is not None:
                    await self._check()
                async with self._turn():
                    await self._quiet()
                    await self.reach.open(deadline_s=self.timing.read_s)
                    # No await between this look and `sending`: a slot that is free now is taken.
                    if permit.may_send:
                        async with permit.sending(self._still_open):
                            return await self._sent(argv, deadline_s)
                await held.enter_async_context(permit.turn())

    def _still_open(self) -> None:
        if not self.reach.is_open:
            raise UnreachableError(
                f"{self.endpoint.host} hung up before anything was sent; try again"
            )

    async def _sent(self, argv: Sequence[str], deadline_s: float) -> Ran:
        try:
            ran = await self.reach.run(argv, deadline_s=deadline_s, reconnect=False)
        except MalformedError as error:
            # It may have begun: whether it was carried out, only looking can tell.
            raise OutcomeUnknownError(str(error)) from None
        if ran.status is not None and says_no_start(argv[0], ran.status, ran.errors):
            raise self._lacks(argv[0])
        return ran

    def _lacks(self, command: str) -> UnsupportedError:
        return UnsupportedError(f"the rig {self.endpoint.host} has no {command} that it can run")

    async def _connect(
        self, made: Callable[[], asyncio.Protocol], port: int, timeout_s: float
    ) -> None:
        await self.reach.connect(made, port, deadline_s=timeout_s)
