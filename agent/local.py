"""The daemon's door for commands given on this host: one JSON document each way over a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

log = structlog.get_logger(__name__)
_REQUEST_MAX: Final = 256 * 1024
_REPLY_MAX: Final = 16 * 2**20


class LocalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Carry out one task at one address (`None`: at the agent as a whole)."""

    name: str
    params: dict[str, Any] = {}
    host: str | None = None


class LocalReply(msgspec.Struct, frozen=True, kw_only=True):
    """`result` as tasks have it, or the sentence that says why it was not even begun."""

    result: dict[str, Any] | None = None
    refused: str | None = None


class NoDaemonError(Exception):
    """Nobody listens at the socket."""


class LocalRefusedError(Exception):
    """What a handler raises when a request cannot be begun; the message goes to whoever asked."""


Handler = Callable[[LocalRequest], Awaitable[dict[str, Any]]]


class LocalServer:
    """Listens in the state folder, for this user and root only (mode 0600)."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises OSError. A socket file that a killed daemon left is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, str(self._path), limit=_REQUEST_MAX
            )
        finally:
            os.umask(before)

    async def stop(self) -> None:
        """Close the door; requests under way are cut."""
        if self._server is None:
            return
        self._server.close()
        for caller in tuple(self._callers):
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        try:
            reply = await self._answer(reader)
            writer.write(msgspec.json.encode(reply) + b"\n")
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            log.info("local.cut")
        finally:
            self._callers.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> LocalReply:
        try:
            request = msgspec.json.decode(await reader.readline(), type=LocalRequest)
        except (ValueError, RecursionError) as error:  # too long, or not a request
            return LocalReply(refused=f"not a request: {error}")
        try:
            return LocalReply(result=await self._handle(request))
        except LocalRefusedError as error:
            return LocalReply(refused=str(error))
        except Exception as error:
            log.exception("local.bug")
            return LocalReply(refused=f"internal error in the daemon: {type(error).__name__}")


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


async def ask(path: Path, request: LocalRequest) -> LocalReply:
    """Have a running daemon carry out a request. Raises NoDaemonError when none runs, ConnectionError when it
    goes away meanwhile (what became of the task is then in its journal), PermissionError.
    """
    try:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=_REPLY_MAX)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoDaemonError(str(path)) from None
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        await writer.drain()
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the daemon went away before it answered")
        return msgspec.json.decode(line, type=LocalReply)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
