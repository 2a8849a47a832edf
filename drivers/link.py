"""One connection to a miner: bytes in, a decoder's reply out, and what shows on the way that it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, cast

from contract.errors import MalformedError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

FIRST_BYTES: Final = 512  # of what came first on a connection


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


class HungError(MalformedError):
    """It took the request, and its answer was not whole by the deadline."""


class TooLongError(MalformedError):
    """It sent more than the sum that is taken of it."""


class Link(asyncio.Protocol, Generic[T]):
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

    def made(self) -> Link[T]:
        """The factory that `create_connection` wants."""
        return self

    @property
    def is_unread(self) -> bool:
        """Whether the decoder has seen nothing of it."""
        return self._got_bytes == 0 and not self._asked

    @property
    def was_dead(self) -> bool:
        """Whether a connection that was there before the question went without a byte: then it was gone by then."""
        return not self.is_new and self.is_lost and not self._got_bytes

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
