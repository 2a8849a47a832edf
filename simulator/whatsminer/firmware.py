"""Firmware images: builders for tests and demos, and the check a device makes before it flashes.

A combined package has a header of 6812 bytes, all numbers 32-bit little-endian: at 16 the size of the data, at 20 the
number of parts (at most 64), from 24 on 64 entries of 104 bytes (chip and platform as texts of 16 bytes, offset from
the file's start, size, 64 bytes unused). A device takes the one part made for its control board. What is inside a part
is the maker's secret; here it is our own: a mark, a JSON header, filler, and a SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
from dataclasses import asdict, dataclass
from typing import Final

HEADER_SIZE: Final = 6812
MAX_PARTS: Final = 64
_ENTRY: Final = struct.Struct("<16s16sII64x")
_MARK: Final = b"WMSIM1\0\0"
_DATE: Final = re.compile(r"^(\d{4})(\d{4})(.*)$")
_OTHERS: Final = ("h3", "h6", "h6os", "h616")


class WhatsminerImageError(Exception):
    """The device turns the image down."""


@dataclass(frozen=True, slots=True)
class WhatsminerImage:
    """What a part says of itself. `api` and `api_v3` tell which dialects its version speaks."""

    platform: str
    version: str
    liquid: bool = False
    api: str = ""
    api_v3: str = ""


def build_image(
    platform: str,
    version: str,
    *,
    liquid: bool = False,
    api: str = "",
    api_v3: str = "",
    size: int = 4096,
) -> bytes:
    """The part for one control board. Without `api` the device goes on in the dialect it has."""
    image = WhatsminerImage(platform.lower(), version, liquid, api, api_v3)
    header = json.dumps(asdict(image)).encode()
    filler = random.Random(f"{platform}{version}").randbytes(size)
    content = _MARK + struct.pack("<I", len(header)) + header + filler
    return content + hashlib.sha256(content).digest()


def build_package(
    platform: str,
    version: str,
    *,
    liquid: bool = False,
    api: str = "",
    api_v3: str = "",
    size: int = 4096,
) -> bytes:
    """A combined package with parts for all control boards, the wanted one among them."""
    platforms = list(dict.fromkeys([*_OTHERS[:2], platform.lower(), *_OTHERS[2:]]))
    parts = [
        build_image(each, version, liquid=liquid, api=api, api_v3=api_v3, size=size)
        for each in platforms
    ]
    entries, offset = b"", HEADER_SIZE
    for each, part in zip(platforms, parts, strict=True):
        entries += _ENTRY.pack(each.encode(), each.encode(), offset, len(part))
        offset += len(part)
    head = struct.pack("<16sII", b"WHATSMINER-SIM", offset - HEADER_SIZE, len(parts))
    return (head + entries).ljust(HEADER_SIZE, b"\0") + b"".join(parts)


def check_image(data: bytes, *, platform: str) -> WhatsminerImage:
    """What the device finds in an upload. Raises ImageError."""
    if not data.startswith(_MARK) or len(data) < len(_MARK) + 4 + 32:
        raise WhatsminerImageError("check image header error")
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise WhatsminerImageError("image checksum error")
    (length,) = struct.unpack_from("<I", content, len(_MARK))
    start = len(_MARK) + 4
    image = WhatsminerImage(**json.loads(content[start : start + length]))
    if platform and image.platform != platform.lower():
        raise WhatsminerImageError("image platform error")
    return image


def next_version(current: str) -> str:
    """A version that the maker could bring out after `current`, in the same way of writing."""
    found = _DATE.match(current)
    if found is None:
        return current
    return f"{int(found.group(1)) + 1}{found.group(2)}{found.group(3)}"
