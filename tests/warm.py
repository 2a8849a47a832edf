"""Real processes without the half second that importing takes: each is forked from one that has everything imported.

A life has a process id, streams, signals and an exit code of its own, and shares no state with another. What it does
not show is its own importing: that `python -m agent` starts at all, and what it needs to, is for tests that start it so.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from asyncio import StreamReader
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.demo.part import Part, StageError, command

ROOT: Final = Path(__file__).resolve().parents[1]
_servers: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}


class Life:
    """One process, with what is used of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, status: StreamReader, streams: Mapping[str, StreamReader]) -> None:
        self.pid = pid
        self.stdout = streams.get("stdout")
        self.stderr = streams.get("stderr")
        self._ended = asyncio.create_task(_last_number(status))

    @property
    def returncode(self) -> int | None:
        """`None` while it runs."""
        return self._ended.result() if self._ended.done() else None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            # Its server reaps it and tells us afterwards: it may be gone already.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes]:
        """All that it says (nothing, of a stream that is not ours), once it has ended."""
        out, err = await asyncio.gather(_all(self.stdout), _all(self.stderr))
        await self.wait()
        return out, err


async def started(
    module: str,
    *args: object,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> Life:
    """The `main` of a module, in a process of its own. A stream is a pipe to us, or goes to a file by its descriptor."""
    assert os.geteuid() == os.getuid(), "a life is of the user who began this process"
    ours: dict[str, int] = {}
    theirs: list[int] = []
    own: list[int] = []
    for name, given in (("stdout", stdout), ("stderr", stderr), ("status", subprocess.PIPE)):
        if given != subprocess.PIPE:
            theirs.append(given)
            continue
        ours[name], write = os.pipe()
        theirs.append(write)
        own.append(write)
    order = {
        "args": [str(each) for each in args],
        "cwd": str(Path.cwd()),
        "env": dict(os.environ if env is None else env),
    }
    socket.send_fds(_server(module), [json.dumps(order).encode()], theirs)
    for each in own:
        os.close(each)
    readers = {name: await _reader(fd) for name, fd in ours.items()}
    status = readers.pop("status")
    return Life(await _number(status), status, readers)


class WarmPart(Part):
    """A part of the stage whose lives are forked; put in its place, it runs the same program with the same log."""

    @classmethod
    async def instead_of(cls, part: Part) -> WarmPart:
        """End the part, and begin a first life."""
        await part.end()
        made = cls(part.log.parent, part.name, part.program)
        await made.start()
        return made

    async def start(self) -> dict[str, Any]:
        """Begin a life."""
        module = (
            self.program[2].rpartition("from ")[2].split()[0]
        )  # as `agent.demo.part.command` has it
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            life: Any = await started(
                module, *self.program[3:], stdout=log.fileno(), stderr=log.fileno()
            )
        self._process = life
        self.lives += 1
        return {}


async def ask(module: str, *args: object) -> Any:
    """As `agent.demo.part.ask`: run a command to its end; give the JSON document of its last line."""
    process = await started(module, *args, "--json")
    out, err = await process.communicate()
    if process.returncode != 0:
        raise StageError(f"{module} {args[0]} failed: {err.decode(errors='replace')[-2000:]}")
    return json.loads(out.splitlines()[-1])


def end_all() -> None:
    """Let the servers end, and wait for them: what their lives took is counted with this process."""
    while _servers:
        _, (server, control) = _servers.popitem()
        control.close()
        server.wait()


def _server(module: str) -> socket.socket:
    """Where lives of this module are ordered: of one server for all of this process."""
    if module not in _servers:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            server = subprocess.Popen(
                [*command("tests.warm_server", theirs.fileno(), module)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                start_new_session=True,
            )  # fmt: skip
        _servers[module] = server, ours
    return _servers[module][1]


async def _reader(fd: int) -> StreamReader:
    reader = StreamReader(limit=2**26)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(fd, "rb", 0))
    return reader


async def _number(status: StreamReader) -> int:
    return int(await status.readline())


async def _last_number(status: StreamReader) -> int:
    number = await _number(status)
    await status.read()  # to its end, which closes it
    return number


async def _all(stream: StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()
