"""A loop on which time passes only when nobody has anything else to do: a day of waiting lasts seconds, with real
sockets on loopback and real threads.

The loop's clock stands still while there is work: a callback that is ready, a socket that has something to say, a thread
that was asked for something. Only then does it jump to the next timer. Both ends of every connection have to live on this
loop, or on a thread that `busy` knows of: the loop cannot see what another process is doing.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from contract.clock import BootTime

T = TypeVar("T")
_GRACE_S = 0.001  # what the kernel may take to carry bytes from one end of loopback to the other
_PATIENCE_S = 60.0  # of real time, for a thread that does not come back
BEGINNING = datetime(2026, 11, 21, 0, 0, tzinfo=UTC)


class _Jumping(selectors.EpollSelector):
    """Waits for sockets as ever, but lets the loop's clock jump instead of waiting for time."""

    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _seconds: None
        self.busy: Callable[[], bool] = lambda: False
        self._stirred = True  # whether anything happened on a socket since the last jump

    def register(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._stirred = True
        return super().register(*args, **more)

    def modify(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._stirred = True
        return super().modify(*args, **more)

    def unregister(self, *args: Any, **more: Any) -> selectors.SelectorKey:
        self._stirred = True
        return super().unregister(*args, **more)

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, selectors._EventMask]]:
        events = super().select(0)
        if events or (timeout is not None and timeout <= 0):
            self._stirred = self._stirred or bool(events)
            return events
        if self._stirred:
            self._stirred = False
            if events := super().select(_GRACE_S):
                self._stirred = True
                return events
        since = time.monotonic()
        while self.busy() or timeout is None:
            if events := super().select(0.01):  # a thread that is done rings through a socket too
                self._stirred = True
                return events
            if time.monotonic() - since > _PATIENCE_S:
                raise AssertionError("nothing happens any more, and nothing is waited for")
        self.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`busy` predicates tell of threads the loop did not start itself."""

    def __init__(self) -> None:
        self._seconds = 1000.0
        self._threads = 0
        self.jumps = 0
        self.busy: list[Callable[[], bool]] = []
        selector = _Jumping()
        super().__init__(selector)
        selector.jump = self._jump
        selector.busy = lambda: any(each() for each in self.busy) or self._threads > 0

    def time(self) -> float:
        return self._seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: Any) -> None:
        self._threads -= 1

    def _jump(self, seconds: float) -> None:
        self.jumps += 1
        self._seconds += seconds


class VirtualClock:
    """`contract.clock.Clock` of the loop it is made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time()

    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self._loop.time() - self._zero)

    def mono(self) -> float:
        return self._loop.time()

    def boot(self) -> BootTime:
        return BootTime("virtual", self._loop.time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run it on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
