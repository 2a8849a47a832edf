"""The arithmetic of the tokens: md5-crypt, the sealed messages of 4028, the tokens of 4433.

Written again for the simulator: a driver that agrees with it agrees by the facts, not by shared code.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK: Final = 16
_ALPHABET: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS: Final = 1000
# the order in which md5-crypt writes the bytes of its digest, three at a time
_GROUPS: Final = ((0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5))


class SealError(ValueError):
    """What should be a sealed message is none. `encoding`: not even base64."""

    def __init__(self, why: str, *, encoding: bool = False) -> None:
        super().__init__(why)
        self.encoding = encoding


@lru_cache(maxsize=8192)
def md5crypt(password: str, salt: str) -> str:
    """The last field of `$1$salt$...`: 22 characters."""
    word, grain = password.encode(), salt.encode()[:8]
    inner = hashlib.md5(word + grain + word).digest()
    text = word + b"$1$" + grain + (inner * (len(word) // BLOCK + 1))[: len(word)]
    length = len(word)
    while length:
        text += b"\0" if length & 1 else word[:1]
        length >>= 1
    digest = hashlib.md5(text).digest()
    for turn in range(_ROUNDS):
        odd = turn & 1
        text = word if odd else digest
        if turn % 3:
            text += grain
        if turn % 7:
            text += word
        digest = hashlib.md5(text + (digest if odd else word)).digest()
    groups = [_six_bits(digest[a] << 16 | digest[b] << 8 | digest[c], 4) for a, b, c in _GROUPS]
    return "".join(groups) + _six_bits(digest[11], 2)


def aes_key(key: str) -> bytes:
    """The 32 bytes that seal messages, from the md5-crypt of the password."""
    return hashlib.sha256(key.encode()).digest()


def sign_of(key: str, time: str, newsalt: str) -> str:
    """The token that belongs to what `get_token` told."""
    return md5crypt(key + time[-4:], newsalt)


def seal(plain: bytes, key: bytes, *, fill: bytes = b"\0") -> str:
    """Encrypt to base64, filled up with `fill` to whole blocks (nothing added when they are whole)."""
    plain += fill * (-len(plain) % BLOCK)
    box = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return base64.b64encode(box.update(plain) + box.finalize()).decode()


def unseal(text: str, key: bytes) -> bytes:
    """Decrypt and cut the padding, NULs or PKCS#7. Raises SealError when it is no sealed message."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SealError("not base64", encoding=True) from error
    if not data or len(data) % BLOCK:
        raise SealError("not whole blocks")
    box = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    plain = box.update(data) + box.finalize()
    count = plain[-1]
    if 1 <= count <= BLOCK and plain.endswith(bytes([count]) * count):
        return plain[:-count]
    return plain.rstrip(b"\0")


def digest_v3(command: str, password: str, salt: str, ts: int) -> bytes:
    """What a v3 write proves the password by; its parameters are sealed with it."""
    return hashlib.sha256(f"{command}{password}{salt}{ts}".encode()).digest()


def token_v3(digest: bytes) -> str:
    """The eight characters a v3 write carries."""
    return base64.b64encode(digest).decode()[:8]


def _six_bits(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * n & 0x3F] for n in range(count))
