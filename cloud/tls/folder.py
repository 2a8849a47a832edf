"""The folder `tls` in a cloud's data directory: three files, each of them written whole.

    authority.pem   0600   the authority's key and certificate; during a takeover the former's word and certificate, too
    server.pem      0600   the key and the certificate that the server shows, with the way to the authorities
    ca.pem          0644   what clients are to trust

`authority.pem` alone is the truth: what does not agree with it is made again of it. A key is in one file with its
certificate, so that no crash leaves one beside the other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.tls.certificates import (
    NAMES_MOST,
    Authority,
    ServerCertificate,
    belongs,
    is_due,
    is_of,
    new_authority,
    show,
    successor,
)
from cloud.tls.public import AUTHORITY, FOLDER, SERVER, TRUSTED, TlsError
from service.files import FolderLock, shut, write_whole
from service.ownfolder import check_files, check_folder

_LOCK: Final = "lock"
_CAP: Final = 65_536  # bytes of a file


class TlsFolder:
    """The certificates of one cloud. What changes them holds the folder's lock, and gives what is shown from then on.

    Every method may raise OSError; then what was there before is there still.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self.root = data / FOLDER
        self.server = self.root / SERVER
        self.trusted = self.root / TRUSTED

    def init(self, names: tuple[str, ...], now: datetime) -> tuple[Authority, ServerCertificate]:
        """The first authority and certificate. Raises TlsError where there are some already; an authority whose
        certificate is missing, since somebody was killed in between, is taken up.
        """
        check_folder(self._data)
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        with self._changing():
            if self.server.exists():
                raise TlsError(
                    f"{self.root} holds a certificate already: miner-cloud tls add-name takes more names, "
                    "tls rotate-ca makes another authority"
                )
            if not (self.root / AUTHORITY).exists():
                self._keep_authority(new_authority(now))
            authority = self.authority()
            return authority, self._keep(authority, names, now)

    def add_names(
        self, names: tuple[str, ...], now: datetime
    ) -> tuple[Authority, ServerCertificate]:
        """A certificate for these names, too. Raises TlsError."""
        with self._changing():
            authority, shown = self.authority(), self.shown()
            every = (*shown.names, *names)
            return authority, self._keep(authority, every, _latest(now, shown))

    def rotate(self, now: datetime) -> tuple[Authority, ServerCertificate]:
        """A new authority, which the former vouches for. Raises TlsError while an earlier one is taking over."""
        with self._changing():
            old, shown = self.authority(), self.shown()
            if old.former is not None:
                raise TlsError(
                    "the authority before is still trusted: end that first, by miner-cloud tls rotate-ca --finish"
                )
            now = _latest(now, shown)
            new = successor(old, now)
            self._keep_authority(new)
            return new, self._keep(new, shown.names, now)

    def finish(self, now: datetime) -> tuple[Authority, ServerCertificate]:
        """The former authority is trusted no more. Raises TlsError where there is none."""
        with self._changing():
            authority, shown = self.authority(), self.shown()
            if authority.former is None:
                raise TlsError("no other authority is trusted: miner-cloud tls rotate-ca makes one")
            alone = Authority(authority.key, authority.certificate)
            self._keep_authority(alone)
            return alone, self._keep(alone, shown.names, _latest(now, shown))

    def settle(self, now: datetime) -> tuple[Authority, ServerCertificate]:
        """See that all of it agrees, and that the certificate is not due. Raises TlsError."""
        with self._changing():
            authority, shown = self.authority(), self.shown()
            if not is_of(shown, authority) or is_due(shown, authority, now):
                return authority, self._keep(authority, shown.names, _latest(now, shown))
            self._keep_trusted(authority)
            return authority, shown

    def authority(self) -> Authority:
        """Raises TlsError where it is missing or damaged."""
        self._check_begun()
        path = self.root / AUTHORITY
        key, held = _read(
            path, "put it back from a backup, or move the folder away and begin again"
        )
        if len(held) not in (1, 3):
            raise TlsError(f"{path} holds {len(held)} certificates: put it back from a backup")
        crossed, former = held[1:] or (None, None)
        return Authority(key, held[0], crossed, former)

    def shown(self) -> ServerCertificate:
        """Raises TlsError where it is missing or damaged."""
        key, held = _read(
            self.server,
            "move it away, then: miner-cloud tls init --name HOST, which keeps the authority",
        )
        return ServerCertificate(key, held[0], held[1] if len(held) > 1 else None)

    def _check_begun(self) -> None:
        if not self.root.is_dir():
            raise TlsError(f"{self._data} has no certificates: miner-cloud tls init makes some")

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._check_begun()
        check_files(self.root, {AUTHORITY, SERVER, TRUSTED, _LOCK})
        lock = FolderLock(
            self.root / _LOCK,
            f"another miner-cloud changes {self.root}: try again when it has ended",
        )
        lock.take()
        try:
            for each in (AUTHORITY, SERVER):
                shut(self.root / each)
            yield
        finally:
            lock.release()

    def _keep(
        self, authority: Authority, names: tuple[str, ...], now: datetime
    ) -> ServerCertificate:
        every = tuple(dict.fromkeys(names))
        if len(every) > NAMES_MOST:
            raise TlsError(f"{len(every)} names: a certificate of ours has {NAMES_MOST} at most")
        self._keep_trusted(authority)
        shown = show(authority, every, now)
        chain = [shown.certificate] if shown.crossed is None else [shown.certificate, shown.crossed]
        write_whole(self.server, _key_pem(shown.key) + _pem(*chain))
        return shown

    def _keep_authority(self, authority: Authority) -> None:
        held = (authority.certificate, authority.crossed, authority.former)
        write_whole(
            self.root / AUTHORITY,
            _key_pem(authority.key) + _pem(*(each for each in held if each is not None)),
        )

    def _keep_trusted(self, authority: Authority) -> None:
        wanted = _pem(*authority.trusted)
        if not self.trusted.exists() or self.trusted.read_bytes() != wanted:
            write_whole(self.trusted, wanted, mode=0o644)


def _latest(now: datetime, shown: ServerCertificate) -> datetime:
    """A clock that was put back since makes no certificate that ends before the one there is."""
    return max(now, shown.made_at)


def _read(path: Path, otherwise: str) -> tuple[ec.EllipticCurvePrivateKey, list[x509.Certificate]]:
    """A key of ours and the certificates after it, of which the first is the key's."""
    try:
        with path.open("rb") as file:
            data = file.read(_CAP)
        key = serialization.load_pem_private_key(data, None)
        held = x509.load_pem_x509_certificates(data)
    except FileNotFoundError:
        raise TlsError(f"{path} is missing: {otherwise}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsError(f"{path} is damaged: {otherwise}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not belongs(key, held[0]):
        raise TlsError(f"{path} holds a key and a certificate of another: {otherwise}")
    return key, held


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
