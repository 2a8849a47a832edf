"""How many effects may happen at once, so that a farm's power is not switched all in one instant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Protocol, Self

from agent.limits.pacer import Pacer, Ticket
from agent.limits.policy import Policy
from contract.clock import Clock
from drivers.base import AnyChange, FirmwareUpdate, Light, Pools


class Planned(Protocol):
    """What a slot depends on."""

    @property
    def change(self) -> object: ...
    @property
    def raises_power(self) -> bool: ...


class _Gates:
    """Those of one kind of change: what it passes while it is written, and for each of its orders."""

    def __init__(self, effects: int, applying: int) -> None:
        self.exchange = asyncio.Semaphore(effects)
        self.applying = asyncio.Semaphore(applying)


class Slots:
    """Bounded room for the phases of a change. All waiting is first come, first served.

    What raises power, what lowers it, and what has little to do with it (light, pools) have slots of their own: none of
    them waits for another.
    """

    def __init__(
        self, policy: Policy, clock: Clock, *, miners_known: Callable[[], int] = lambda: 0
    ) -> None:
        self._pacer = Pacer(clock, lambda: policy.power_ons(miners_known()))
        self._raising = _Gates(policy.limits.power_effects, policy.applying)
        self._lowering = _Gates(policy.limits.power_effects, policy.applying)
        self._other = _Gates(policy.limits.light_effects, policy.applying)
        self._firmware = asyncio.Semaphore(policy.limits.firmware_effects)
        self._asking = asyncio.Semaphore(policy.limits.power_effects)
        self._asking_firmware = asyncio.Semaphore(policy.limits.firmware_effects)
        self._looking = asyncio.Semaphore(policy.looking)

    def looking(self) -> AbstractAsyncContextManager[None]:
        """For reading before a write."""
        return self._looking

    def turn(self, change: AnyChange) -> PowerTurn:
        """For the orders of one change that raises power."""
        return PowerTurn(
            self._firmware if isinstance(change, FirmwareUpdate) else None, self._pacer.ticket()
        )

    def asking(self, plan: Planned) -> AbstractAsyncContextManager[None]:
        """For the beginning of what the cloud grants, until it may send: taken before its turn, never the other way."""
        return self._asking_firmware if isinstance(plan.change, FirmwareUpdate) else self._asking

    def applying(self, plan: Planned) -> AbstractAsyncContextManager[None]:
        """For the write, its connect and its wait for an effect's slot."""
        return self._gates(plan).applying

    def is_free(self, plan: Planned, ticket: Ticket | None = None) -> bool:
        """Whether `exchange` would be entered without waiting: a slot is free and nobody waits for it."""
        has_ticket = ticket is None or ticket.is_free
        return has_ticket and not self._gates(plan).exchange.locked()

    @asynccontextmanager
    async def exchange(self, plan: Planned, ticket: Ticket | None = None) -> AsyncIterator[None]:
        """For one exchange that changes a miner: held from just before its first byte to its end."""
        if ticket is not None:
            await ticket.take()
        async with self._gates(plan).exchange:
            yield

    def _gates(self, plan: Planned) -> _Gates:
        if isinstance(plan.change, Light | Pools):
            return self._other
        return self._raising if plan.raises_power else self._lowering


class PowerTurn:
    """What one change that raises power waits for before it begins: its place among the firmware updates, which are few
    at a time, and a ticket for its next order. Those who wait for a place keep nobody else's ticket.
    """

    def __init__(self, places: asyncio.Semaphore | None, ticket: Ticket) -> None:
        self.ticket = ticket
        self._places = places
        self._has_place = False

    async def take(self) -> None:
        """Wait for it, unless it is held already."""
        if self._places is not None and not self._has_place:
            await self._places.acquire()
            self._has_place = True
        await self.ticket.take()

    def give_back(self) -> None:
        """Nothing is ordered, or not yet: others may go."""
        self.ticket.give_back()
        if self._places is not None and self._has_place:
            self._places.release()
            self._has_place = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.give_back()
