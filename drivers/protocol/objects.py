"""JSON objects: where one ends in a stream that goes on, or does not end, behind it, and what it says."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from contract.errors import MalformedError

BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding hostile JSON raises."""
_START_BYTES: Final = 512
_BLANKS: Final = b"\0\r\n\t "
_MARKS: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')


class ObjectReader:
    """Finds the end of a JSON object by its brackets alone; whether it is JSON, only decoding tells."""

    def __init__(self, cap_bytes: int = 64 * 1024) -> None:
        self.rest = b""
        """What came after the last object."""
        self._cap_bytes = cap_bytes
        self._data = bytearray()
        self._at = 0
        self._depth = 0
        self._in_text = False

    @property
    def start(self) -> bytes:
        """The first bytes of the object that has not ended yet."""
        return bytes(self._data[:_START_BYTES])

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes; the next object once whole. Raises MalformedError at the end, or for no object."""
        if not data:
            raise MalformedError(f"it hung up ({len(self._data)} bytes of an answer came)")
        self._data += data
        if not self._at:
            self._data = self._data.lstrip(_BLANKS)
            if self._data and self._data[0] != ord("{"):
                raise MalformedError(f"not an object; it began {bytes(self._data[:40])!r}")
        while (found := self._next()) is not None:
            if found and not self._depth:
                return self._cut()
        if len(self._data) > self._cap_bytes:
            raise MalformedError("its answer does not end")
        return None

    def _next(self) -> bool | None:
        """Go on to the next mark: whether it was a bracket; `None` when there is none yet."""
        match = (_IN_TEXT if self._in_text else _MARKS).search(self._data, self._at)
        if match is None:
            self._at = len(self._data)
            return None
        mark = match[0]
        if mark == b"\\":
            if match.end() == len(self._data):
                self._at = match.start()  # what it escapes has not come yet
                return None
            self._at = match.end() + 1
            return False
        self._at = match.end()
        if mark == b'"':
            self._in_text = not self._in_text
            return False
        self._depth += 1 if mark in b"{[" else -1
        return True

    def _cut(self) -> bytes:
        body, self.rest = bytes(self._data[: self._at]), bytes(self._data[self._at :])
        self._data.clear()
        self._at = 0
        return body


def decode_object(body: bytes) -> dict[str, Any]:
    """The fields of a JSON object. Raises MalformedError for anything else."""
    try:
        value = msgspec.json.decode(body)
    except BROKEN as error:
        raise not_json(body, error) from None
    if not isinstance(value, dict):
        raise MalformedError(f"{type(value).__name__}, not an object; it began {body[:40]!r}")
    return value


def not_json(body: bytes, error: Exception, what: str = "JSON") -> MalformedError:
    """That something else came than `what`."""
    if body[:256].lstrip().startswith(b"<"):
        return MalformedError(f"a page instead of an answer; it began {body[:40]!r}")
    return MalformedError(f"not {what} ({str(error)[:80]}); it began {body[:40]!r}")
