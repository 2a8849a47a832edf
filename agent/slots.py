"""How many effects may happen at once, so that a farm's power is not switched all in one instant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from agent.policy import Policy
from drivers.base import AnyChange, Firmware, Light, Pools


class Slots:
    """Bounded leave for the phases of a change. All waiting is first come, first served."""

    def __init__(self, policy: Policy) -> None:
        self._power = asyncio.Semaphore(policy.power_effects)
        self._firmware = asyncio.Semaphore(policy.firmware_effects)
        self._other = asyncio.Semaphore(policy.other_effects)
        self._looking = asyncio.Semaphore(policy.looking)
        self._applying = asyncio.Semaphore(policy.applying)

    def looking(self) -> AbstractAsyncContextManager[None]:
        """For reading before a write."""
        return self._looking

    def applying(self) -> AbstractAsyncContextManager[None]:
        """For the write, its connect and its wait for an effect's slot; bounds the connections that wait."""
        return self._applying

    @asynccontextmanager
    async def effect(self, change: AnyChange) -> AsyncIterator[None]:
        """For one exchange that changes a miner: held from just before its first byte to its end."""
        async with AsyncExitStack() as held:
            if isinstance(change, Light | Pools):
                await held.enter_async_context(self._other)
            else:
                if isinstance(change, Firmware):  # the narrow gate first, so that it never hoards
                    await held.enter_async_context(self._firmware)
                await held.enter_async_context(self._power)
            yield
