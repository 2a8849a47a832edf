"""Time in tests of the agent: a wall clock that can be set, journals whose threads are waited for, and conditions."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.journal.writer import Writer
from tests.virtual_time import VirtualClock, VirtualLoop


class HandClock(VirtualClock):
    """The clock of the loop, with a clock on the wall that can be set, and a way to let time pass and see what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self._off = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._off

    def step(self, by: timedelta) -> None:
        """Set the clock on the wall."""
        self._off += by

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and everyone do what he can do by then."""
        await asyncio.sleep(seconds)
        calm = 0
        while calm < 20:
            if _owed:
                calm = 0
                await asyncio.wait(_owed)
            else:
                calm += 1
                await asyncio.sleep(0)


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
