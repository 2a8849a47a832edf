"""The commands as an operator starts them: real processes, stdout and exit codes; and a door that stands for a daemon."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.local import LocalRequest, LocalServer
from simulator.farm import Farm

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
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *map(str, args), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def at(farm: Farm) -> list[str]:
    """The options that name the ports of a simulated farm."""
    first = next(iter(farm.miners))
    return ["--http-port", str(first.http_port), "--rpc-port", str(first.rpc_port)]


@asynccontextmanager
async def door(path: Path, answer: dict[str, Any] | Exception) -> AsyncIterator[list[LocalRequest]]:
    """A daemon's socket where every request gets the same answer; gives the requests."""
    asked: list[LocalRequest] = []

    async def handle(request: LocalRequest) -> dict[str, Any]:
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    server = LocalServer(path, handle)
    await server.start()
    try:
        yield asked
    finally:
        await server.stop()
