"""The `$1$` password hash that WhatsMiner tokens are made of (as `openssl passwd -1` computes it).

Written out here because Python's `crypt` module goes away, and no library of ours has it.
"""

from __future__ import annotations

from hashlib import md5
from typing import Final

ROUNDS: Final = 1000
SALT_CHARS: Final = 8
_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ORDER: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))
_MAGIC: Final = b"$1$"


def md5crypt(secret: str, salt: str) -> str:
    """The 22 characters behind `$1$salt$`. Of the salt only the first eight characters count."""
    word, grain = secret.encode(), salt.encode()[:SALT_CHARS]
    inner = md5(word + grain + word, usedforsecurity=False).digest()
    outer = word + _MAGIC + grain
    outer += (inner * (len(word) // 16 + 1))[: len(word)]
    left = len(word)
    while left:
        outer += b"\0" if left & 1 else word[:1]
        left >>= 1
    digest = md5(outer, usedforsecurity=False).digest()
    for turn in range(ROUNDS):
        mix = word if turn & 1 else digest
        mix += grain if turn % 3 else b""
        mix += word if turn % 7 else b""
        mix += digest if turn & 1 else word
        digest = md5(mix, usedforsecurity=False).digest()
    text = "".join(_base64(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _ORDER)
    return text + _base64(digest[11], 2)


def _base64(value: int, chars: int) -> str:
    """Least significant six bits first, as crypt writes them."""
    text = ""
    for _ in range(chars):
        text += _ALPHABET[value & 0x3F]
        value >>= 6
    return text
