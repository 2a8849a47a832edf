"""Firmware files on local disk: one for all tasks that want it, few on their way, never more than the disk bears."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from agent.limits.policy import Policy
from agent.ports import Downloader
from contract.errors import BadFirmwareError, StorageFullError

LEAST_ROOM_BYTES: Final = 1024 * 1024

log: Any = structlog.get_logger(__name__)
_Key = tuple[str, str | None]


@dataclass(slots=True, eq=False)
class _File:
    """A file, there or on its way, and how many tasks hold it."""

    folder: Path
    users: int = 0
    reserved_bytes: int = 0  # its size, or while it is on its way the most it may have
    is_here: bool = False
    job: asyncio.Task[Path] = field(init=False)


class FirmwareFiles:
    """Tasks of a batch share what is named by the same url and checksum."""

    def __init__(self, downloader: Downloader, policy: Callable[[], Policy], work: Path) -> None:
        self._downloader = downloader
        self._policy = policy
        self._work = work
        self._downloads = asyncio.Semaphore(policy().limits.firmware_effects)
        self._files: dict[_Key, _File] = {}
        self._kept: set[_File] = set()  # all that take room
        self._dropping: set[asyncio.Task[None]] = set()
        self._one_asks = asyncio.Lock()
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def file(self, url: str, sha256: str | None) -> AsyncIterator[Path]:
        """Hold the file; the last to leave removes it. Waits for room and for a turn to download.

        Raises what the downloader does, and StorageFullError when the disk has no room for it.
        """
        key = (url, sha256)
        held = self._files.get(key)
        if held is None:
            held = self._files[key] = _File(self._work / f"firmware-{next(self._numbers)}")
            held.job = asyncio.create_task(self._download(held, url, sha256))
            self._kept.add(held)
        held.users += 1
        try:
            try:
                # The download is nobody's own: it goes on when one of those who wait for it is cancelled.
                path = await asyncio.shield(held.job)
            except Exception:
                self._forget(key, held)  # whoever comes later may have better luck
                raise
            yield path
        finally:
            held.users -= 1
            if not held.users:
                self._forget(key, held)
                drop = asyncio.create_task(self._drop(held))
                self._dropping.add(drop)
                drop.add_done_callback(self._dropping.discard)
                await asyncio.shield(drop)

    def _forget(self, key: _Key, held: _File) -> None:
        if self._files.get(key) is held:
            del self._files[key]

    async def _drop(self, held: _File) -> None:
        held.job.cancel()
        await asyncio.wait({held.job})
        if not held.job.cancelled():
            held.job.exception()  # marks it as seen: those who waited were told
        await asyncio.to_thread(shutil.rmtree, held.folder, ignore_errors=True)
        self._kept.discard(held)
        self._changed.set()

    async def _download(self, held: _File, url: str, sha256: str | None) -> Path:
        async with self._downloads:
            try:
                await asyncio.to_thread(held.folder.mkdir, mode=0o700, parents=True, exist_ok=True)
                cap_bytes = await self._room(held)
            except OSError as error:
                raise StorageFullError(
                    f"No room for the firmware file on the agent's disk: {error}"
                ) from error
            try:
                path = await self._downloader.fetch(
                    url, held.folder, cap_bytes=cap_bytes, sha256=sha256
                )
                held.reserved_bytes = (await asyncio.to_thread(path.stat)).st_size
            except BadFirmwareError as error:
                if cap_bytes < self._policy().limits.firmware_max_mb * 2**20:
                    raise BadFirmwareError(
                        f"{error} (the agent's disk has room for {cap_bytes // 2**20} MB only)"
                    ) from error
                raise
            held.is_here = True
            self._changed.set()
            log.info("firmware.here", size_bytes=held.reserved_bytes, tasks=held.users)
            return path

    async def _room(self, held: _File) -> int:
        """Set room aside; gives how many bytes. Waits while others hold what is missing: they end by themselves.

        Raises StorageFullError when there is none, OSError.
        """
        cap_bytes = self._policy().limits.firmware_max_mb * 2**20
        async with self._one_asks:
            while True:
                self._changed.clear()
                room = await asyncio.to_thread(self._left_bytes)
                has_others = any(each.reserved_bytes for each in self._kept)
                if room >= cap_bytes or (room >= LEAST_ROOM_BYTES and not has_others):
                    held.reserved_bytes = min(room, cap_bytes)
                    return held.reserved_bytes
                if not has_others:
                    raise StorageFullError(
                        "The agent's disk has no room for a firmware file: free some space. Nothing was sent."
                    )
                await self._changed.wait()

    def _left_bytes(self) -> int:
        """What firmware may still take: of its own budget, and of the disk without what the journal needs."""
        policy = self._policy()
        kept = list(self._kept)
        budget = policy.limits.firmware_effects * policy.limits.firmware_max_mb * 2**20
        disk = os.statvfs(self._work)
        free = disk.f_bavail * disk.f_frsize - policy.limits.disk_reserve_mb * 2**20
        coming = sum(each.reserved_bytes for each in kept if not each.is_here)
        return min(budget - sum(each.reserved_bytes for each in kept), free - coming)
