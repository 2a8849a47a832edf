"""The raw part of a firmware upload, which follows its order on the same connection."""

from __future__ import annotations

import struct
from typing import Final

MAX_IMAGE: Final = 256 * 1024 * 1024
_SIZE: Final = struct.Struct("<I")


class Upload:
    """Collects a 32-bit little-endian length and that many bytes."""

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def received(self) -> int:
        """Bytes of the image so far."""
        return max(0, len(self._data) - _SIZE.size)

    def feed(self, data: bytes) -> bytes | None:
        """Take more; the image once it is whole. Raises ValueError when it is too long to take."""
        self._data += data
        if len(self._data) < _SIZE.size:
            return None
        (size,) = _SIZE.unpack_from(self._data)
        if size > MAX_IMAGE:
            raise ValueError("image too long")
        if self.received < size:
            return None
        return bytes(self._data[_SIZE.size : _SIZE.size + size])
