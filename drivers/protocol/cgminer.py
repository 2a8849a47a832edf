"""What the APIs on port 4028 have in common, for all are grown out of cgminer's: a JSON object in, one back and a NUL
behind it; several commands in one connection, each answered under its own name.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from contract.errors import MalformedError
from drivers.protocol.objects import BROKEN

T = TypeVar("T")


class NulDecoder:
    """Collects one reply, which ends at NUL or when the miner hangs up (with nothing, too)."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, data: bytes) -> bytes | None:
        """Take more bytes (b"" for the end of the stream); give the reply once whole."""
        if not data:
            return self.whole
        if (at := data.find(b"\x00")) >= 0:
            self._parts.append(data[:at])
            return self.whole
        self._parts.append(data)
        return None

    @property
    def whole(self) -> bytes:
        """What came so far."""
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0] if self._parts else b""


class FirstWordDecoder(NulDecoder):
    """Collects what is said on a port of which nobody knows yet who speaks there: it may stay on the line behind an
    object that is whole, or behind the first line of another protocol.
    """

    # Of taking what came so far for the whole, else a drip of braces would take our time.
    _TRIES: Final = 32

    def __init__(self) -> None:
        super().__init__()
        self._tries_left = self._TRIES

    def feed(self, data: bytes) -> bytes | None:
        """See `NulDecoder.feed`."""
        if (said := super().feed(data)) is not None:
            return said
        said = self.whole
        if said.lstrip()[:1] not in (b"", b"{", b"["):
            return said if b"\n" in said else None
        if data[-1] in b"}\n\r " and self._tries_left:
            self._tries_left -= 1
            with suppress(*BROKEN):
                msgspec.json.decode(said)
                return said
        return None


def only(found: list[T] | T | None) -> T | None:
    """What stands under the name of a command among several: an object, or a list of one."""
    if isinstance(found, list):
        return found[0] if found else None
    return found


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """A record out of plain values. Raises MalformedError; not `strict`, a number may be a text."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise MalformedError(f"it answered in an unknown layout: {error}") from None
