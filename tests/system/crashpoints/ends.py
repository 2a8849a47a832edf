"""Agents that end hard at a chosen point, one after the other: `python ends.py run --config FILE`.

Each line of standard input begins one life of the agent, in a process of its own: forked from this one, which has
everything imported, since importing is most of what a short life costs. Empty, the agent is left alone; `PLACE SIDE N`:
PLACE `commit`: the N-th commit of the journal, SIDE `before` or `after` it.
PLACE `write`: the N-th exchange that changes a miner, or command that changes a rig, SIDE `before` its first byte, once
it is `sent` (the miner has it, nobody has seen the answer), or `after` the answer.

There it ends with exit code HIT, without running a single further line: no `finally`, no flush, no goodbye.
For each life two lines are said: its process id, and once it has ended its exit code.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, Final

import agent.daemon  # noqa: F401 - what the command line imports only once it runs
from agent.cli.app import main
from agent.demo.part import bound_to_us
from agent.journal.writer import Job, Writer
from drivers import wire
from drivers.link import Link
from drivers.rig.reach.ssh import SshReach
from drivers.rig.wire import RigWire

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


def _put(owner: Any, name: str, value: Any) -> None:
    """In place of what the house has there, for as long as this process lives."""
    assert hasattr(owner, name), name
    setattr(owner, name, value)


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

    _put(Writer, "_commit", commit)


def wrap_write(side: str, point: Point) -> None:
    """Around the first bytes of every exchange that carries an effect."""
    changing: ContextVar[bool] = ContextVar("changing", default=False)
    change, write = wire.Wire._change, Link.write

    async def _change(self: wire.Wire, *args: Any, **more: Any) -> Any:
        token = changing.set(True)
        try:
            return await change(self, *args, **more)
        finally:
            changing.reset(token)
            if side == "after" and point.passed():
                end()

    def _write(self: Link[Any], data: bytes) -> None:
        if not changing.get() or side == "after":
            write(self, data)
            return
        now = point.passed()
        if now and side == "before":
            end()
        write(self, data)
        if now:
            asyncio.get_running_loop().call_later(_UNDER_WAY_S, end)

    _put(wire.Wire, "_change", _change)
    _put(Link, "write", _write)


def wrap_command(side: str, point: Point) -> None:
    """Around the first byte of every command that changes a rig, which its server has taken once it has begun."""
    changing: ContextVar[bool] = ContextVar("changing", default=False)
    order, start = RigWire._sent, SshReach._start

    async def _sent(self: RigWire, *args: Any, **more: Any) -> Any:
        if side == "before" and point.passed():
            end()
        token = changing.set(True)
        try:
            return await order(self, *args, **more)
        finally:
            changing.reset(token)
            if side == "after" and point.passed():
                end()

    async def _start(self: SshReach, *args: Any, **more: Any) -> Any:
        session = await start(self, *args, **more)
        if side == "sent" and changing.get() and point.passed():
            end()
        return session

    _put(RigWire, "_sent", _sent)
    _put(SshReach, "_start", _start)


def wrap_writes(side: str, point: Point) -> None:
    """Around all that changes a miner, counted as one."""
    wrap_write(side, point)
    wrap_command(side, point)


def live(point: Sequence[str]) -> None:
    """One life, from its first line to its end."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if point:
        place, side, nth = point
        {"commit": wrap_commit, "write": wrap_writes}[place](side, Point(int(nth)))
    main()


if __name__ == "__main__":
    for line in sys.stdin:
        bind = bound_to_us()
        pid = os.fork()
        if not pid:
            if bind:
                bind()
            live(line.split())
            sys.exit()
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
