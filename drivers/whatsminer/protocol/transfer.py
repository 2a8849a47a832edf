"""Exchanges that are more than a question and an answer: a file to the miner, its log from it. No socket, no clock.

Both stay on the connection that the command came by: first the answer, then bytes that are not messages.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from contract.errors import MalformedError, RefusedError
from drivers.protocol.log import LogDecoder, MessageReader
from drivers.protocol.objects import ObjectReader, decode_object
from drivers.protocol.values import text_of
from drivers.whatsminer.protocol import api, frames
from drivers.whatsminer.protocol.envelope import Token
from drivers.whatsminer.protocol.tokens import opened

SIZE_BYTES: Final = 4
GZIP_MAGIC: Final = b"\x1f\x8b"
_READY: Final = "ready"


class _Messages(ABC):
    """The bodies that a reader cuts out of the stream, opened one port's way."""

    def __init__(self, reader: ObjectReader | frames.FrameReader) -> None:
        self._reader = reader

    @property
    def rest(self) -> bytes:
        return self._reader.rest

    def feed(self, data: bytes) -> Any | None:
        body = self._reader.feed(data)
        return None if body is None else self._said(body)

    @abstractmethod
    def _said(self, body: bytes) -> Any: ...


class Sealed4028(_Messages):
    """Messages of port 4028: encrypted objects, with nothing between them or the NUL or newline some builds send."""

    def __init__(self, token: Token) -> None:
        super().__init__(ObjectReader())
        self._token = token

    def _said(self, body: bytes) -> Any:
        reply = opened(api.decode_reply(body), self._token)
        return {} if reply.Msg is None else reply.Msg


class Framed4433(_Messages):
    """Messages of port 4433."""

    def __init__(self, cmd: str) -> None:
        super().__init__(frames.FrameReader())
        self._cmd = cmd

    def _said(self, body: bytes) -> Any:
        message = decode_object(body)
        if "code" not in message and "logsize" in message:
            return message  # the log's announcement is bare
        reply = frames.decode_reply(body, self._cmd)
        if (refusal := frames.refusal_of(reply)) is not None:
            raise refusal
        return {} if reply.msg is None else reply.msg


class UploadTalk:
    """Waits until the miner says that it is ready, announces the file's size, and takes the final answer."""

    def __init__(self, answers: MessageReader, size_bytes: int) -> None:
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


class PackedLogDecoder(LogDecoder):
    """The log comes as a gzip file."""

    def begun(self, data: bytes) -> bytes:
        if not (data.startswith(GZIP_MAGIC) or GZIP_MAGIC.startswith(data)):
            raise MalformedError(f"its log is no gzip file; it began {data[:20]!r}")
        return data
