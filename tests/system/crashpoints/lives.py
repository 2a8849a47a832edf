"""One life of an agent after the other: the other end of `ends.py`, whose lives end where they are told to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agent.demo.part import bound_to_us
from tests.system.site import HERE, Site


class Lives:
    """At most one at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pid = 0
        self._ended: asyncio.Task[int] | None = None

    async def begin(self, *point: object) -> None:
        """An agent that ends hard at this point (place, side, how often passed), or one that is left alone."""
        assert self.exit_code is not None, "the life before it goes on"
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, point)).encode() + b"\n")
        self._pid = await self._number()
        self._ended = asyncio.create_task(self._number())

    @property
    def exit_code(self) -> int | None:
        """Of the present (or last) life; `None` while it goes on."""
        if self._ended is None:
            return 0
        return self._ended.result() if self._ended.done() else None

    async def end(self) -> None:
        """Ask the agent to end, if it runs, and wait until it has."""
        if self._ended is None:
            return
        if not self._ended.done():
            # It may have ended by itself, with its exit code still on its way.
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
        await self._ended

    async def _number(self) -> int:
        assert self._process.stdout is not None
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def lives_of(site: Site) -> AsyncIterator[Lives]:
    """In place of the site's own agent, which is ended first; on the same folder, with the same log."""
    part = site.stage.agent
    await part.end()
    with part.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "crashpoints" / "ends.py"), "run", "--config", str(site.stage.folder / "config.toml"),
            stdin=PIPE, stdout=PIPE, stderr=log, preexec_fn=bound_to_us(), start_new_session=True,
        )  # fmt: skip
    lives = Lives(process)
    try:
        yield lives
    finally:
        with suppress(ValueError, ProcessLookupError):  # it is gone, and its last life with it
            await lives.end()
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
