"""Time in tests: a clock that moves only when the test says so, and waiting for what needs no time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.journal.writer import Writer
from contract.clock import BootTime
from tests.virtual_time import VirtualLoop


class HandClock:
    """Time moves only when the test says so."""

    def __init__(self) -> None:
        self._mono = 1000.0
        self._wall = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._wall

    def mono(self) -> float:
        return self._mono

    def boot(self) -> BootTime:
        return BootTime("the host of these tests", self._mono)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._mono + seconds, future))
        await future

    def step(self, by: timedelta) -> None:
        """Set the clock on the wall."""
        self._wall += by

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, waking everyone on the way at his moment."""
        end = self._mono + seconds
        while True:
            await self._settle()
            self._sleepers = [each for each in self._sleepers if not each[1].done()]
            due = [each[0] for each in self._sleepers if each[0] <= end]
            if not due:
                break
            self._to(min(due))
            for at, future in self._sleepers:
                if at <= self._mono and not future.done():
                    future.set_result(None)
        self._to(end)
        await self._settle()

    async def _settle(self) -> None:
        """Let everything go on that can go on without time passing."""
        calm = 0
        while calm < 20:
            calm = 0 if owed() else calm + 1
            await asyncio.sleep(0)

    def _to(self, mono: float) -> None:
        self._wall += timedelta(seconds=max(0.0, mono - self._mono))
        self._mono = max(self._mono, mono)


_owed: set[asyncio.Future[Any]] = set()


def owed() -> int:
    """How many answers the threads of journals still owe."""
    return len(_owed)


def watch_journals(patch: pytest.MonkeyPatch) -> None:
    """Keep account of what the thread of every journal owes: while it does, no virtual time is jumped over."""
    submit = Writer._submit

    def _submit(self: Writer, work: Any, need: Any) -> asyncio.Future[Any]:
        future = submit(self, work, need)
        _owed.add(future)
        future.add_done_callback(_owed.discard)
        loop = future.get_loop()
        if isinstance(loop, VirtualLoop):
            loop.owe(future)
        return future

    patch.setattr(Writer, "_submit", _submit)


async def until(condition: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait for a condition; TimeoutError if it does not come."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  any condition, also of another process
            await asyncio.sleep(0.005)
