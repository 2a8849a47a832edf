"""What a sweep met is looked at as soon as a place is free; those who say nothing hold no place for long."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from agent.scan.sweep.plan import SweepRow
from agent.scan.visitor import Visitor, VisitResult
from contract.ranges import address_of, number_of
from drivers.doors import Doors

_SLOW_S: Final = 1.5  # a miner has said who it is by then
_SLOW_SHARE: Final = 8  # so many times the usual number, at most, are waited for


class Visits:
    """Of one sweep; left as a context once all were visited. Where many wait, their sockets do not."""

    def __init__(
        self,
        visitor: Visitor,
        at_once: int,
        on_visited: Callable[[str, VisitResult], None],
    ) -> None:
        """`on_visited(ip, visited)` hears of each."""
        self._visitor = visitor
        self._at_once = at_once
        self._on_visited = on_visited
        # As numbers: a network may answer at all its addresses.
        self._waiting: deque[tuple[int, Doors]] = deque()
        self._seen_doors: dict[tuple[frozenset[int], frozenset[int]], Doors] = {}
        self._at_work = self._slow = 0
        self._is_cut = False

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._group.__aexit__(kind, error, trace)
        finally:
            while self._waiting:
                self._waiting.popleft()[1].close()

    def take(self, hits: Iterable[SweepRow]) -> None:
        """They are looked at as soon as somebody is free."""
        for each in hits:
            if self._is_cut:
                each.doors.close()
            else:
                self._waiting.append((number_of(each.ip), self._held(each.doors)))
        self._hire()

    def cut(self) -> None:
        """Nobody is looked at any more."""
        self._is_cut = True

    def _held(self, doors: Doors) -> Doors:
        """While it waits. Many have the same ports open, and no sockets: they have one `Doors`."""
        if len(self._waiting) < self._at_once:
            return doors
        doors.close()
        return self._seen_doors.setdefault((doors.open, doors.refused), doors)

    @property
    def _places(self) -> int:
        """How many may be looked at side by side. Who says nothing for long takes no place from the others."""
        return self._at_once + min(self._slow, _SLOW_SHARE * self._at_once)

    def _hire(self) -> None:
        for _ in range(min(len(self._waiting), self._places - self._at_work)):
            self._at_work += 1
            self._group.create_task(self._work(), name="scan-visits")

    async def _work(self) -> None:
        try:
            while self._waiting and self._at_work <= self._places:
                number, doors = self._waiting.popleft()
                ip = address_of(number)
                with self._giving_place():
                    visited = await self._visitor.visit(ip, doors)
                self._on_visited(ip, visited)
        finally:
            self._at_work -= 1

    @contextmanager
    def _giving_place(self) -> Iterator[None]:
        """To another one, once this takes long."""
        is_slow = False

        def give() -> None:
            nonlocal is_slow
            is_slow = True
            self._slow += 1
            self._hire()

        timer = asyncio.get_running_loop().call_later(_SLOW_S, give)
        try:
            yield
        finally:
            timer.cancel()
            self._slow -= is_slow
