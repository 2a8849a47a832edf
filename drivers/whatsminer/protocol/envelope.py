"""The encrypted envelope of port 4028: a key out of password and salts, AES-256-ECB, base64.

ECB and these hashes are the device's choice. Nothing here is ever logged: with key or sign a short password is soon
guessed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from contract.errors import MalformedError
from drivers.whatsminer.protocol.md5crypt import md5crypt

BLOCK_BYTES: Final = 16
SALT_LONGEST: Final = 64


class Token(msgspec.Struct, frozen=True):
    """What one write is signed (`sign`) and encrypted (`aes_key`) with. Prints as stars."""

    key: str
    sign: str
    aes_key: bytes

    def __repr__(self) -> str:
        return "Token(****)"


def token_of(password: str, salt: str, newsalt: str, time: str) -> Token:
    """Out of the device's own salts and time, of which the last four characters count."""
    key = md5crypt(password, salt)
    sign = md5crypt(key + time[-4:], newsalt)
    return Token(key, sign, sha256(key.encode()).digest())


def seal(command: Mapping[str, Any], token: Token) -> bytes:
    """The whole request. `command` has the device's own keys, `cmd` first."""
    plain = msgspec.json.encode({**command, "token": token.sign})
    data = base64.b64encode(encrypt(padded(plain), token.aes_key)).decode()
    return msgspec.json.encode({"enc": 1, "data": data})


def unseal(text: str, token: Token) -> bytes:
    """The plain bytes of an encrypted reply, padding cut; b"" for an empty one. Raises MalformedError."""
    try:
        data = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("its encrypted reply is not base64") from None
    if len(data) % BLOCK_BYTES:
        raise MalformedError(f"its encrypted reply has {len(data)} bytes, not whole blocks")
    return _without_padding(decrypt(data, token.aes_key))


def padded(plain: bytes) -> bytes:
    """NULs to a multiple of 16, a whole block of them when it already is one: one firmware insists on an end."""
    return plain + bytes(BLOCK_BYTES - len(plain) % BLOCK_BYTES)


def padded_pkcs7(plain: bytes) -> bytes:
    """The padding that API v3 wants."""
    count = BLOCK_BYTES - len(plain) % BLOCK_BYTES
    return plain + bytes([count]) * count


def encrypt(blocks: bytes, aes_key: bytes) -> bytes:
    """AES-256-ECB of whole blocks."""
    encryptor = _cipher(aes_key).encryptor()
    return bytes(encryptor.update(blocks) + encryptor.finalize())


def decrypt(blocks: bytes, aes_key: bytes) -> bytes:
    """The inverse of `encrypt`."""
    decryptor = _cipher(aes_key).decryptor()
    return bytes(decryptor.update(blocks) + decryptor.finalize())


# --- private -------------------------------------------------------------------------------------


def _cipher(aes_key: bytes) -> Any:
    # Heavy to import, and only writes need it.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    return Cipher(algorithms.AES(aes_key), modes.ECB())  # noqa: S305 - the device speaks no other


def _without_padding(plain: bytes) -> bytes:
    """Cut at the first NUL, else take PKCS#7 off; firmwares use either."""
    at = plain.find(b"\0")
    if at >= 0:
        return plain[:at]
    count = plain[-1] if plain else 0
    if 1 <= count <= BLOCK_BYTES and plain.endswith(bytes([count]) * count):
        return plain[:-count]
    return plain
