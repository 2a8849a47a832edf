"""Firmware files: a part for one control board, or a package with parts for several. No I/O but reads of the file.

A package begins with a header of 6812 bytes, all numbers 32-bit little-endian: at 16 the size of all data behind it,
at 20 the number of parts, from 24 on one entry of 104 bytes for each (chip and platform as texts of 16 bytes, offset
in the file, size). A device takes only its own part; what is inside one is not known to us.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO, Final

from contract.errors import BadFirmwareError
from drivers.protocol.image import ImageRegion, check_head

HEADER_BYTES: Final = 6812
_MOST_PARTS: Final = 64
_COUNTS: Final = struct.Struct("<16xII")
_ENTRY: Final = struct.Struct("<16s16sII64x")
_CHIP: Final = re.compile(rb"[0-9A-Za-z_.-]{2,16}\0*")
_MOST_BYTES: Final = 0xFFFFFFFF  # the upload says its length in four bytes


def select(file: BinaryIO, size: int, platform: str | None) -> ImageRegion:
    """The bytes for a control board that calls itself `platform` (any case).

    Raises BadFirmwareError when the file is no firmware, is cut short, or has no part for it.
    """
    file.seek(0)
    head = file.read(HEADER_BYTES)
    check_head(head, size, "WhatsMiner")
    if size > _MOST_BYTES:
        raise BadFirmwareError(f"the file has {size} bytes, more than can be uploaded")
    count = _count_of(head, size)
    if count is None:
        return ImageRegion(name="whole file", offset=0, size=size)
    parts = [_part(head, index, size) for index in range(count)]
    if not platform:
        names = _listed(parts)
        raise BadFirmwareError(
            f"the package has parts for {names}, but this miner does not tell which control board it has: "
            "give the file for its board alone"
        )
    fitting = {part for part in parts if part.name == platform.strip().lower()}
    if not fitting:
        raise BadFirmwareError(
            f"the package has no part for this control board ({platform}); it has {_listed(parts)}"
        )
    if len(fitting) > 1:
        raise BadFirmwareError(
            f"the package has {len(fitting)} different parts for this control board ({platform}): "
            "use the file made for it alone"
        )
    return fitting.pop()


def _count_of(head: bytes, size: int) -> int | None:
    """How many parts the package has; `None` for a file that is none. Raises BadFirmwareError for one cut short."""
    if len(head) < _COUNTS.size + _ENTRY.size:
        return None
    data_bytes, count = map(int, _COUNTS.unpack_from(head))
    if not 1 <= count <= _MOST_PARTS or not data_bytes:
        return None
    # Any other file may hold a small number there; then neither its sizes fit nor does an entry follow.
    if data_bytes + HEADER_BYTES <= size:
        return count
    chip, _, offset, length = _ENTRY.unpack_from(head, _COUNTS.size)
    if _CHIP.fullmatch(chip) and offset >= HEADER_BYTES and length:
        raise BadFirmwareError(
            f"the package is cut short: it has {size} of {data_bytes + HEADER_BYTES} bytes; download it again"
        )
    return None


def _part(head: bytes, index: int, size: int) -> ImageRegion:
    chip, _, offset, length = _ENTRY.unpack_from(head, _COUNTS.size + index * _ENTRY.size)
    name = chip.split(b"\0", 1)[0].decode("ascii", "replace").strip().lower()
    if not length or offset < HEADER_BYTES or offset + length > size:
        raise BadFirmwareError(
            f"the package is damaged: its part {index + 1} lies outside of the file"
        )
    return ImageRegion(name=name, offset=offset, size=length)


def _listed(parts: list[ImageRegion]) -> str:
    return ", ".join(part.name or "?" for part in parts)
