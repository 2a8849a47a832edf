"""Binary Canonical Serialization, as far as we speak it: integers are little endian, a length is ULEB128 before its
items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
_LENGTH_MAX: Final = 2**32 - 1  # of a sequence; the encoding knows no longer one


def u8(value: int) -> bytes:
    """Raises OverflowError for what is no such integer; so do the other two."""
    return value.to_bytes(1)


def u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def uleb(value: int) -> bytes:
    """A length, or the number of a variant: seven bits a byte, the lowest first."""
    if not 0 <= value <= _LENGTH_MAX:
        raise OverflowError(f"{value} is no length")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def vector(items: Sequence[bytes]) -> bytes:
    """Of items that are encoded already."""
    return uleb(len(items)) + b"".join(items)


def octets(value: bytes) -> bytes:
    """A vector of u8."""
    return uleb(len(value)) + value


def string(text: str) -> bytes:
    return octets(text.encode())


class Reader:
    """Takes values off the front of some bytes. Every method raises ValueError where they are not such a value."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes as they are."""
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"{size} bytes are missing at {self._at}")
        taken, self._at = self._data[self._at : end], end
        return taken

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte <= 0x7F:
                break
            if shift > 28:
                raise ValueError("a length of over 32 bits")
        if value > _LENGTH_MAX or (byte == 0 and shift > 7):
            raise ValueError("a length that is not written in its one way")
        return value

    def octets(self) -> bytes:
        return self.take(self.uleb())

    def string(self) -> str:
        return self.octets().decode()

    def vector(self, item: Callable[[], T]) -> list[T]:
        return [item() for _ in range(self.uleb())]

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")
