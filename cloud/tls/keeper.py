"""The certificate of a server that runs: renewed well before its end, and taken up when a command made another.

What is open goes on: each connection keeps the certificate that it was made with.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from cloud.tls.certificates import SERVER_VALID, print_of
from cloud.tls.folder import TlsFolder
from cloud.tls.public import OwnAuthorities, TlsError
from contract.clock import Clock
from service.files import FolderLockedError

_LOOK_S: Final = 5.0  # how long a command's change may wait
_RENEW_S: Final = 3600.0  # between looks at the calendar; also until the next try
_TOLERATED: Final = timedelta(days=1)  # of a clock
log = structlog.get_logger(__name__)


class TlsKeeper:
    """`open` before the server listens, then `run` beside it."""

    def __init__(self, folder: TlsFolder, clock: Clock, authorities: OwnAuthorities) -> None:
        self._folder = folder
        self._clock = clock
        self._authorities = authorities
        self._settled_mono = clock.mono()
        self._seen: tuple[object, ...] = ()
        self.first_name: str | None = None  # by which this cloud is reached

    def open(self) -> ssl.SSLContext:
        """What is shown from now on. What cannot be renewed is shown as it is, and that is said. Raises TlsError where
        nothing can be.
        """
        self._settle()
        return self._load()

    async def run(self, use: Callable[[ssl.SSLContext], None]) -> None:
        """Until cancelled; `use` is called with what new connections are to be shown."""
        while True:
            await self._clock.sleep(_LOOK_S)
            found = await asyncio.to_thread(self.look)
            if found is not None:
                use(found)

    def look(self) -> ssl.SSLContext | None:
        """What is shown from now on, where that has changed."""
        if self._clock.mono() - self._settled_mono >= _RENEW_S:
            self._settle()
        if self._signature() == self._seen:
            return None
        try:
            return self._load()
        except TlsError as error:
            log.error("tls.unusable", error=str(error), shown="the one before")
            self._seen = self._signature()
            return None

    def _settle(self) -> None:
        self._settled_mono, now = self._clock.mono(), self._clock.now()
        try:
            authority, shown = self._folder.settle(now)
        except (TlsError, FolderLockedError) as error:
            log.warning("tls.not_renewed", error=str(error))
            return
        except OSError as error:
            log.warning("tls.not_renewed", error=f"{error.filename}: {error.strerror}")
            return
        if authority.certificate.not_valid_after_utc < now + SERVER_VALID:
            log.warning(
                "tls.authority_ends",
                until=f"{authority.certificate.not_valid_after_utc:%Y-%m-%d}",
                hint="miner-cloud tls rotate-ca makes another, which agents follow",
            )
        if now < shown.made_at - _TOLERATED:
            log.warning(
                "tls.clock",
                now=f"{now:%Y-%m-%d}",
                made_at=f"{shown.made_at:%Y-%m-%d}",
                hint="this host's clock is behind the one that made the certificate: set up time synchronisation",
            )

    def _load(self) -> ssl.SSLContext:
        self._seen = self._signature()
        path = self._folder.server
        try:
            shown = self._folder.shown()
            context = server_context(path)
            self._authorities.take(self._folder.trusted.read_text("ascii"))
        except (OSError, ValueError) as error:  # of ssl, too
            raise TlsError(f"{path} and {self._folder.trusted} cannot be used: {error}") from None
        self.first_name = shown.names[0]
        end = shown.certificate.not_valid_after_utc
        is_over = end <= self._clock.now()
        (log.error if is_over else log.info)(
            "tls.expired" if is_over else "tls.shown",
            names=list(shown.names),
            until=f"{end:%Y-%m-%d}",
            sha256=print_of(shown.certificate),
            authorities=list(self._authorities.fingerprints),
        )
        return context

    def _signature(self) -> tuple[object, ...]:
        """What differs once one of the files was written."""
        return tuple(map(_written, (self._folder.server, self._folder.trusted)))


def server_context(chain: Path, key: Path | None = None) -> ssl.SSLContext:
    """For a server that shows this chain. Raises OSError, of which that of `ssl` is one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    return context


def _written(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
