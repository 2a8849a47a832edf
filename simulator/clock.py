"""Device time: how fast the simulated farm lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

_CLIENT_S: Final = 2.0  # real: however fast the devices live, a client on a busy host does not


class DeviceClock:
    """Seconds as the devices count them: `scale` device seconds pass in one second of the loop.

    It reads the running loop's clock, so a farm on a virtual-time loop lives in virtual time.
    """

    def __init__(self, scale: float = 1.0) -> None:
        if scale <= 0:
            raise ValueError("time scale must be above 0")
        self.scale = scale
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time()
        self._unix_zero = time.time()
        self._held: float | None = None

    def now(self) -> float:
        """Device seconds since the farm was started."""
        return self._running() if self._held is None else self._held

    def hold(self) -> None:
        """Let every figure stand still, so that two clients see the same; waits last as ever."""
        self._held = self.now()

    def go_on(self) -> None:
        """Undo `hold`: the time that passed meanwhile has passed."""
        self._held = None

    def unix(self) -> int:
        """What a device believes the date to be, unix seconds."""
        return int(self._unix_zero + self.now())

    def call_later(
        self, seconds: float, callback: Callable[..., object], *args: object
    ) -> asyncio.TimerHandle:
        """Run `callback` after so many device seconds."""
        return self._loop.call_later(max(seconds, 0.0) / self.scale, callback, *args)

    async def sleep(self, seconds: float) -> None:
        """Wait so many device seconds."""
        if seconds > 0:
            await asyncio.sleep(seconds / self.scale)

    def patience(self, seconds: float) -> float:
        """Device seconds to wait for a client: so many, but never less than two real seconds."""
        return max(seconds, _CLIENT_S * self.scale)

    def _running(self) -> float:
        return (self._loop.time() - self._zero) * self.scale
