"""Where connections are accepted: how many there are, and how long one may wait for a request.

aiohttp bounds the time of a head: a connection goes that has not sent all of one `keepalive_timeout` after it was made,
or after its last answer. It does not bound how many there are, nor how long one takes to read an answer, and during a
TLS handshake it does not know of them. So they are taken in here, one by one.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, cast

import structlog
from aiohttp import web

from cloud.config import CloudSettings
from cloud.http.auth import ACTOR, AGENT
from cloud.http.bodies import AWAITED_SINCE
from cloud.http.errors import error_response

HANDSHAKE_S: Final = 10.0
# Of a TLS connection that is closed, and for what a refused client still sends.
_GOODBYE_S: Final = 2.0
_PAUSE_S: Final = 0.1  # after a connection could not be taken in
_BACKLOG: Final = 1024
_NOT_HERE: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # a family, an address of it
_SAY_EVERY_S: Final = 60.0
_FILES_MIN: Final = 64  # for the database, uploads and downloads; of many files an eighth
log = structlog.get_logger(__name__)


def connection_options(settings: CloudSettings) -> Mapping[str, Any]:
    """How aiohttp treats each connection."""
    return {
        "access_log": None,
        "auto_decompress": False,  # `cloud.http.bodies` does, and can say in which encodings
        "keepalive_timeout": settings.idle_s,
        "lingering_time": _GOODBYE_S,
    }


def connections_within(open_files: int, settings: CloudSettings) -> int:
    """How many connections a process may have that may have so many open files."""
    others = max(_FILES_MIN, open_files // 8)
    return max(1, min(settings.connections_max, open_files - others))


class CloudListener(web.BaseSite):
    """Listens on every address of a host. With `most` connections open, the one that has waited longest for a request
    or a handshake makes room for the next; where none waits, the next is refused.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        settings: CloudSettings,
        *,
        most: int,
        ssl_context: ssl.SSLContext | None = None,
        handshake_s: float = HANDSHAKE_S,
    ) -> None:
        super().__init__(runner, ssl_context=ssl_context, backlog=_BACKLOG)
        self._host, self._wanted_port = host, port
        self._options = connection_options(settings)
        self._most = most
        self._handshake_s = handshake_s
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._arriving: dict[asyncio.Task[None], float] = {}  # since when
        self._sent_away = 0
        self._said_at = float("-inf")

    @property
    def name(self) -> str:
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{self._host}:{self.port}"

    @property
    def port(self) -> int:
        """The one it listens on; any free one was chosen for 0."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else self._wanted_port

    async def start(self) -> None:
        """Raises OSError, which names the options, when it cannot listen."""
        await super().start()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                self._host, self._wanted_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            self._sockets = _sockets_at(dict.fromkeys(found), self._backlog)
        except OSError as error:
            # What was tried is in the text already; a name that is not known has a number below 0.
            plain = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            where = f"{self._host} port {self._wanted_port} (--host, --port)"
            raise OSError(
                error.errno, f"cannot listen on {where}: {(plain or str(error)).lower()}"
            ) from None
        self._accepting = [
            asyncio.create_task(self._accept(each), name="accept") for each in self._sockets
        ]

    def show(self, context: ssl.SSLContext) -> None:
        """What connections are made with from now on; those that are open go on with theirs."""
        self._ssl_context = context

    async def stop(self) -> None:
        ending = [*self._accepting, *self._arriving]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        await super().stop()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                # Too many files, of other kinds, most likely.
                log.warning("connections.not_accepted", error=str(error))
                self._make_room()
                await asyncio.sleep(_PAUSE_S)
                continue
            if self._count() >= self._most and not self._make_room():
                connection.close()
            else:
                task = asyncio.create_task(self._take_in(connection), name="take_in")
                self._arriving[task] = loop.time()
                task.add_done_callback(partial(self._arrived, connection))
            # What was closed to make room is gone after a turn of the loop.
            await asyncio.sleep(0)

    async def _take_in(self, connection: socket.socket) -> None:
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None
        secure: dict[str, Any] = {}
        if self._ssl_context is not None:
            secure = {
                "ssl": self._ssl_context,
                "ssl_handshake_timeout": self._handshake_s,
                "ssl_shutdown_timeout": _GOODBYE_S,
            }
        # A client that goes, or that speaks no TLS, is nobody's fault here.
        with suppress(OSError):
            await loop.connect_accepted_socket(
                lambda: _Connection(server, loop=loop, **self._options), connection, **secure
            )

    def _arrived(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._arriving.pop(task, None)
        if task.cancelled():
            connection.close()

    def _count(self) -> int:
        assert self._runner.server is not None
        return len(self._arriving) + len(self._runner.server.connections)

    def _make_room(self) -> bool:
        """Whether one was sent away."""
        assert self._runner.server is not None
        waiting: list[tuple[float, _Connection | asyncio.Task[None]]] = [
            (since, each)
            for each in self._runner.server.connections
            if isinstance(each, _Connection) and (since := each.waits_since) is not None
        ]
        if self._ssl_context is not None:
            waiting += [(since, task) for task, since in self._arriving.items()]
        self._say(room=bool(waiting))
        if not waiting:
            return False
        _, first = min(waiting, key=lambda each: each[0])
        if isinstance(first, _Connection):
            first.send_away()
        else:
            first.cancel()
            self._arriving.pop(first, None)
        return True

    def _say(self, *, room: bool) -> None:
        now = asyncio.get_running_loop().time()
        self._sent_away += 1
        if now - self._said_at >= _SAY_EVERY_S:
            log.warning(
                "connections.full", most=self._most, all_busy=not room, sent_away=self._sent_away
            )
            self._said_at, self._sent_away = now, 0


def _sockets_at(found: Iterable[Any], backlog: int) -> list[socket.socket]:
    """One for each of the addresses that a look-up found. Raises OSError.

    A host without IPv6 has an address of it for `localhost` all the same: what is not here is left out, unless nothing
    would be left.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, _, _, _, address in found:
            try:
                listening = socket.create_server(address, family=family, backlog=backlog)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
                continue
            listening.setblocking(False)
            sockets.append(listening)
        if missing is not None and not sockets:
            raise missing
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


class _Connection(web.RequestHandler):
    """One connection. What is not HTTP is refused in the form of every other refusal."""

    __slots__ = ("_end", "_line", "_unread_since")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._line: asyncio.Transport | None = None  # aiohttp forgets its own when it closes it
        self._unread_since: float | None = None  # an answer, by somebody nobody knows
        self._end: asyncio.TimerHandle | None = None

    @property
    def waits_since(self) -> float | None:
        """Since when, on the loop's clock, something is waited for: the whole head of its next request, or the body of
        one that nobody knows, or that such a one reads its answer. None while it is answered.

        aiohttp tells the first in no public way; these are what its own keep-alive goes by.
        """
        if self._waiter is not None and not self._waiter.done():
            return self._next_keepalive_close_time - self.keepalive_timeout
        if self._unread_since is not None:
            return self._unread_since
        request = self._current_request
        return None if request is None else request.get(AWAITED_SINCE)

    def send_away(self) -> None:
        """At once: a TLS client that is silent would not say goodbye either."""
        self.force_close()
        if self._line is not None:
            self._line.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._line = None
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    async def start(self) -> None:
        try:
            await super().start()
        finally:
            # It is closed once the rest of the last answer is read, which has its time.
            if self._line is not None:
                self._unread_since = self._loop.time()
                self._end = self._loop.call_later(self.keepalive_timeout, self._line.abort)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if AGENT not in request and ACTOR not in request:
            self._unread_since = self._loop.time()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._unread_since = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Called by aiohttp for a head it cannot read, and for what an application lets through."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = error_response(status, f"The request cannot be read: {(message or '')[:200]}")
        response.force_close()
        return response
