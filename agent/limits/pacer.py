"""The pace at which orders that raise power begin: one for the whole process, whoever wished for them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from contract.clock import Clock

WITHIN_S: Final = 10.0


class Pacer:
    """At most `most()` orders begin in any `WITHIN_S` seconds, on the monotonic clock.

    Ticket is given evenly, one each `WITHIN_S / most()` seconds: miners that begin to draw in the same instant trip a
    breaker that bears them one after the other. What happens between leave and order (a connect, a look, the disk) may
    push orders together, so a leave that is not used yet counts as an order of this very moment.

    First come, first served; a change that has begun, and needs leave for its next order, goes before those that have
    not. Waiting holds nothing that others need.
    """

    def __init__(self, clock: Clock, most: Callable[[], int]) -> None:
        """`most` is asked again each time: it may follow the number of miners."""
        self._clock = clock
        self._most = most
        self._unused = 0  # leaves given, whose order has not begun
        self._begun_mono: deque[float] = deque()  # orders of the last WITHIN_S
        self._given_mono = -math.inf  # the last leave
        self._row = asyncio.Lock()  # of the changes that have not begun
        self._front = asyncio.Lock()  # of the first of them, and of those that have begun
        self._waiting = 0  # in either
        self._changed = asyncio.Event()

    def leave(self) -> Ticket:
        """For the orders of one change, one at a time. Whoever takes it gives it back in the end."""
        return Ticket(self)

    # --- for tickets -------------------------------------------------------------------------------

    @property
    def is_free(self) -> bool:
        """Whether `take` would not wait."""
        return not self._waiting and self._wait_s() <= 0

    async def take(self, *, has_begun: bool) -> None:
        """Wait for leave; does not give the loop away where it is free."""
        self._waiting += 1
        try:
            async with AsyncExitStack() as row:
                if not has_begun:
                    await row.enter_async_context(self._row)
                async with self._front:
                    while (wait_s := self._wait_s()) > 0:
                        await self._pause(wait_s)
                    self._unused += 1
                    self._given_mono = self._clock.mono()
        finally:
            self._waiting -= 1

    def use(self) -> None:
        """The order begins now."""
        self._begun_mono.append(self._clock.mono())
        self.give_back()

    def give_back(self) -> None:
        """The order does not begin."""
        self._unused -= 1
        self._changed.set()

    # --- private ---------------------------------------------------------------------------------

    def _wait_s(self) -> float:
        """How long until one more may have leave, as things stand; infinite while only unused ones stand before it."""
        now, most = self._clock.mono(), max(1, self._most())
        while self._begun_mono and now - self._begun_mono[0] >= WITHIN_S:
            self._begun_mono.popleft()
        evenly_s = self._given_mono + WITHIN_S / most - now
        too_many = self._unused + len(self._begun_mono) + 1 - most
        if too_many <= 0:
            return evenly_s
        if too_many > len(self._begun_mono):
            return math.inf
        return max(evenly_s, self._begun_mono[too_many - 1] + WITHIN_S - now)

    async def _pause(self, wait_s: float) -> None:
        """For so long, or until a leave was used or given back."""
        self._changed.clear()
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._changed.wait())]
        if wait_s < math.inf:
            waits.append(asyncio.ensure_future(self._clock.sleep(wait_s)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


class Ticket:
    """The leave of one change: for its next order, once it is taken."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._is_held = False
        self._has_begun = False  # it had leave before

    @property
    def is_free(self) -> bool:
        """Whether `take` would not wait."""
        return self._is_held or self._pacer.is_free

    async def take(self) -> None:
        """Wait for leave, unless it is held already."""
        if not self._is_held:
            await self._pacer.take(has_begun=self._has_begun)
            self._is_held = self._has_begun = True

    def use(self) -> None:
        """The order begins now: the next one needs another leave."""
        assert self._is_held, "no order without leave"
        self._is_held = False
        self._pacer.use()

    def give_back(self) -> None:
        """Nothing is ordered, or not yet: others may go. It keeps its place before those that have not begun."""
        if self._is_held:
            self._is_held = False
            self._pacer.give_back()
