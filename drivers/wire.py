"""The one way bytes reach a miner: one exchange at a time, bounded in time and in size.

An exchange is connect, one write, read until the decoder has its reply, close. Everything a
hostile or dying miner can do ends in a named error by the deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Generic, Protocol, TypeVar, cast

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

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

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
            link = _Link(decoder, cap_bytes, sink)
            try:
                return await self._read(port, request, link, deadline_s)
            finally:
                link.close()

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

    async def _read(self, port: int, request: bytes, link: _Link[T], deadline_s: float) -> T:
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        await self._connect(link.made, port, min(self.timing.connect_s, deadline_s))
        timer = loop.call_at(end, link.expire, deadline_s)
        try:
            link.write(request)
            return await link.reply
        except MinerError as error:
            raise _at(error, self.endpoint.host, port) from None
        finally:
            timer.cancel()

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
        self._fail(MalformedError(f"no reply within {deadline_s:g} s ({what})"))

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
            return
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
        if self._asked:
            self._end(None)
        else:
            self.is_lost = True

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
