"""The daemon's door for commands given on this host: one JSON document each way over a unix socket. Who asked and
closes their side before the answer is told what is known by then; the daemon goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog

from agent.host.door import OWNER, Door
from service.hostuser import owner_of

log = structlog.get_logger(__name__)
# Where a service manager gives the daemon a folder for it, a link to its door is found, wherever its state lies.
STANDARD_SOCKET: Final = Path("/run/miner-agent/agent.sock")
_REQUEST_MAX: Final = 256 * 1024
_REPLY_MAX: Final = 16 * 2**20
_LEAVE_S: Final = 3.0  # for what is known of a task that nobody waits for any more
_RECALL_S: Final = 1.5  # for the end of one that is recalled
_FOLLOW_S: Final = 0.5  # between two looks at what a task waits for
_WAITING_MOST: Final = 1024  # connections that are not taken yet
_ROOM_TRIES: Final = 100
_ROOM_S: Final = 0.1  # between two tries to connect where as many wait as may


class LocalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Carry out one task at one address (`None`: at the agent as a whole), at the miner with this `mac` where one is
    named. `follows`: whoever asks is to be told meanwhile what it waits for. `recalls`: who leaves before it has begun
    wishes for it no more.
    """

    name: str
    params: dict[str, Any] = {}
    host: str | None = None
    mac: str | None = None
    follows: bool = False
    recalls: bool = False


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a task that has not ended. `proven_by`: by when what was sent shows at the latest, as text."""

    task_id: str | None = None  # once it is taken on
    sent: bool = False  # a byte of a change may have reached the miner
    proven_by: str | None = None


class LocalReply(msgspec.Struct, frozen=True, kw_only=True):
    """`result` as tasks have it; or the sentence that says why it was not even begun; or, for who did not wait, what
    was known by then. With a `phase` it is none of these yet, but what the task waits for now.
    """

    result: dict[str, Any] | None = None
    refused: str | None = None
    known: Known | None = None
    phase: str | None = None


class NoDaemonError(Exception):
    """Nobody listens at the socket."""


class LocalRefusedError(Exception):
    """What a handler raises when a request cannot be begun; the message goes to whoever asked."""


class LocalTask(Protocol):
    """One request under way."""

    async def result(self) -> dict[str, Any]:
        """The task's result. Raises LocalRefusedError when it cannot be begun."""

    def known(self) -> Known:
        """What is known of it now."""

    def phase(self) -> str:
        """What it waits for now, in words."""

    def recall(self) -> None:
        """Whoever asked wishes for it no more."""


Handler = Callable[[LocalRequest], LocalTask]


class LocalServer:
    """Listens in the state folder, for this user and root only (mode 0600)."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._door = Door(
            path, self._converse, mode=OWNER, line_max=_REQUEST_MAX, waiting_most=_WAITING_MOST
        )

    async def start(self) -> None:
        """Raises OSError. A socket file that a killed daemon left is replaced."""
        self._path.unlink(missing_ok=True)
        await self._door.open()

    async def stop(self) -> None:
        """Close the door; requests under way are cut."""
        await self._door.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if not line:
                return  # they only wanted to know whether anybody is here
            request = msgspec.json.decode(line, type=LocalRequest)
        except (ValueError, RecursionError) as error:  # too long, or not a request
            await _say(writer, LocalReply(refused=f"not a request: {error}"))
            return
        task = self._handle(request)
        work = asyncio.create_task(self._reply(task), name="local")
        leaving = asyncio.create_task(reader.read(1), name="local-leaving")
        try:
            await self._until_either(work, leaving, task if request.follows else None, writer)
            if not work.done() and request.recalls:
                task.recall()
                await asyncio.wait((work,), timeout=_RECALL_S)
            if work.done():
                await _say(writer, work.result())
                return
            with contextlib.suppress(ConnectionError):  # killed: it hears nothing any more
                await _say(writer, LocalReply(known=task.known()))
            await work
        finally:
            for each in (work, leaving):
                each.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    async def _until_either(
        self,
        work: asyncio.Task[LocalReply],
        leaving: asyncio.Task[bytes],
        told: LocalTask | None,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Until the work is done or whoever asked leaves; they are told what it waits for, whenever that changes."""
        said = ""
        while True:
            done, _ = await asyncio.wait(
                (work, leaving),
                timeout=None if told is None else _FOLLOW_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if done or told is None:
                return
            if (phase := told.phase()) != said:
                said = phase
                with contextlib.suppress(ConnectionError):  # seen as leaving
                    await _say(writer, LocalReply(phase=phase))

    async def _reply(self, task: LocalTask) -> LocalReply:
        try:
            return LocalReply(result=await task.result())
        except LocalRefusedError as error:
            return LocalReply(refused=str(error))
        except Exception as error:
            log.exception("local.bug")
            return LocalReply(refused=f"internal error in the daemon: {type(error).__name__}")


def show_way(path: Path, folder: Path) -> None:
    """Leave a link to a door in a folder that others know. Raises OSError."""
    link = folder / STANDARD_SOCKET.name
    link.unlink(missing_ok=True)
    link.symlink_to(path.absolute())


async def listens(path: Path) -> bool:
    """Whether a daemon has its door there. Raises PermissionError when this user may not knock."""
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


class Call:
    """One request, made; see `calling`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self, on_phase: Callable[[str], None] = lambda _phase: None) -> LocalReply:
        """Wait for it; `on_phase` is told what it waits for. Raises ConnectionError when the daemon goes away meanwhile
        (what became of the task is then in its journal).
        """
        while True:
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the daemon went away before it answered")
            reply = msgspec.json.decode(line, type=LocalReply)
            if reply.phase is None:
                return reply
            on_phase(reply.phase)

    async def leave(self) -> LocalReply:
        """Wait no longer, though the daemon goes on: what is known by now (perhaps its end). Raises ConnectionError,
        TimeoutError when the daemon does not say.
        """
        self._writer.write_eof()
        async with asyncio.timeout(_LEAVE_S):
            return await self.answer()


@asynccontextmanager
async def calling(path: Path, request: LocalRequest) -> AsyncIterator[Call]:
    """Have a running daemon carry out a request. Raises NoDaemonError when none runs, LocalRefusedError where it
    listens to another user.
    """
    try:
        reader, writer = await _connected(path)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoDaemonError(str(path)) from None
    except PermissionError:
        raise LocalRefusedError(not_for_us(path)) from None
    try:
        await _say(writer, request)
        yield Call(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(path: Path, request: LocalRequest) -> LocalReply:
    """The answer to one request. Raises what `calling` and `Call.answer` do."""
    async with calling(path, request) as call:
        return await call.answer()


def not_for_us(path: Path) -> str:
    """What to say where a daemon listens to another user."""
    return (
        f"the agent of this host listens to its own user and to root alone, at {path}; run: "
        f"sudo -u {_whose(path)} miner-agent act ..."
    )


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Where as many wait at the door as may, it is tried again. Raises OSError, LocalRefusedError."""
    for _ in range(_ROOM_TRIES):
        with contextlib.suppress(BlockingIOError):
            return await asyncio.open_unix_connection(str(path), limit=_REPLY_MAX)
        await asyncio.sleep(_ROOM_S)
    raise LocalRefusedError(f"the agent of this host takes no more requests now, at {path}")


def _whose(path: Path) -> str:
    """The user that a daemon runs as, as far as we may look."""
    for each in (path, path.parent):
        with contextlib.suppress(OSError):
            if (owner := owner_of(each)) is not None:
                return owner.name
    return "USER"


async def _say(writer: asyncio.StreamWriter, document: LocalRequest | LocalReply) -> None:
    writer.write(msgspec.json.encode(document) + b"\n")
    await writer.drain()
