"""Firmware images: a builder for tests and demos, and the checks a device makes before it takes one.

The maker's `.bgz` files are encrypted, one per model; what is inside is not public. Here a file is our own: a mark,
a JSON header, filler, and a SHA-256 of all before it. What a device does with a file it does not like follows the codes
of the real one.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
from dataclasses import asdict, dataclass
from typing import Final

from simulator.iceriver.catalogue import Variant

FAILED: Final = 1005
MD5_WRONG: Final = 1006
INVALID_FILE: Final = 1010
DATA_LOST: Final = 1011
NO_FILE: Final = 1013
_TEXTS: Final = {
    FAILED: "failed",
    MD5_WRONG: "md5 err",
    INVALID_FILE: "file invalid",
    DATA_LOST: "data lost",
    NO_FILE: "file not exist",
}
_MARK: Final = b"BGZSIM1\0"
# the web layer hands the name to a shell, which makes something else of any other
PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class IceriverImageError(Exception):
    """The device turns the image down, with one of its codes."""

    def __init__(self, code: int) -> None:
        super().__init__(_TEXTS[code])
        self.code = code


@dataclass(frozen=True, slots=True)
class IceriverImage:
    """What a file says of itself: the model's name, the build and the variant it brings."""

    model: str
    build: str
    variant: str = Variant.B.value


def build_image(model: str, build: str, *, variant: Variant = Variant.B, size: int = 4096) -> bytes:
    """A file for one model."""
    header = json.dumps(asdict(IceriverImage(model, build, variant.value))).encode()
    filler = random.Random(f"{model}{build}").randbytes(size)
    content = _MARK + struct.pack("<I", len(header)) + header + filler
    return content + hashlib.sha256(content).digest()


def open_image(data: bytes) -> IceriverImage:
    """Unpack a file. Raises ImageError."""
    if not data.startswith(_MARK) or len(data) < len(_MARK) + 4 + 32:
        raise IceriverImageError(INVALID_FILE)
    content, digest = data[:-32], data[-32:]
    if hashlib.sha256(content).digest() != digest:
        raise IceriverImageError(DATA_LOST)
    (length,) = struct.unpack_from("<I", content, len(_MARK))
    start = len(_MARK) + 4
    return IceriverImage(**json.loads(content[start : start + length]))


def md5(data: bytes) -> str:
    """The sum that `firmupdate` wants."""
    return hashlib.md5(data).hexdigest()
