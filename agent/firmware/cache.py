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

from agent.firmware.kept import KeptFiles
from agent.limits.policy import Policy
from agent.ports import Downloader
from contract.errors import (
    BadFirmwareError,
    PolicyRefusedError,
    StorageFullError,
    UnreachableError,
)

LEAST_ROOM_BYTES: Final = 1024 * 1024
_MIB: Final = 2**20
# What may be the fault of the address; another task may know a better one for the same file.
_OF_ADDRESS: Final = (BadFirmwareError, PolicyRefusedError, UnreachableError)

log: Any = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _File:
    """A file, there or on its way, and how many tasks hold it."""

    key: str  # its sha256, or the url where that is not known
    url: str | None  # where this process fetched it
    sha256: str | None
    folder: Path
    users: int = 0
    reserved_bytes: int = 0  # its size, or while it is on its way the most it may have
    is_here: bool = False
    job: asyncio.Future[Path] = field(init=False)


class FirmwareFiles:
    """Tasks share what has one sha256, whatever its address; without a sha256, what has one address. What has a sha256
    is kept for those who come later, also to the next process, as long as it is in nobody's way.
    """

    def __init__(
        self, downloader: Downloader, policy: Callable[[], Policy], work: Path, kept: Path
    ) -> None:
        """`work` is for what is on its way, and emptied by others at a start; `kept`, on the same disk, is not."""
        self._downloader = downloader
        self._policy = policy
        self._work = work
        self._store = KeptFiles(kept)
        self._downloads = asyncio.Semaphore(policy().limits.firmware_effects)
        self._files: dict[str, _File] = {}
        self._idle: dict[str, _File] = {}  # kept, and held by nobody; the one used last at the end
        self._all: set[_File] = set()  # that take room
        self._dropping: set[asyncio.Task[None]] = set()
        self._one_asks = asyncio.Lock()
        self._one_reads = asyncio.Lock()
        self._changed = asyncio.Event()
        self._numbers = itertools.count(1)

    async def load(self) -> None:
        """Take up what earlier processes kept. Before anything is asked for."""
        for kept in await asyncio.to_thread(self._store.found):
            file = _File(kept.sha256, None, kept.sha256, kept.path.parent, is_here=True)
            file.reserved_bytes = kept.size_bytes
            file.job = asyncio.get_running_loop().create_future()
            file.job.set_result(kept.path)
            self._all.add(file)
            self._idle[file.key] = file
        await self._trim()

    @asynccontextmanager
    async def file(self, url: str, sha256: str | None) -> AsyncIterator[Path]:
        """Hold the file; the last to leave removes it, unless it is kept. Waits for room and for a turn to download.

        Raises what the downloader does, and StorageFullError when the disk has no room for it.
        """
        held, path = await self._hold(url, sha256)
        try:
            yield path
        finally:
            await self._leave(held)

    async def _hold(self, url: str, sha256: str | None) -> tuple[_File, Path]:
        others_failed = False
        while True:
            held, is_mine = self._join(url, sha256)
            try:
                # The download is nobody's own: it goes on when one of those who wait for it is cancelled.
                path = await asyncio.shield(held.job)
                if is_mine or sha256 is None or await self._is_sound(path, sha256):
                    return held, path
            except BaseException as error:
                if not isinstance(error, asyncio.CancelledError):
                    self._forget(held)  # a later task may have better luck
                await self._leave(held)
                can_do_better = isinstance(error, _OF_ADDRESS) and held.url != url
                if not can_do_better or others_failed:
                    raise
                others_failed = True
                continue
            log.warning("firmware.rotten", sha256=sha256)
            self._forget(held)
            await self._leave(held)

    async def _is_sound(self, path: Path, sha256: str) -> bool:
        """Whether a file that was kept, or is shared, is still what it was. One is read at a time: a batch begins
        together, and others need the disk, too.
        """
        async with self._one_reads:
            return await asyncio.to_thread(self._store.is_sound, path, sha256)

    def _join(self, url: str, sha256: str | None) -> tuple[_File, bool]:
        """The file, held once more, and whether its download begins with that."""
        key = sha256 or url
        held = self._files.get(key) or self._idle.pop(key, None)
        is_mine = held is None
        if held is None:
            held = _File(key, url, sha256, self._work / f"firmware-{next(self._numbers)}")
            held.job = asyncio.create_task(self._download(held, url, sha256))
            self._all.add(held)
        self._files[key] = held
        held.users += 1
        return held, is_mine

    async def _leave(self, held: _File) -> None:
        held.users -= 1
        if held.users:
            return
        is_known = self._forget(held)
        if is_known and held.is_here and held.sha256 is not None:
            self._idle[held.key] = held
            ending = self._trim()
        else:
            ending = self._drop(held)
        drop = asyncio.create_task(ending)
        self._dropping.add(drop)
        drop.add_done_callback(self._dropping.discard)
        await asyncio.shield(drop)

    def _forget(self, held: _File) -> bool:
        """Nobody joins it any more. False: that was so before."""
        if self._files.get(held.key) is not held:
            return False
        del self._files[held.key]
        return True

    async def _trim(self) -> None:
        """Of what nobody holds, drop what was used longest ago until the rest may stay."""
        self._changed.set()
        most = self._policy().limits.firmware_kept_mb * _MIB
        while sum(each.reserved_bytes for each in self._idle.values()) > most:
            await self._drop_oldest()

    async def _drop_oldest(self) -> None:
        oldest = next(iter(self._idle))
        await self._drop(self._idle.pop(oldest))

    async def _drop(self, held: _File) -> None:
        held.job.cancel()
        await asyncio.wait({held.job})
        if not held.job.cancelled():
            held.job.exception()  # marks it as seen: those who waited were told
        await asyncio.to_thread(shutil.rmtree, held.folder, ignore_errors=True)
        self._all.discard(held)
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
                if cap_bytes < self._policy().limits.firmware_max_mb * _MIB:
                    raise BadFirmwareError(
                        f"{error} (the agent's disk has room for {cap_bytes // _MIB} MB only)"
                    ) from error
                raise
            if sha256 is not None:
                path = await self._keep(held, path, sha256)
            held.is_here = True
            self._changed.set()
            log.info("firmware.here", size_bytes=held.reserved_bytes, tasks=held.users)
            return path

    async def _keep(self, held: _File, path: Path, sha256: str) -> Path:
        """Move it to where it outlives this process; where it cannot be moved it is used from where it is."""
        try:
            kept = await asyncio.to_thread(self._store.take, path, sha256)
        except OSError as error:
            log.warning("firmware.not_kept", error=str(error))
            return path
        left, held.folder = held.folder, kept.parent
        await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)
        return kept

    async def _room(self, held: _File) -> int:
        """Set room aside; gives how many bytes. What nobody holds gives way, the one used longest ago first. Waits
        while others hold what is missing: they end by themselves.

        Raises StorageFullError when there is none, OSError.
        """
        cap_bytes = self._policy().limits.firmware_max_mb * _MIB
        async with self._one_asks:
            while True:
                self._changed.clear()
                room = await asyncio.to_thread(self._left_bytes)
                if room < cap_bytes and self._idle:
                    await self._drop_oldest()
                    continue
                has_others = any(each.reserved_bytes for each in self._all)
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
        there = list(self._all)
        budget = policy.limits.firmware_effects * policy.limits.firmware_max_mb * _MIB
        disk = os.statvfs(self._work)
        free = disk.f_bavail * disk.f_frsize - policy.limits.disk_reserve_mb * _MIB
        coming = sum(each.reserved_bytes for each in there if not each.is_here)
        return min(budget - sum(each.reserved_bytes for each in there), free - coming)
