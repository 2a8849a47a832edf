"""Listening sockets that come and go, and connections that can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import re
import socket
import struct
import zlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

from simulator.certificate import server_context
from simulator.faults import Faults

BACKLOG = 100
CHUNK = 64 * 1024
TAP_LIMIT = 64 * 1024
_BIND_TRIES = 20


class WireEntry(NamedTuple):
    """What one request looked like on the wire: the port, its first 64 KiB, and two judgements."""

    port: int
    data: bytes
    had_credentials: bool
    kind: str


class Host(Protocol):
    """The device behind a connection, as far as connections need it."""

    faults: Faults
    connections: int

    def tap(self, port: int, kind: str, data: bytes, *, had_credentials: bool) -> None:
        """Keep what a client sent, when somebody listens in."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something on the device's own board: it ends when the device loses power."""


class ListeningPort:
    """One listening socket on one address; closing it also cuts its open connections.

    `one_by_one`: the next client is accepted once the one before is gone; the kernel keeps the others, connected.
    """

    def __init__(
        self,
        ip: str,
        port: int,
        connection: Callable[[ListeningPort], Connection],
        *,
        tls: bool = False,
        one_by_one: bool = False,
    ) -> None:
        self.ip = ip
        self.port = port
        self._tls = tls
        self._one_by_one = one_by_one
        self.live: set[Connection] = set()
        self._make = connection
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._accepted: set[asyncio.Future[Any]] = set()

    @property
    def is_open(self) -> bool:
        return self._opening is not None

    @property
    def is_accepting(self) -> bool:
        return self._opening is not None and self._opening.done()

    async def open(self) -> None:
        """Listen. Raises OSError when the address cannot be bound."""
        if self.is_open:
            return
        self._opening = asyncio.ensure_future(self._open())
        try:
            await self._opening
        except OSError:
            self._opening = None
            raise

    def open_soon(self) -> None:
        """Listen again; who sees the device up is not refused, accepting starts on the next turn."""
        if not self.is_open:
            with contextlib.suppress(OSError):  # tried again below
                self._sock = _bind(self.ip, self.port)
            self._opening = asyncio.ensure_future(self._open())
            self._opening.add_done_callback(self._opened)

    def close(self) -> None:
        """Stop listening and drop every connection at once."""
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._server is not None:
            self._server.close()
            self._server = None
        elif self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
        self._sock = None
        for connection in tuple(self.live):
            connection.abort()

    def left(self, connection: Connection) -> None:
        """That client is gone."""
        self.live.discard(connection)
        if self._one_by_one and self._sock is not None:
            asyncio.get_running_loop().add_reader(self._sock, self._accept, self._sock)

    def _opened(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"cannot listen on {self.ip}:{self.port} again", "exception": error}
            )

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        tries = 0
        while self._sock is None:
            try:
                self._sock = _bind(self.ip, self.port)
            except OSError:
                tries += 1
                if tries > _BIND_TRIES:
                    raise
                # the former listening socket may be closed only on one of the next turns, and who
                # else holds the address tells nobody when it goes: ask again, so many times
                await asyncio.sleep(0.005)
        if self._one_by_one or isinstance(loop, asyncio.SelectorEventLoop):
            # Its own server loses, unclosed, what it accepted in the very turn in which it is closed.
            loop.add_reader(self._sock, self._accept, self._sock)
            return
        # in two steps: `close` must find the server when it comes between
        self._server = await loop.create_server(
            lambda: self._make(self),
            sock=self._sock,
            backlog=BACKLOG,
            start_serving=False,
            ssl=server_context() if self._tls else None,
        )
        await self._server.start_serving()

    def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(1 if self._one_by_one else BACKLOG):
            try:
                sock, _ = listening.accept()
            except OSError:  # none left, or the client is gone already, or there is no file for it
                return
            if self._one_by_one:
                loop.remove_reader(listening)
            sock.setblocking(False)
            taken = loop.create_task(self._take(sock))
            self._accepted.add(taken)
            taken.add_done_callback(self._accepted.discard)

    async def _take(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        tls = server_context() if self._tls else None
        with contextlib.suppress(OSError):  # the client went away, or failed at the handshake
            await loop.connect_accepted_socket(lambda: self._make(self), sock, ssl=tls)


class Connection(asyncio.Protocol):
    """Base of the server side protocols: output with backpressure, and the line's faults."""

    kind = "raw"
    # the error a strict reader must raise is chosen by what is sent, not by the protocol spoken
    is_http = False

    def __init__(self, device: Host, listener: ListeningPort) -> None:
        self.device = device
        self.listener = listener
        self.transport: asyncio.Transport | None = None
        self.abandoned = False
        """True once this client will never get a proper answer."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._pump: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.listener.live.add(self)
        self.device.connections += 1
        if not self.listener.is_open:  # accepted in the very turn in which the socket was closed
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.transport = None
        self.listener.left(self)
        self._writable.set()
        if self._pump is not None:
            self._pump.cancel()

    def eof_received(self) -> bool:
        return False  # hang up, too; a protocol that is still working on an answer says True

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def send(self, data: bytes, *, close: bool, text: str = "") -> None:
        """Write one whole reply, spoilt as the faults say."""
        if self.transport is None:
            return
        faults = self.device.faults
        if cut := faults.take("cuts", text=text, port=self.kind):
            self.transport.write(data[: int(cut.args.get("bytes", 20))])
            self.transport.close()
        elif drip := faults.take("drips", text=text, port=self.kind):
            self.start(self._drip(data, float(drip.args.get("interval", 1.0))))
        else:
            self.transport.write(data)
            if close:
                self.transport.close()

    def attack(self, text: str) -> bool:
        """Misbehave instead of serving this request; False when the request is to be served."""
        self.abandoned = bool(self.device.faults.names()) and self._attack(text)
        return self.abandoned

    def _attack(self, text: str) -> bool:
        faults, port = self.device.faults, self.kind
        if faults.take("hangs", text=text, port=port):
            return True
        if faults.take("resets", text=text, port=port):
            self.reset()
            return True
        if faults.take("endless", text=text, port=port):
            self.start(self.stream(itertools.chain([self._head()], itertools.repeat(b" " * CHUNK))))
            return True
        if huge := faults.take("huge_json", text=text, port=port):
            size = int(huge.args.get("bytes", 1 << 30))
            self.start(self.stream(itertools.chain([self._head()], _huge_json(size))))
            return True
        return self._attack_http(text) if self.is_http else False

    def spoil(self, body: bytes, text: str) -> bytes:
        """The body as `garbage` makes it."""
        garbage = self.device.faults.take("garbage", text=text, port=self.kind)
        if garbage is None:
            return body
        variant = str(garbage.args.get("variant", "nested"))
        if variant == "nested":
            return b"[" * int(garbage.args.get("depth", 200_000))
        return _garbage(body, variant)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run an endless or slow sender until it ends or the client goes away."""
        self._pump = asyncio.ensure_future(work)

    async def stream(self, chunks: Iterable[bytes]) -> None:
        """Write lazily, never more ahead than the transport's own buffer."""
        for chunk in chunks:
            await self._writable.wait()
            if self.transport is None or self.transport.is_closing():
                return
            self.transport.write(chunk)
            # lets the transport say that it is full, and the other miners run
            await asyncio.sleep(0)
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Drop the connection with a RST."""
        if self.transport is not None:
            sock = self.transport.get_extra_info("socket")
            # the client was first, and there is nothing to reset
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()

    def abort(self) -> None:
        """Drop the connection without ceremony (the device lost power)."""
        if self.transport is not None:
            self.transport.abort()

    def _head(self) -> bytes:
        if not self.is_http:
            return b""
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"

    def _attack_http(self, text: str) -> bool:
        faults = self.device.faults
        if bomb := faults.take("gzip_bomb", text=text):
            members = max(1, int(bomb.args.get("megabytes", 1024)) // 8)
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
            )
            self.start(self.stream(itertools.chain([head], itertools.repeat(_bomb(), members))))
            return True
        if redirect := faults.take("redirect", text=text):
            to = str(redirect.args.get("to", "http://127.255.255.254/"))
            self.send(
                b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n" % to.encode(),
                close=True,
            )
            return True
        return False

    async def _drip(self, data: bytes, interval_s: float) -> None:
        for index in range(len(data)):
            if self.transport is None or self.transport.is_closing():
                return
            self.transport.write(data[index : index + 1])
            await asyncio.sleep(interval_s)  # the slowness is the fault: nothing is waited for
        if self.transport is not None:
            self.transport.close()


def can_bind(ip: str, port: int) -> bool:
    """True when this process may listen there now."""
    return not bind_problem(ip, port)


def bind_problem(ip: str, port: int) -> int:
    """The errno that keeps this process from listening there now; 0 for none."""
    try:
        _bind(ip, port).close()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def free_ports(ip: str, count: int) -> list[int]:
    """So many port numbers that nothing uses on that address now, all different."""
    with contextlib.ExitStack() as held:
        socks = [held.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind((ip, 0))
        return [int(sock.getsockname()[1]) for sock in socks]


def _bind(ip: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((ip, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _huge_json(size: int) -> Iterator[bytes]:
    yield b'{"STATS":["'
    sent = 0
    while sent < size:
        yield b"a" * CHUNK
        sent += CHUNK
    yield b'"]}'


@cache
def _bomb() -> bytes:
    # gzip members may be put one after another: 8 MiB of zeros each, made once
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b"\0" * (8 << 20)) + packer.flush()


_NUMBER = re.compile(rb"(?<=[:\[,])\s*-?\d+(\.\d+)?(?=[,\]}])")


def _garbage(body: bytes, variant: str) -> bytes:
    match variant:
        case "nan":
            return _NUMBER.sub(b"NaN", body)
        case "1e999":
            return _NUMBER.sub(b"1e999", body)
        case "binary":
            return bytes(range(256)) * 16
        case "truncated":
            return body[: len(body) // 2]
        case "html":
            return b"<html><body><h1>500 Internal Server Error</h1></body></html>"
        case "empty":
            return b""
        case _:
            raise ValueError(f"unknown variant of garbage: {variant!r}")
