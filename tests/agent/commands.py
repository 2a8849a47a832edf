"""The commands as an operator starts them: processes of their own (`tests.warm`), stdout and exit codes; and a door that
stands for a daemon.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.local.socket import Known, LocalRequest, LocalServer
from simulator.farm import Farm
from tests.waiting import until
from tests.warm import Life, started

PROGRAM = (sys.executable, "-m", "agent")


class Ran:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> Any:
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        return json.loads(lines[0])


async def miner_agent(*args: object) -> Ran:
    return await _ended(await started("agent.cli.app", *args))


async def interrupted(
    *args: object,
    when: Callable[[], object],
    number: signal.Signals = signal.SIGINT,
    again: Sequence[float] = (),
) -> Ran:
    """The same, with a signal sent once `when` holds, and `again` after so many seconds each, as long as it lives."""
    process = await started("agent.cli.app", *args)
    try:
        await until(when, within_s=30.0)
        process.send_signal(number)
        for pause_s in again:
            await asyncio.sleep(pause_s)
            if process.returncode is None:
                process.send_signal(number)
        async with asyncio.timeout(20.0):
            return await _ended(process)
    finally:
        if process.returncode is None:
            process.kill()


async def _ended(process: Life) -> Ran:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def at(farm: Farm) -> list[str]:
    """The options that name the ports of a simulated farm."""
    first = next(iter(farm.miners))
    return ["--http-port", str(first.http_port), "--rpc-port", str(first.rpc_port)]


class SameWish:
    """A wish of which is known what the test says, and which ends as it says; never, where that is `None`."""

    def __init__(self, answer: dict[str, Any] | Exception | None, known: Known) -> None:
        self._answer = answer
        self._known = known

    async def result(self) -> dict[str, Any]:
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer or {}

    def known(self) -> Known:
        return self._known

    def phase(self) -> str:
        return "waiting for the test"

    def recall(self) -> None:
        """It ends as it ends."""


@asynccontextmanager
async def door(
    path: Path, answer: dict[str, Any] | Exception | None, known: Known | None = None
) -> AsyncIterator[list[LocalRequest]]:
    """A daemon's socket where every request gets the same answer; gives the requests."""
    asked: list[LocalRequest] = []

    def wish(request: LocalRequest) -> SameWish:
        asked.append(request)
        return SameWish(answer, known or Known())

    server = LocalServer(path, wish)
    await server.start()
    try:
        yield asked
    finally:
        await server.stop()
