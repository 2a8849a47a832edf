"""Exchanges that are more than a question and an answer: a file to the miner, its log from it. No socket, no clock.

Both stay on the connection that the command came by: first the answer, then bytes that are not messages.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from contract.errors import MalformedError, RefusedError
from drivers.changes.logfile import FileSink
from drivers.protocol.objects import ObjectReader
from drivers.reading.values import text_of, whole
from drivers.whatsminer.protocol import api, frames
from drivers.whatsminer.protocol.envelope import Token
from drivers.whatsminer.protocol.tokens import opened

SIZE_BYTES: Final = 4
GZIP_MAGIC: Final = b"\x1f\x8b"
_READY: Final = "ready"


class EmptyLogError(MalformedError):
    """The miner says that its log has no bytes."""


class Answers(Protocol):
    """Cuts the miner's messages out of a stream, one dialect's way."""

    @property
    def rest(self) -> bytes:
        """What came after the last message."""

    def feed(self, data: bytes) -> Any | None:
        """Take more bytes (b"" for the end of the stream); what the next message says (its `Msg`), once whole.

        Raises MalformedError, and the refusals that prove that nothing was executed.
        """


class Sealed4028:
    """Messages of port 4028: encrypted objects, with nothing between them or the NUL or newline some builds send."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._reader = ObjectReader()

    @property
    def rest(self) -> bytes:
        return self._reader.rest

    def feed(self, data: bytes) -> Any | None:
        body = self._reader.feed(data)
        if body is None:
            return None
        reply = opened(api.decode_reply(body), self._token)
        return {} if reply.Msg is None else reply.Msg


class Framed4433:
    """Messages of port 4433."""

    def __init__(self, cmd: str) -> None:
        self._cmd = cmd
        self._reader = frames.FrameReader()

    @property
    def rest(self) -> bytes:
        return self._reader.rest

    def feed(self, data: bytes) -> Any | None:
        body = self._reader.feed(data)
        if body is None:
            return None
        message = _object(body)
        if "code" not in message and "logsize" in message:
            return message  # the log's announcement is bare
        reply = frames.decode_reply(body, self._cmd)
        if (refusal := frames.refusal_of(reply)) is not None:
            raise refusal
        return {} if reply.msg is None else reply.msg


class UploadTalk:
    """Waits until the miner says that it is ready, announces the file's size, and takes the final answer."""

    def __init__(self, answers: Answers, size_bytes: int) -> None:
        self.is_ready = False
        """The miner asked for the file: from here on it may be installed."""
        self._answers = answers
        self._size_bytes = size_bytes
        self._announced = False

    def feed(self, data: bytes) -> str | None:
        """Take more bytes; the miner's final word. Raises RefusedError (and its kin) for a refusal, MalformedError."""
        said = self._answers.feed(data)
        if said is None:
            return None
        word = text_of(said) or ""
        if self.is_ready:
            return word
        if _READY not in word.lower():
            raise RefusedError(
                f"the miner does not take a file now: {word[:80] or 'no reason given'}"
            )
        self.is_ready = True
        return None

    def say(self) -> bytes | None:
        """The size, little-endian, once; the file follows."""
        if not self.is_ready or self._announced:
            return None
        self._announced = True
        return self._size_bytes.to_bytes(SIZE_BYTES, "little")


class LogDecoder:
    """A log: its size in a message, then so many bytes, into `sink` up to a cap."""

    def __init__(self, answers: Answers, key: str, sink: FileSink, cap_bytes: int) -> None:
        self._answers = answers
        self._key = key
        self._sink = sink
        self._cap_bytes = cap_bytes
        self._size: int | None = None
        self._taken = 0

    def feed(self, data: bytes) -> bool | None:
        """Take more bytes; once it is over, whether the log was cut at the cap.

        Raises MalformedError for an empty, short or foreign one, and what `Answers.feed` raises.
        """
        if self._size is None:
            said = self._answers.feed(data)
            if said is None:
                return None
            self._size = self._announced(said)
            data = self._answers.rest
            if not data:
                return None
        elif not data:
            raise MalformedError(f"its log was cut ({self._taken} of {self._size} bytes came)")
        return self._take(data)

    def _announced(self, said: Any) -> int:
        size = whole(said.get(self._key)) if isinstance(said, dict) else None
        if size is None or size < 0:
            raise MalformedError("it did not say how long its log is")
        if size == 0:
            raise EmptyLogError("the miner's log is empty; it may be restarting, try again later")
        return size

    def _take(self, data: bytes) -> bool | None:
        assert self._size is not None
        wanted = min(self._size, self._cap_bytes)
        piece = data[: wanted - self._taken]
        if not self._taken and not (piece.startswith(GZIP_MAGIC) or GZIP_MAGIC.startswith(piece)):
            raise MalformedError(f"its log is no gzip file; it began {piece[:20]!r}")
        self._sink.write(piece)
        self._taken += len(piece)
        return self._size > self._cap_bytes if self._taken >= wanted else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"not JSON ({str(error)[:80]}); it began {body[:40]!r}") from None
    if not isinstance(found, dict):
        raise MalformedError(f"not an object; it began {body[:40]!r}")
    return found
