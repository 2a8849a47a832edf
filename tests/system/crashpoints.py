"""An agent that ends hard at one chosen point: `python crashpoints.py PLACE SIDE N run --config FILE`.

PLACE `commit`: the N-th commit of the journal, SIDE `before` or `after` it.
PLACE `write`: the N-th exchange that changes a miner, SIDE `before` its first byte, once it is `sent` (the
miner has it, nobody has seen the answer), or `after` the answer.

It ends with exit code HIT, without running a single further line: no `finally`, no flush, no goodbye.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final

from agent.cli import main
from agent.journal.writer import Job, Writer
from drivers import wire

HIT: Final = 77
_UNDER_WAY_S: Final = 0.03  # for the bytes to leave this process and reach the miner


class Point:
    """Counts how often the place is passed, and ends the process the N-th time."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def passed(self) -> bool:
        """Whether this is the time."""
        self._left -= 1
        return self._left == 0


def end() -> None:
    """As if the power were cut."""
    os._exit(HIT)


def wrap_commit(side: str, point: Point) -> None:
    """Around the single place where the journal changes."""
    whole = Writer._commit

    def commit(self: Writer, batch: Sequence[Job]) -> None:
        now = point.passed()
        if now and side == "before":
            end()
        whole(self, batch)
        if now:
            end()

    Writer._commit = commit  # type: ignore[method-assign]


def wrap_write(side: str, point: Point) -> None:
    """Around the first bytes of every exchange that carries an effect."""
    changing: ContextVar[bool] = ContextVar("changing", default=False)
    change, write = wire.Wire._change, wire._Link.write

    async def _change(self: wire.Wire, *args: Any, **more: Any) -> Any:
        token = changing.set(True)
        try:
            return await change(self, *args, **more)
        finally:
            changing.reset(token)
            if side == "after" and point.passed():
                end()

    def _write(self: wire._Link[Any], data: bytes) -> None:
        if not changing.get() or side == "after":
            write(self, data)
            return
        now = point.passed()
        if now and side == "before":
            end()
        write(self, data)
        if now:
            asyncio.get_running_loop().call_later(_UNDER_WAY_S, end)

    wire.Wire._change = _change  # type: ignore[method-assign]
    wire._Link.write = _write  # type: ignore[method-assign]


if __name__ == "__main__":
    place, side, nth = sys.argv[1:4]
    sys.argv[1:4] = []
    {"commit": wrap_commit, "write": wrap_write}[place](side, Point(int(nth)))
    main()
