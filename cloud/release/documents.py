"""Signed metadata: how long each kind lives, and how it is made of what it says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from contract.clock import from_text
from release.trust import SIGNED_AT, SNAPSHOT_BYTES, TARGETS_BYTES

LIVES: Final[Mapping[str, timedelta]] = {
    Root.type: timedelta(days=730),
    Targets.type: timedelta(days=365),
    Snapshot.type: timedelta(days=30),
    Timestamp.type: timedelta(days=7),
}
_BYTES: Final = {Targets.type: TARGETS_BYTES, Snapshot.type: SNAPSHOT_BYTES}
_VERSIONED: Final = re.compile(r"([0-9]{1,9})\.(root|targets|snapshot)\.json")

_S = TypeVar("_S", Root, Targets, Snapshot, Timestamp)


def signed(content: _S, signers: Iterable[CryptoSigner], now: datetime) -> bytes:
    """The file of that content, which lives from now on as long as its kind does. Raises ValueError for one that no
    agent would read.
    """
    at = now.replace(microsecond=0)
    content.expires = at + LIVES[content.type]
    content.unrecognized_fields[SIGNED_AT] = at.isoformat()
    metadata = Metadata(content)
    for signer in signers:
        metadata.sign(signer, append=True)
    data = metadata.to_bytes()
    most = _BYTES.get(content.type)
    if most is not None and len(data) > most:
        raise ValueError(
            f"{content.type} would have {len(data)} bytes, over {most}: drop old versions"
        )
    return data


def signed_at(content: Signed) -> datetime:
    """When it was signed. Raises ValueError where it does not say."""
    return from_text(str(content.unrecognized_fields.get(SIGNED_AT)))


def read(kind: type[_S], data: bytes, name: str) -> _S:
    """What one of our own files says; nothing is verified. Raises ValueError."""
    try:
        found = Metadata[_S].from_bytes(data).signed
    except RepositoryError as error:
        raise ValueError(f"{name}: {error}") from None
    if not isinstance(found, kind):
        raise ValueError(f"{name} is not {kind.type} metadata")  # noqa: TRY004
    return found


def newest(folder: Path, kind: str) -> int:
    """The highest version of that kind in a folder of metadata; 0 where there is none. Raises OSError."""
    return max(versions(folder, kind), default=0)


def versions(folder: Path, kind: str) -> list[int]:
    """All of that kind, ascending. Raises OSError."""
    if not folder.is_dir():
        return []
    found = (_VERSIONED.fullmatch(each.name) for each in folder.iterdir())
    return sorted(int(each[1]) for each in found if each is not None and each[2] == kind)
