"""A rig's SSH keys: they follow from its seed, so that a key that was pinned holds when the farm is started again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


def host_key(seed: bytes, *, other: bool = False) -> bytes:
    """The private host key that it shows, as OpenSSH writes it; `other`: the one it should not have."""
    return _private(_key(seed, "other host" if other else "host"))


def host_public(seed: bytes) -> str:
    """The public host key on one line."""
    return _public(_key(seed, "host"))


def write_keys(seed: bytes, folder: Path) -> None:
    """Into its folder: the key to log in with, and whom it lets in. Who adds a line there is let in, too."""
    client = _key(seed, "client")
    private = folder / "keys" / "client"
    private.write_bytes(_private(client))
    private.chmod(0o600)
    (folder / "keys" / "client.pub").write_text(f"{_public(client)}\n")
    (folder / "home/miner/.ssh/authorized_keys").write_text(f"{_public(client)}\n")


def _key(seed: bytes, what: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed + what.encode()).digest())


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _private(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
