"""A loop on which time passes only when nobody has anything else to do: a day of waiting lasts seconds, with real
sockets on loopback and real threads.

The loop's clock stands still while there is work: a callback that is ready, a socket that has something to say. Only when
there is none does it jump to the next timer. While a thread works for the loop, time passes as it does in the world: a
thread that takes its time can run out of it, and one that waits for time to pass is not waited for. Both ends of every
connection have to live on this loop, or on a thread it knows of (`owe`): it cannot see what another process is doing.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from contract.clock import BootTime, Clock, SystemClock

T = TypeVar("T")
_GRACE_S = 0.001  # what the kernel may take to carry bytes from one end of loopback to the other
_PATIENCE_S = 60.0  # of real time, for a loop without a timer
_HELD_UP_S = 10.0  # of real time: so long no turn of the loop may take, on a busy machine either
_STILL_S = 120.0  # of real time: what takes so long without any time passing goes round in circles
BEGINNING = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)  # when every virtual loop begins
_START_S = 1000.0  # its monotonic clock then


class _Jumping(selectors.EpollSelector):
    """Waits for sockets as ever, but lets the loop's clock jump instead of waiting for time."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _seconds: None
        self.busy: Callable[[], bool] = lambda: False
        self._active = True  # whether anything happened on a socket since the last jump
        self.begin()

    def begin(self) -> None:
        """The loop begins to turn."""
        self._turned = self._jumped = time.monotonic()

    def register(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._active = True
        return super().register(*args, **more)

    def modify(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._active = True
        return super().modify(*args, **more)

    def unregister(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._active = True
        return super().unregister(*args, **more)

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, selectors._EventMask]]:
        now = time.monotonic()
        # Neither shows in virtual time: what is timed by it would never fall due.
        if now - self._turned > _HELD_UP_S:
            raise AssertionError(f"something held the loop up for {now - self._turned:.0f} s")
        if now - self._jumped > _STILL_S:
            raise AssertionError("something goes round in circles, and no time passes")
        try:
            return self._select(timeout)
        finally:
            self._turned = time.monotonic()

    def _select(
        self, timeout: float | None
    ) -> list[tuple[selectors.SelectorKey, selectors._EventMask]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            self._active = self._active or bool(events)
            return events
        if self._active:
            self._active = False
            if events := super().select(_GRACE_S):
                self._active = True
                return events
        left_s = _PATIENCE_S if timeout is None else timeout
        while left_s > 0 and (self.busy() or timeout is None):
            since = time.monotonic()
            # A thread that is done rings through a socket too.
            events = super().select(min(left_s, 0.01))
            passed_s = min(time.monotonic() - since, left_s)
            left_s -= passed_s
            self._jump(passed_s)
            if events:
                self._active = True
                return events
        if timeout is None:
            raise AssertionError("nothing happens any more, and nothing is waited for")
        self._jump(left_s)
        return []

    def _jump(self, seconds: float) -> None:
        self._jumped = time.monotonic()
        self.jump(seconds)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Knows of the threads that it started itself, and of those that owe it the answer of a future (`owe`)."""

    def __init__(self) -> None:
        self._seconds = _START_S
        self.owed: set[asyncio.Future[Any]] = set()
        selector = self._jumping = _Jumping()
        super().__init__(selector)
        selector.jump = self._jump
        selector.busy = lambda: bool(self.owed)

    def run_forever(self) -> None:
        self._jumping.begin()
        super().run_forever()

    def time(self) -> float:
        return self._seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.owe(future)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """The loop ends only when its threads have, and no time is jumped over meanwhile."""
        ended = self.create_future()
        self.owe(ended)
        try:
            await super().shutdown_default_executor(*([] if timeout is None else [timeout]))
        finally:
            ended.cancel()

    def owe(self, future: asyncio.Future[Any]) -> None:
        """Until it is done, a thread works for this loop."""
        self.owed.add(future)
        future.add_done_callback(self.owed.discard)

    def _jump(self, seconds: float) -> None:
        self._seconds += seconds


class VirtualClock:
    """`contract.clock.Clock` of the virtual loop it is made on: all clocks of one loop agree."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "a virtual clock on a loop that waits in earnest"
        self._loop = loop

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._loop.time() - _START_S)

    def mono(self) -> float:
        return self._loop.time()

    def boot(self) -> BootTime:
        return BootTime("virtual", self._loop.time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def loop_clock() -> Clock:
    """The clock by which the running loop waits."""
    is_virtual = isinstance(asyncio.get_running_loop(), VirtualLoop)
    return VirtualClock() if is_virtual else SystemClock()


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
