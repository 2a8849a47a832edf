"""What firmware files of any make have alike. No I/O: bytes in."""

from __future__ import annotations

from typing import Final

import msgspec

from contract.errors import BadFirmwareError

_LEAST_BYTES: Final = 1024  # no firmware is that small: an error page or a cut download
_TEXT_MARKS: Final = (b"<", b"{")
_BLANKS: Final = b" \t\r\n"
# A container of AntMiners, a program, an archive.
_FOREIGN_MARKS: Final = (b"\xab\xab\xab\xab", b"\x7fELF", b"PK\x03\x04")


class ImageRegion(msgspec.Struct, frozen=True, kw_only=True):
    """Which bytes of a file are for this miner, and what that part of it is called."""

    name: str
    offset: int
    size: int


def check_head(head: bytes, size: int, maker: str, *, foreign: tuple[bytes, ...] = ()) -> None:
    """Whether a file of `size` bytes that begins so may be a firmware of `maker` at all; `foreign` are marks that it
    does not begin with either. Raises BadFirmwareError.
    """
    if size < _LEAST_BYTES or head.lstrip(_BLANKS).startswith(_TEXT_MARKS):
        raise BadFirmwareError(f"the file ({size} bytes) is no firmware")
    if head.startswith(_FOREIGN_MARKS + foreign):
        raise BadFirmwareError(f"the file is no {maker} firmware, or is still packed")
