"""What is public of the authority that a cloud makes its certificates by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from contract.enrolment.authorities import certificates_in, fingerprint

FOLDER: Final = "tls"  # in the data directory
AUTHORITY: Final = "authority.pem"  # in that folder: what only the cloud's user reads
SERVER: Final = "server.pem"
TRUSTED: Final = "ca.pem"  # in that folder: what clients are to trust, the newest first


class TlsError(Exception):
    """It cannot be done with the certificates that are there, in words that say what can."""


class OwnAuthorities:
    """As a server that runs tells of them; nothing where it makes no certificates."""

    def __init__(self) -> None:
        self.pem = ""
        self.fingerprints: tuple[str, ...] = ()

    def take(self, pem: str) -> None:
        """From now on these. Raises ValueError."""
        self.fingerprints = tuple(map(fingerprint, certificates_in(pem)))
        self.pem = pem


def is_tls_begun(data: Path) -> bool:
    """Whether this cloud makes its own certificates, be it that the first ones were not finished."""
    return any(os.path.lexists(data / FOLDER / each) for each in (AUTHORITY, SERVER))


def trusted_file(data: Path) -> Path:
    """Where clients on the cloud's own host find what they are to trust."""
    return data / FOLDER / TRUSTED


def own_fingerprint(data: Path) -> str | None:
    """Of the authority of a data directory; `None` where it has none. Raises TlsError, OSError."""
    path = trusted_file(data)
    if not path.parent.is_dir():
        return None
    again = "miner-cloud serve makes it again, or miner-cloud tls init what was not finished"
    try:
        return fingerprint(certificates_in(path.read_text("ascii"))[0])
    except FileNotFoundError:
        raise TlsError(f"{path} is missing: {again}") from None
    except ValueError as error:
        raise TlsError(f"{path} is damaged ({error}): {again}") from None
