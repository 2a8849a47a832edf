"""Keys that releases are signed with: Ed25519, each in a file of its own (PKCS #8, PEM, 0600)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, Key, SSlibKey

from service.files import is_open_to_others, write_whole

# PEM slows guessing down by 2048 rounds only: what protects the key is the length of its passphrase.
PASSPHRASE_MIN: Final = 20
Passphrase = Callable[[Path], bytes]  # asked for a key file


def make_key(path: Path, passphrase: bytes | None) -> SSlibKey:
    """Write a new private key, encrypted if there is a passphrase; gives the public one. Raises FileExistsError,
    ValueError for a passphrase that is too short, OSError.
    """
    if passphrase is not None and len(passphrase) < PASSPHRASE_MIN:
        raise ValueError(f"a passphrase has {PASSPHRASE_MIN} characters or more: five random words")
    if path.exists():
        raise FileExistsError(None, "exists already: keys are not replaced", str(path))
    key = Ed25519PrivateKey.generate()
    how = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    write_whole(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return SSlibKey.from_crypto(key.public_key())


def read_signer(path: Path, passphrase: Passphrase) -> CryptoSigner:
    """Raises ValueError for what is no Ed25519 key, for a wrong passphrase, and for a key that lies open to others;
    OSError.
    """
    data = path.read_bytes()
    if is_open_to_others(path.stat()):
        raise ValueError(f"{path} can be read by others on this host; run: chmod 0600 {path}")
    words = passphrase(path) if b"ENCRYPTED" in data[:64] else None
    try:
        key = load_pem_private_key(data, words)
    except (ValueError, TypeError):
        raise ValueError(
            f"{path} is no private key in PEM, or the passphrase is not its own"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path} is no Ed25519 key")  # noqa: TRY004
    return CryptoSigner(key)


def signers_of(role: str, folders: Sequence[Path], passphrase: Passphrase) -> list[CryptoSigner]:
    """Of all keys of a role in these folders (`root-1.pem`, `root-2.pem`). Raises as `read_signer` does."""
    paths = sorted(path for folder in folders for path in folder.glob(f"{role}-*.pem"))
    return [read_signer(path, passphrase) for path in paths]


class PublicKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The public keys that the control plane signs with: what is carried to where root is signed. Hex."""

    snapshot: str
    timestamp: str


def public_text(key: SSlibKey) -> str:
    """The 32 bytes of a public key, in hex."""
    return str(key.keyval["public"])


def public_key(text: str) -> Key:
    """The inverse of `public_text`. Raises ValueError."""
    if len(text) != 64:
        raise ValueError("a public key has 32 bytes, in hex")
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    return SSlibKey.from_crypto(raw)
