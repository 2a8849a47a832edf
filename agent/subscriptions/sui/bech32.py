"""Bech32, in which wallets print a secret key: a prefix, `1`, then five bits a character and a checksum of six."""

from __future__ import annotations

from typing import Final

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_CHARSET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6  # characters
_MOST: Final = 90  # characters of the whole


def decode_bech32(text: str, prefix: str) -> bytes:
    """What is written under this prefix. Raises ValueError, in whose text nothing of it is quoted: it is a secret."""
    if len(text) > _MOST or text != text.lower():
        raise ValueError("bech32 is up to 90 small characters")
    found, _, rest = text.rpartition("1")
    if found != prefix or len(rest) < _CHECKSUM or not all(each in _VALUES for each in rest):
        raise ValueError(f"this is not written as {prefix}1...")
    values = [_VALUES[each] for each in rest]
    expanded = [ord(each) >> 5 for each in prefix] + [0] + [ord(each) & 31 for each in prefix]
    if _polymod(expanded + values) != 1:
        raise ValueError("its checksum is wrong: a character was changed or lost")
    return _octets(values[:-_CHECKSUM])


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum


def _octets(values: list[int]) -> bytes:
    number = 0
    for value in values:
        number = number << 5 | value
    spare = len(values) * 5 % 8
    if spare > 4 or number & (1 << spare) - 1:
        raise ValueError("it holds no whole number of bytes")
    return (number >> spare).to_bytes(len(values) * 5 // 8)
