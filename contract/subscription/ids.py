"""Ids of the published API: object ids of 32 bytes, digests in base58, small ids."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

OBJECT_BYTES: Final = 32
U64_MAX: Final = 2**64 - 1
SMALL_MAX: Final = 2**63 - 1  # ids, prices and numbers of units: they are stored as signed integers
SMALL_MIN: Final = 1
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_SHORT: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_LONG: Final = re.compile(r"[0-9a-fA-F]{64}")
_DIGEST_CHARS: Final = 44  # of 32 bytes in base58, at most


def parse_object_id(text: str) -> bytes:
    """`0x` and 1 to 64 hex digits, filled up with zeros on the left, or 64 without `0x`. Raises ValueError."""
    if _SHORT.fullmatch(text):
        return bytes.fromhex(text[2:].rjust(2 * OBJECT_BYTES, "0"))
    if _LONG.fullmatch(text):
        return bytes.fromhex(text)
    raise ValueError("an object id is 0x and up to 64 hex digits, or 64 hex digits")


def object_id_text(value: bytes) -> str:
    """The one spelling that we write: `0x` and 64 small hex digits."""
    return f"0x{value.hex()}"


def base58(value: bytes) -> str:
    """In the alphabet of Bitcoin; each leading zero byte is a `1`."""
    number = int.from_bytes(value)
    digits = []
    while number:
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    zeros = len(value) - len(value.lstrip(b"\0"))
    return _ALPHABET[0] * zeros + "".join(reversed(digits))


def parse_digest(text: str) -> bytes:
    """The 32 bytes of a digest in base58. Raises ValueError for anything else."""
    if not 1 <= len(text) <= _DIGEST_CHARS or not all(character in _VALUES for character in text):
        raise ValueError("a digest is base58 of 32 bytes")
    number = 0
    for character in text:
        number = number * len(_ALPHABET) + _VALUES[character]
    zeros = len(text) - len(text.lstrip(_ALPHABET[0]))
    value = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
    if len(value) != OBJECT_BYTES:
        raise ValueError("a digest is base58 of 32 bytes")
    return value


def blake2b_256(*parts: bytes) -> bytes:
    """The hash of the parts, one after the other."""
    return blake2b(b"".join(parts), digest_size=32).digest()
