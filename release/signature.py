"""The other way to be trusted: a bundle signed by itself, with a key that is pinned where it is checked."""

from __future__ import annotations

import base64
import binascii
import mmap
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from release.refusals import Refusal, ReleaseRefusedError

SIGNATURE_CHARACTERS: Final = 1024
_BYTES: Final = 64
_KEY_BYTES: Final = 32


def signature_of(text: str) -> bytes:
    """The 64 bytes of an Ed25519 signature that is written in hex or base64. Raises ReleaseRefusedError."""
    found = _written(text, _BYTES)
    if found is None:
        raise ReleaseRefusedError(
            Refusal.BAD_SIGNATURE, "signature is not the 64 bytes of Ed25519 in hex or base64"
        )
    return found


def public_key_of(text: str) -> Ed25519PublicKey:
    """The key whose 32 bytes are written in hex or base64. Raises ValueError."""
    found = _written(text, _KEY_BYTES)
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is not the 32 bytes of an Ed25519 public key in hex or base64"
        )
    return Ed25519PublicKey.from_public_bytes(found)


def check_signature(file: int, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> None:
    """That one of these keys signed the whole of an open file, which is mapped, not read into memory. Raises
    ReleaseRefusedError, OSError.
    """
    with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped, memoryview(mapped) as content:
        for key in keys:
            try:
                key.verify(signature, content)
            except InvalidSignature:
                continue
            return
    raise ReleaseRefusedError(
        Refusal.BAD_SIGNATURE, "the bundle is not signed by a key that is pinned here"
    )


def _written(text: str, size: int) -> bytes | None:
    """So many bytes in hex or base64; `None` for any other text."""
    written = text.strip() if len(text) <= SIGNATURE_CHARACTERS else ""
    for decode in (bytes.fromhex, _from_base64):
        try:
            found = decode(written)
        except ValueError:
            continue
        if len(found) == size:
            return found
    return None


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
