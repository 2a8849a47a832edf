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
        self._applying_power = asyncio.Semaphore(policy.applying)
        self._applying_other = asyncio.Semaphore(policy.applying)

    def looking(self) -> AbstractAsyncContextManager[None]:
        """For reading before a write."""
        return self._looking

    def applying(self, change: AnyChange) -> AbstractAsyncContextManager[None]:
        """For the write, its connect and its wait for an effect's slot. Of its own for what switches power, so that a
        long row of firmware updates keeps nobody's light waiting.
        """
        return self._applying_other if isinstance(change, Light | Pools) else self._applying_power

    def is_free(self, change: AnyChange) -> bool:
        """Whether `effect` would be entered without waiting: a slot is free and nobody waits for it."""
        return not any(gate.locked() for gate in self._gates(change))

    @asynccontextmanager
    async def effect(self, change: AnyChange) -> AsyncIterator[None]:
        """For one exchange that changes a miner: held from just before its first byte to its end."""
        async with AsyncExitStack() as held:
            for gate in self._gates(change):
                await held.enter_async_context(gate)
            yield

    def _gates(self, change: AnyChange) -> tuple[asyncio.Semaphore, ...]:
        if isinstance(change, Light | Pools):
            return (self._other,)
        if isinstance(change, Firmware):
            return (self._firmware, self._power)  # the narrow gate first, so that it never hoards
        return (self._power,)
