"""While the control plane serves, what it signs of its releases does not expire."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from contract.clock import Clock
from service.files import FolderLockedError

_EVERY_S: Final = 3600.0
log = structlog.get_logger(__name__)


class Renewal:
    """`run` for ever, or call `once` yourself."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self._data = data
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. What goes wrong is logged and tried again an hour later."""
        while True:
            await self.once()
            await self._clock.sleep(_EVERY_S)

    async def once(self) -> None:
        """Sign again what is due."""
        try:
            await asyncio.to_thread(self._renew, self._clock.now())
        except (OSError, ValueError, FolderLockedError) as error:
            log.error("release.not_renewed", error=str(error)[:500])

    def _renew(self, now: datetime) -> None:
        if not (self._data / "release" / "repository").is_dir():
            return  # nothing of what signing needs is loaded
        from cloud.release.online import OnlineRepository

        releases = OnlineRepository(self._data)
        if not releases.is_there():
            return
        if not releases.renew(now):
            return
        log.info("release.renewed")
        for kind, ends_at in releases.ends_soon(now):  # once a day
            log.warning("release.ends", what=kind, ends_at=f"{ends_at:%Y-%m-%d}")
