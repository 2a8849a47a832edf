"""The key of this agent's node: it signs the entries of the local ledger, and lies in the state folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.config.file import why
from contract.subscription.entry import badge_of
from service.files import is_open_to_others, write_whole

_SECRET_BYTES: Final = 32


class LedgerKeyError(Exception):
    """The file of the key cannot be used. The message says why."""


class LedgerKey:
    """An ed25519 key, with the badge that is made of it."""

    def __init__(self, secret: bytes) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self.private.public_key().public_bytes_raw()
        self.badge = badge_of(self.public)


async def read_key(path: Path) -> LedgerKey | None:
    """The key that lies there; None where there is none. Raises LedgerKeyError."""
    return await asyncio.to_thread(_read, path)


async def make_key(path: Path) -> LedgerKey:
    """A new one, which takes the place of the one before: on disk, whole, before anything is signed by it. Raises
    LedgerKeyError.
    """
    secret = Ed25519PrivateKey.generate().private_bytes_raw()
    try:
        await asyncio.to_thread(write_whole, path, secret.hex().encode() + b"\n")
    except OSError as error:
        raise LedgerKeyError(f"{path}: the key cannot be written: {why(error)}") from None
    return LedgerKey(secret)


def _read(path: Path) -> LedgerKey | None:
    try:
        found = path.stat()
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerKeyError(f"{path}: the key cannot be read: {why(error)}") from None
    if is_open_to_others(found):
        raise LedgerKeyError(f"{path}: others on this host can read the key; run: chmod 600 {path}")
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != _SECRET_BYTES:
        raise LedgerKeyError(f"{path}: the file holds no key; move it away and register again")
    return LedgerKey(secret)
