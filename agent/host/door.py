"""A Unix socket that a service listens at: a task for each caller, all of which end with the service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import structlog

log: Any = structlog.get_logger(__name__)
OWNER: Final = 0o600  # who may connect: the service's own user, and root
GROUP: Final = 0o660  # and its group

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Door:
    """Stands at a path where nothing is. `talk` is a conversation with one caller, of lines of at most `line_max`
    bytes; `waiting_most` connections may wait to be taken. `mode` is OWNER or GROUP.
    """

    def __init__(
        self, path: Path, talk: Talk, *, mode: int, line_max: int, waiting_most: int
    ) -> None:
        self._path = path
        self._talk = talk
        self._mode = mode
        self._line_max = line_max
        self._waiting_most = waiting_most
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Raises OSError."""
        listening = socket.socket(socket.AF_UNIX)
        try:
            self._bind(listening)
            self._path.chmod(self._mode)  # nobody can connect before it listens
            self._server = await asyncio.start_unix_server(
                self._serve, sock=listening, limit=self._line_max, backlog=self._waiting_most
            )
        except BaseException:
            listening.close()
            raise

    async def close(self) -> None:
        """Conversations under way are cut."""
        if self._server is None:
            return
        self._server.close()
        for caller in tuple(self._callers):
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        await self._server.wait_closed()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    # --- private ---------------------------------------------------------------------------------

    def _bind(self, listening: socket.socket) -> None:
        try:
            listening.bind(str(self._path))
        except OSError as error:  # which does not say where
            raise OSError(error.errno, error.strerror, str(self._path)) from None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            log.debug("door.cut", path=str(self._path))
        finally:
            self._callers.discard(task)
            if task.cancelling():  # the service ends: nobody waits for who reads slowly
                writer.transport.abort()
            else:
                writer.close()
