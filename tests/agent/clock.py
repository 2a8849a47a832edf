"""Time in tests of the agent."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from contract.clock import BootTime
from tests.virtual_time import VirtualClock


class SettableClock(VirtualClock):
    """The clock of the loop, with a clock on the wall that can be set, and a way to let time pass and see what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self._off = timedelta(0)
        self._boots = 1

    def now(self) -> datetime:
        return super().now() + self._off

    def step(self, by: timedelta) -> None:
        """Set the clock on the wall."""
        self._off += by

    def boot(self) -> BootTime:
        return BootTime(f"boot {self._boots}", super().boot().seconds)

    def reboot(self) -> None:
        """The host starts again."""
        self._boots += 1

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and all happen that is due by then."""
        await asyncio.sleep(seconds)
        calm = 0
        while calm < 20:
            if owed := self._loop.owed:
                calm = 0
                await asyncio.wait(owed)
            else:
                calm += 1
                await asyncio.sleep(0)
