"""The key that signs, and the file it is kept in: a keystore of Sui's wallet, which is read and never written.

A keystore is a JSON array of texts, each one secret: base64 of a byte that names the scheme and 32 bytes of secret, or
the same 33 bytes in bech32 (`suiprivkey1...`). Of the schemes only ed25519 (0) is spoken here.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.config.file import ConfigError, why
from agent.subscriptions.sui.bech32 import decode_bech32
from contract.subscription.ids import blake2b_256, object_id_text

_ED25519: Final = 0
_INTENT: Final = bytes(3)  # "a transaction, in its first version, for Sui"
_PREFIX: Final = "suiprivkey"
_SECRET_BYTES: Final = 32
_FILE_MAX: Final = 64 * 1024


class SuiKey:
    """A secret key of ed25519. Prints as its address."""

    def __init__(self, secret: bytes) -> None:
        """Raises ValueError when it is not 32 bytes long."""
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()
        self.address = blake2b_256(bytes((_ED25519,)), self.public)

    def __repr__(self) -> str:
        return f"SuiKey({object_id_text(self.address)})"

    def sign(self, data: bytes) -> bytes:
        """The signature of an encoded transaction, as the network takes it: scheme, signature, public key."""
        signature = self._private.sign(blake2b_256(_INTENT, data))
        return bytes((_ED25519,)) + signature + self.public


def key_of(text: str) -> SuiKey | None:
    """One text of a keystore; None: a key of another scheme. Raises ValueError, which quotes nothing of it."""
    if text.startswith(_PREFIX):
        raw = decode_bech32(text, _PREFIX)
    else:
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("it is neither base64 nor suiprivkey1...") from None
    if len(raw) != 1 + _SECRET_BYTES:
        raise ValueError(f"a secret has {1 + _SECRET_BYTES} bytes, its scheme first")
    return SuiKey(raw[1:]) if raw[0] == _ED25519 else None


def read_keystore(path: Path, address: bytes | None) -> SuiKey:
    """The key of this address; None: the only one of the file. Raises ConfigError for a file that is missing, that
    anybody else could have read or written, or that does not hold exactly this key. Blocks.
    """
    keys = []
    for number, text in enumerate(_texts(path), 1):
        try:
            key = key_of(text)
        except ValueError as error:
            raise ConfigError(f"{path} (keystore): secret {number}: {error}") from None
        if key is not None and address in (None, key.address):
            keys.append(key)
    distinct = {each.address: each for each in keys}
    if len(distinct) == 1:
        return keys[0]
    if address is not None:
        raise ConfigError(f"{path} (keystore) has no ed25519 key of {object_id_text(address)}")
    if not distinct:
        raise ConfigError(f"{path} (keystore) has no ed25519 key")
    raise ConfigError(
        f"{path} (keystore) has {len(distinct)} ed25519 keys: say which by `address` in [subscriptions.sui]"
    )


def _texts(path: Path) -> list[str]:
    try:
        # not blocked by a pipe that somebody put in its place
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            _check_private(path, os.fstat(handle))
            data = file.read(_FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path} (keystore) cannot be read: {why(error)}") from None
    if len(data) > _FILE_MAX:
        raise ConfigError(f"{path} (keystore) is over {_FILE_MAX} bytes: it is no keystore")
    try:
        return msgspec.json.decode(data, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ConfigError(f"{path} (keystore) is not a JSON array of texts") from None


def _check_private(path: Path, found: os.stat_result) -> None:
    """What is signed with it can spend money. Raises ConfigError."""
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} (keystore) is not a file")
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} (keystore) belongs to user {found.st_uid}: chown it to the one that the agent runs as"
        )
    if stat.S_IMODE(found.st_mode) & ~0o600:
        raise ConfigError(
            f"{path} (keystore): others on this host may read or change it; run: chmod 600 {path}"
        )
