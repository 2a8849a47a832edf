"""How many effects may happen at once, so that a farm's power is not switched all in one instant."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final

from agent.policy import Policy
from contract.clock import Clock
from drivers.base import AnyChange, Firmware, Light, Pools, Resume

RESUMES_WITHIN_S: Final = 10.0


class Slots:
    """Bounded leave for the phases of a change. All waiting is first come, first served."""

    def __init__(self, policy: Policy, clock: Clock) -> None:
        self._resumes = _Pace(clock, policy.resumes_per_10_s, RESUMES_WITHIN_S)
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
        if isinstance(change, Resume) and not self._resumes.is_free:
            return False
        return not any(gate.locked() for gate in self._gates(change))

    @asynccontextmanager
    async def effect(self, change: AnyChange) -> AsyncIterator[None]:
        """For one exchange that changes a miner: held from just before its first byte to its end.

        Miners that begin to hash draw the most within seconds, so these begin one after the other, whatever kept them
        waiting before: a network that was away gives leave to all of them at the same moment.
        """
        if isinstance(change, Resume):
            await self._resumes.wait()
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


class _Pace:
    """At most `most` in any `within_s` seconds, first come, first served."""

    def __init__(self, clock: Clock, most: int, within_s: float) -> None:
        self._clock = clock
        self._within_s = within_s
        self._last_mono: deque[float] = deque(maxlen=most)
        self._turn = asyncio.Lock()

    @property
    def is_free(self) -> bool:
        return not self._turn.locked() and self._wait_s() <= 0

    async def wait(self) -> None:
        async with self._turn:
            while (wait_s := self._wait_s()) > 0:
                await self._clock.sleep(wait_s)
            self._last_mono.append(self._clock.mono())

    def _wait_s(self) -> float:
        if len(self._last_mono) < (self._last_mono.maxlen or 0):
            return 0.0
        return self._last_mono[0] + self._within_s - self._clock.mono()
