"""The one way bytes reach a miner: one exchange at a time, bounded in time and in size.

An exchange is connect, one write, read until the decoder has its reply, close. Everything a
hostile or dying miner can do ends in a named error by the deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Generic, Protocol, TypeVar, cast

import msgspec

from contract.clock import Clock
from contract.errors import (
    BadFirmwareError,
    MalformedError,
    MinerError,
    OutcomeUnknownError,
    UnreachableError,
)
from contract.miner import Endpoint
from drivers.base import Permit, Timing
from drivers.doors import Doors

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FIRST_BYTES: Final = 512  # of what came first on a connection
CHUNK_BYTES: Final = 256 * 1024  # how much of a file is in memory at once


class Decoder(Protocol[T_co]):
    """Collects one reply. Knows bytes only: no socket, no clock."""

    def feed(self, data: bytes) -> T_co | None:
        """Take more bytes (b"" for the end of the stream); give the reply once whole.

        Raises MalformedError for what is not the protocol, RefusedError (or a kin of it) when the
        reply proves that nothing was executed.
        """


class Talker(Decoder[T_co], Protocol[T_co]):
    """A decoder that asks on: for devices that want several requests, or a question and a file, on one connection."""

    def say(self) -> bytes | None:
        """What to send next, asked after each `feed` that gave no reply yet; `None` while it only listens."""


class Staying(Decoder[T_co], Protocol[T_co]):
    """A decoder that knows whether another request may follow on its connection."""

    @property
    def stays(self) -> bool:
        """Whether the device keeps the connection behind the reply, as far as the reply tells."""


class Drain(Protocol):
    """Where a decoder puts a body too big for memory. The miner is not read from while it drains."""

    async def drain(self) -> None:
        """Bring what was taken so far to its place."""


class FileBody(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a local file that follows the request's first bytes, and the bytes after it.

    With `after_word` it is held back until the decoder (a Talker) said something: the device is asked first.
    """

    path: Path
    offset: int
    size_bytes: int
    tail: bytes = b""
    after_word: bool = False

    @property
    def total_bytes(self) -> int:
        return self.size_bytes + len(self.tail)


class Wire:
    """The connection maker of one miner. Shared by everything that speaks with that miner."""

    def __init__(self, endpoint: Endpoint, clock: Clock, timing: Timing) -> None:
        self.endpoint = endpoint
        self.exchanges = 0  # how many were begun
        self.clock = clock
        self.timing = timing
        self._lock = asyncio.Lock()
        self._quiet_until_mono = 0.0
        self._check: Callable[[], Awaitable[None]] | None = None
        self._doors: Doors | None = None
        self._heard: dict[int, bytes] | None = None
        self._kept: dict[int, _Link[Any] | None] = {}

    @property
    def is_busy(self) -> bool:
        """Whether an exchange is under way or waits: a poll may rather come back later."""
        return self._lock.locked()

    def quiet_for(self, seconds: float) -> None:
        """Start no exchange for that long (a device that just got a reboot must not be disturbed)."""
        self._quiet_until_mono = max(self._quiet_until_mono, self.clock.mono() + seconds)

    @contextmanager
    def checking(self, check: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Await `check` right before each connection that is to change the miner; none is made if it raises."""
        self._check = check
        try:
            yield
        finally:
            self._check = None

    @contextmanager
    def entering(self, doors: Doors) -> Iterator[dict[int, bytes]]:
        """The first read at a port goes over the connection that is open there already, where one is; those that no
        read took are closed in the end. Gives what is heard meanwhile: of each port that took a connection the
        beginning of what came first (b"" where nothing did).
        """
        self._doors, self._heard = doors, {}
        try:
            yield self._heard
        finally:
            self._doors = self._heard = None
            doors.close()

    @contextmanager
    def keeping(self, port: int) -> Iterator[None]:
        """Reads at that port follow each other on one connection, as long as the device keeps it."""
        if port in self._kept:  # by whoever asks for more than this
            yield
            return
        self._kept[port] = None
        try:
            yield
        finally:
            if (link := self._kept.pop(port)) is not None:
                link.close()

    def keeps(self, port: int) -> bool:
        """Whether a request to that port is to ask for its connection to be kept."""
        return port in self._kept

    async def exchange(
        self,
        port: int,
        request: bytes,
        decoder: Decoder[T],
        *,
        deadline_s: float,
        cap_bytes: int,
        permit: Permit | None = None,
        body: FileBody | None = None,
        sink: Drain | None = None,
    ) -> T:
        """Send `request` (then `body`) and give what `decoder` makes of the answer.

        `deadline_s` covers connect to close; waiting for this miner's other exchange, for a quiet window
        and for the effect's leave is not counted. `cap_bytes` is for the sum of what is received.
        With `effect` the request changes the miner: its leave is taken between connect and first byte. Where that
        means to wait, it is waited without a connection, and the miner is free for other exchanges.

        Raises UnreachableError when no byte was sent. Afterwards, for a read, MalformedError (a cut, a hang,
        too many bytes, nonsense); for an effect OutcomeUnknownError instead, unless the decoder found a refusal.
        """
        self.exchanges += 1
        if permit is not None:
            made = partial(_Link[T], decoder, cap_bytes, sink)
            return await self._change(port, request, made, deadline_s, permit=permit, body=body)
        if body is not None:
            raise ValueError("a body without an effect: what carries a file changes the miner")
        async with self._turn():
            if self._quiet_until_mono > 0.0:
                await self._quiet()
            return await self._read(port, request, decoder, deadline_s, cap_bytes, sink)

    async def probe(self, port: int) -> bool:
        """Whether a connect to `port` succeeds; it is closed at once, no byte is sent.

        One that is not answered in time is made once more: a busy moment of our own host looks the same, and what is
        said here is a proof that the miner was away.
        """
        async with self._turn():
            await self._quiet()
            for _ in range(2):
                link: _Link[bool] = _Link(_Never(), 0, None)
                try:
                    await self._connect(link.made, port, self.timing.connect_s)
                except _UnansweredError:
                    continue
                except UnreachableError:
                    return False
                finally:
                    link.close()
                return True
            return False

    # --- private ---------------------------------------------------------------------------------

    def _turn(self) -> asyncio.Lock:
        """One exchange at a time: three scripts at once can bring an old web server down for good."""
        return self._lock

    async def _quiet(self) -> None:
        """Wait for the end of a quiet window, which may be prolonged meanwhile."""
        while (left_s := self._quiet_until_mono - self.clock.mono()) > 0:
            await self.clock.sleep(left_s)
        self._quiet_until_mono = 0.0

    async def _read(
        self,
        port: int,
        request: bytes,
        decoder: Decoder[T],
        deadline_s: float,
        cap_bytes: int,
        sink: Drain | None,
    ) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        link = await self._opened(port, decoder, cap_bytes, sink)
        if link is not None:
            with contextlib.suppress(_LostError):
                return await self._said(link, port, request, end, deadline_s)
        link = _Link(decoder, cap_bytes, sink)
        try:
            await self._connect(link.made, port, min(self.timing.connect_s, deadline_s))
        except UnreachableError:
            link.close()
            raise
        return await self._said(link, port, request, end, deadline_s)

    async def _opened(
        self, port: int, decoder: Decoder[T], cap_bytes: int, sink: Drain | None
    ) -> _Link[T] | None:
        """A connection that is there already: the kept one, or one that was made before the first question."""
        if (kept := self._kept.get(port)) is not None:
            self._kept[port] = None
            if not kept.is_lost:
                kept.again(decoder, cap_bytes, sink)
                return kept
            kept.close()
        sock = None if self._doors is None else self._doors.take(port)
        if sock is None:
            return None
        link = _Link(decoder, cap_bytes, sink)
        link.is_new = False
        try:
            await asyncio.get_running_loop().create_connection(link.made, sock=sock)
        except OSError:
            sock.close()
            return None
        return link

    async def _said(
        self, link: _Link[T], port: int, request: bytes, end: float, deadline_s: float
    ) -> T:
        """The answer. Raises _LostError where a connection that was there already turns out to be dead."""
        timer = asyncio.get_running_loop().call_at(end, link.expire, deadline_s)
        is_whole = False
        try:
            link.write(request)
            reply = await link.reply
            if not link.is_new and link.is_lost and not link.has_read:
                raise _LostError("it hung up before")  # an empty answer, for some decoders
            is_whole = True
            return reply
        except _LostError:
            raise
        except MinerError as error:
            if not link.is_new and link.is_lost and not link.has_read:
                raise _LostError("it hung up before") from None
            raise _at(error, self.endpoint.host, port) from None
        finally:
            timer.cancel()
            if self._heard is not None and not self._heard.get(port):
                self._heard[port] = link.first
            if is_whole and link.stays and self._kept.get(port, link) is None:
                self._kept[port] = link
            else:
                link.close()

    async def _change(
        self,
        port: int,
        request: bytes,
        made: Callable[[], _Link[T]],
        deadline_s: float,
        *,
        permit: Permit,
        body: FileBody | None,
    ) -> T:
        connected_anew = False
        async with AsyncExitStack() as held:
            while True:
                if self._check is not None:
                    await self._check()
                async with self._turn():
                    await self._quiet()
                    link = made()
                    file = await asyncio.to_thread(_open, body) if body else None
                    try:
                        left_s = await self._in_time(link, port, deadline_s)
                        # No await between this look and `sending`: a slot that is free now is taken.
                        if permit.may_send:
                            async with permit.sending(partial(self._still, link, port)):
                                return await self._write(
                                    link,
                                    port,
                                    request,
                                    deadline_s,
                                    left_s=left_s,
                                    body=body,
                                    file=file,
                                )
                    except _LostError as error:
                        if connected_anew or not link.is_unread:
                            raise UnreachableError(str(error)) from None
                        connected_anew = True
                        continue
                    finally:
                        link.close()
                        if file:
                            file.close()
                # A web server hangs up on an idle connection, and some serve nobody else meanwhile.
                await held.enter_async_context(permit.turn())

    async def _in_time(self, link: _Link[T], port: int, deadline_s: float) -> float:
        """Connect; gives what is left of the deadline."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._connect(link.made, port, min(self.timing.connect_s, deadline_s))
        return deadline_s - (loop.time() - began)

    def _still(self, link: _Link[T], port: int) -> None:
        if link.is_lost:
            raise _LostError(
                f"{self.endpoint.host}:{port} hung up before anything was sent; try again"
            )

    async def _write(
        self,
        link: _Link[T],
        port: int,
        request: bytes,
        deadline_s: float,
        *,
        left_s: float,
        body: FileBody | None,
        file: BinaryIO | None,
    ) -> T:
        timer = asyncio.get_running_loop().call_later(left_s, link.expire, deadline_s)
        try:
            link.write(request)
            if body and file:
                if body.after_word:
                    await link.said()
                await _stream(link, file, body)
            return await link.reply
        except MalformedError as error:
            # Bytes of a write are out: whether they were acted upon, only looking can tell.
            raise OutcomeUnknownError(str(_at(error, self.endpoint.host, port))) from None
        finally:
            timer.cancel()
            link.close()

    async def _connect(
        self, made: Callable[[], asyncio.Protocol], port: int, timeout_s: float
    ) -> None:
        """Connect a protocol to a port. Raises UnreachableError."""
        host = self.endpoint.host
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await loop.create_connection(made, host, port)
        except TimeoutError:
            raise _UnansweredError(
                f"{host}:{port} does not answer (no connection within {timeout_s:g} s); "
                "check its power, network and address"
            ) from None
        except ConnectionRefusedError:
            raise UnreachableError(
                f"{host}:{port} refuses connections; the service is off or restarting"
            ) from None
        except OSError as error:
            raise UnreachableError(f"cannot connect to {host}:{port}: {error}") from None


class HungError(MalformedError):
    """It took the request, and its answer was not whole by the deadline."""


class TooLongError(MalformedError):
    """It sent more than the sum that is taken of it."""


class _UnansweredError(UnreachableError):
    """The connect was neither taken nor refused in time."""


class _LostError(UnreachableError):
    """The connection went before anything was sent on it."""


class _Link(asyncio.Protocol, Generic[T]):
    """One connection, feeding one decoder. The first thing that settles `reply` wins."""

    def __init__(self, decoder: Decoder[T], cap_bytes: int, sink: Drain | None) -> None:
        self.reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self.is_new = True  # made for the exchange that is under way
        self.first = b""  # the beginning of what came first
        self._asked = False  # whether anything was sent
        self._decoder = decoder
        self._cap_bytes = cap_bytes
        self._got_bytes = 0
        self._sink = sink
        self._draining: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._writable: asyncio.Event | None = None
        self._say: Callable[[], bytes | None] | None = getattr(decoder, "say", None)
        self._said: asyncio.Future[None] | None = None

    def made(self) -> _Link[T]:
        """The factory that `create_connection` wants."""
        return self

    @property
    def is_unread(self) -> bool:
        """Whether the decoder has seen nothing of it."""
        return self._got_bytes == 0 and not self._asked

    @property
    def has_read(self) -> bool:
        """Whether anything came since it was last asked."""
        return self._got_bytes > 0

    @property
    def stays(self) -> bool:
        """Whether another request may follow."""
        return not self.is_lost and bool(getattr(self._decoder, "stays", False))

    def again(self, decoder: Decoder[T], cap_bytes: int, sink: Drain | None) -> None:
        """Begin another exchange on the same connection."""
        self.reply = asyncio.get_running_loop().create_future()
        self.is_new = False
        self._decoder = decoder
        self._cap_bytes = cap_bytes
        self._got_bytes = 0
        self._sink = sink
        self._say = getattr(decoder, "say", None)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._asked = True
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the transport takes more, or the exchange is over."""
        if self._writable is not None:
            waits = asyncio.ensure_future(self._writable.wait())
            try:
                await asyncio.wait((waits, self.reply), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waits.cancel()

    async def said(self) -> None:
        """Wait until the decoder said something, or the exchange is over."""
        self._said = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._said, self.reply), return_when=asyncio.FIRST_COMPLETED)

    def expire(self, deadline_s: float) -> None:
        got = self._got_bytes
        what = f"its answer did not end, {got} bytes came" if got else "it hangs: no byte came"
        self._fail(HungError(f"no reply within {deadline_s:g} s ({what})"))

    def close(self) -> None:
        """Let go of the connection; unsent bytes are dropped. Safe to call twice."""
        if self._draining is not None:
            self._draining.cancel()
        if self._transport is not None:
            self._transport.abort()
        if not self.reply.done():
            self.reply.cancel()
        elif not self.reply.cancelled():
            self.reply.exception()  # marks it as seen

    # --- what the loop calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.reply.done():
            self.is_lost = True  # whatever that is, it is no answer to the next question
            return
        if not self._got_bytes:
            self.first = data[:FIRST_BYTES]
        self._got_bytes += len(data)
        if self._got_bytes > self._cap_bytes:
            self._fail(TooLongError(f"it sent more than {self._cap_bytes} bytes"))
            return
        self._feed(data)
        if self._sink is not None and not self.reply.done() and self._draining is None:
            assert self._transport is not None
            self._transport.pause_reading()
            self._draining = asyncio.ensure_future(self._drain(self._sink))

    def eof_received(self) -> None:
        self.is_lost = True
        if self._asked:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if self._asked:
            self._end(exc)
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # --- private ---------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            reply = self._decoder.feed(data)
        except Exception as error:  # noqa: BLE001 - carried to the caller, whatever it is
            self._fail(error)
        else:
            if reply is not None:
                self.reply.set_result(reply)
            elif self._say is not None and data:
                self._ask_on(self._say)

    def _ask_on(self, say: Callable[[], bytes | None]) -> None:
        if (more := say()) is not None:
            self.write(more)
            if self._said is not None and not self._said.done():
                self._said.set_result(None)

    def _end(self, exc: Exception | None) -> None:
        if self.reply.done():
            return
        if exc is None:
            self._feed(b"")
        if not self.reply.done():
            how = f"the connection broke: {exc}" if exc else "it hung up"
            self._fail(
                MalformedError(f"{how} after {self._got_bytes} bytes, before its answer ended")
            )

    def _fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)

    async def _drain(self, sink: Drain) -> None:
        try:
            await sink.drain()
        except Exception as error:  # noqa: BLE001 - carried to the caller, whatever it is
            self._fail(error)
        finally:
            self._draining = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()


class _Never:
    """The decoder of a connection that is not spoken on."""

    def feed(self, data: bytes) -> bool | None:
        del data
        return None


def _open(body: FileBody) -> BinaryIO:
    try:
        file = body.path.open("rb")
        file.seek(body.offset)
    except OSError as error:
        raise BadFirmwareError(f"cannot read {body.path.name}: {error}; nothing was sent") from None
    return file


async def _stream(link: _Link[T], file: BinaryIO, body: FileBody) -> None:
    """Send the file as fast as the miner takes it; stop when the miner answered already."""
    left_bytes = body.size_bytes
    while left_bytes and not link.reply.done():
        try:
            chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left_bytes))
        except OSError as error:
            raise MalformedError(f"the file could not be read on: {error}") from None
        if not chunk:
            raise MalformedError(f"the file ended {left_bytes} bytes early")
        left_bytes -= len(chunk)
        if not link.is_lost:
            link.write(chunk)
        await link.drained()
    if not link.reply.done():
        link.write(body.tail)


def _at(error: MinerError, host: str, port: int) -> MinerError:
    return type(error)(f"{host}:{port}: {error}")
