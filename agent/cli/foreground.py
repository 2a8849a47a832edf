"""Runs the work of one command, until it is done or a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
_ENDS: Final = (signal.SIGINT, signal.SIGTERM)
# A second signal so soon is the same wish; it leaves the time to say what is known.
_TWICE_S: Final = 4.0


class StoppedError(Exception):
    """A signal ended the work before it was done."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else "ended by a signal")
        self.exit_code = 128 + number  # as a shell has it


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """On uvloop where there is one. SIGINT and SIGTERM cancel the work, which may still say what it knows by
    returning all the same; then no further signal keeps the process from saying it. Raises StoppedError where it does
    not.
    """
    factory = None
    if sys.platform == "linux":
        import uvloop

        factory = uvloop.new_event_loop
    received: list[int] = []
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            return runner.run(_until_signal(work, received))
        except asyncio.CancelledError:
            if not received:
                raise
            raise StoppedError(received[0]) from None


async def _until_signal(work: Coroutine[Any, Any, _T], received: list[int]) -> _T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    again_at_s = float("-inf")

    def end(number: int) -> None:
        nonlocal again_at_s
        received.append(number)
        if loop.time() >= again_at_s:
            again_at_s = loop.time() + _TWICE_S
            task.cancel()

    for number in _ENDS:
        loop.add_signal_handler(number, end, number)
    try:
        return await work
    finally:
        if received:  # the loop is about to close, and its handlers with it
            signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
