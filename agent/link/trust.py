"""Whom the agent takes for its cloud: what the certificate that it is shown has to be of."""

from __future__ import annotations

import ssl
from pathlib import Path

from agent.config.file import why
from agent.ports import CloudError
from contract.enrolment.authorities import as_pem, certificates_in, fingerprint
from service.files import write_whole


class CloudTrust:
    """Certificate authorities of one cloud: those of a file, else those that this host trusts.

    A file that is `pinned` is ours: the agent keeps in it what its cloud says, by a proven connection, that it will be
    known by. Any other belongs to the person who wrote the config.
    """

    def __init__(self, file: Path | None = None, *, is_pinned: bool = False) -> None:
        self._file = file
        self._is_pinned = is_pinned and file is not None
        self._context: ssl.SSLContext | None = None
        self._known: tuple[str, ...] = ()

    @property
    def context(self) -> ssl.SSLContext:
        """For connections. The file is read when it is first needed. Raises CloudError for one that is no good."""
        if self._context is None:
            try:
                self._context = ssl.create_default_context(
                    cafile=None if self._file is None else str(self._file)
                )
                if self._is_pinned:
                    self._known = fingerprints_in(self._file)
            except (OSError, ValueError) as error:  # of ssl, too
                self._context = None
                raise CloudError(f"{self._file} cannot be used: {why(error)}", retry=True) from None
        return self._context

    def forget(self) -> None:
        """Read the file once more: somebody may have put another in its place."""
        self._context = None

    def knows(self, told: tuple[str, ...]) -> bool:
        """Whether there is nothing to be learned from these fingerprints, which the cloud told."""
        return not self._is_pinned or not told or set(told) == set(self._known)

    def keep(self, pem: str) -> None:
        """These and no others from now on, through restarts, too. Blocks. Raises ValueError, OSError."""
        assert self._file is not None
        held = certificates_in(pem)
        proven = trusting(*held)
        write_whole(self._file, as_pem(held).encode("ascii"))
        self._context, self._known = proven, tuple(map(fingerprint, held))


def trusting(*authorities: bytes) -> ssl.SSLContext:
    """For connections to servers whose certificate is of one of these, given in DER. Raises ValueError."""
    try:
        return ssl.create_default_context(cadata=as_pem(authorities))
    except ssl.SSLError as error:
        raise ValueError(f"what is said to be an authority is none ({error.reason})") from None


def blind() -> ssl.SSLContext:
    """For a connection to an unproven server: no secret is sent on it, and nothing is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fingerprints_in(file: Path | None) -> tuple[str, ...]:
    """Of the authorities in a file of PEM. Raises OSError, ValueError."""
    if file is None:
        return ()
    return tuple(map(fingerprint, certificates_in(file.read_text("ascii"))))
