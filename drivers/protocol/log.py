"""A log that a miner announces by its size and then sends bare on the same connection. No socket, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from contract.errors import MalformedError
from drivers.protocol.http import BodySink
from drivers.protocol.values import whole

EMPTY_LOG: Final = "the miner's log is empty; it may be restarting, try again later"


class EmptyLogError(MalformedError):
    """The miner says that its log has no bytes."""


class MessageReader(Protocol):
    """Cuts the miner's messages out of a stream, one dialect's way."""

    @property
    def rest(self) -> bytes:
        """What came after the last message."""

    def feed(self, data: bytes) -> Any | None:
        """Take more bytes (b"" for the end of the stream); what the next message says, once whole.

        Raises MalformedError, and the refusals that prove that nothing was executed.
        """


class LogDecoder:
    """The announcement, which says under `key` how long the log is; then so many bytes, into `sink` up to a cap."""

    def __init__(self, messages: MessageReader, key: str, sink: BodySink, cap_bytes: int) -> None:
        self._messages = messages
        self._key = key
        self._sink = sink
        self._cap_bytes = cap_bytes
        self._size: int | None = None
        self._taken = 0
        self._is_begun = False

    def begun(self, data: bytes) -> bytes:
        """What of the first bytes behind the announcement is log. Raises MalformedError for what is none."""
        return data

    def feed(self, data: bytes) -> bool | None:
        """Take more bytes (b"" for the end of the stream); once it is over, whether the log was cut at the cap.

        Raises MalformedError for a short one and one without a length, EmptyLogError, and what the reader raises.
        """
        if self._size is None:
            said = self._messages.feed(data)
            if said is None:
                return None
            self._size = self._announced(said)
            data = self._messages.rest
            if not data:
                return None
        elif not data:
            raise MalformedError(f"its log was cut ({self._taken} of {self._size} bytes came)")
        if not self._is_begun:
            self._is_begun = True
            data = self.begun(data)
        wanted = min(self._size, self._cap_bytes)
        piece = data[: wanted - self._taken]
        self._sink.write(piece)
        self._taken += len(piece)
        return self._size > self._cap_bytes if self._taken >= wanted else None

    def _announced(self, said: Any) -> int:
        size = whole(said.get(self._key)) if isinstance(said, Mapping) else None
        if size is None:
            raise MalformedError("it did not say how long its log is")
        if size == 0:
            raise EmptyLogError(EMPTY_LOG)
        return size
