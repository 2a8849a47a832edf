"""From an order for a release to a folder that holds it, verified: `staged/VERSION` in the agent's folder of updates.

Nothing is installed here, and nothing is written outside that folder. What is staged is only what its user claims to
be a release: whoever installs it copies it to where that user cannot write, and verifies the copy again
(`release.verification`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from tuf.api.metadata import TargetFile

from agent.journal.migrations import NEWEST
from agent.limits.policy import Policy
from agent.ports import Downloader
from agent.update.repository import ReleaseRepository
from contract.clock import Clock
from contract.errors import FileTooBigError, StorageFullError, UnreachableError
from contract.task import SelfUpdateParams
from release.bundle import BUNDLE_BYTES
from release.channels import CHANNEL_BYTES, Channel, channel_path, read_channel
from release.handover import STAGED_IN
from release.kept import keep_in, kept_in
from release.manifest import Manifest
from release.refusals import Refusal, ReleaseRefusedError
from release.trust import Refresh, Trusted, WantedFile
from release.verification import (
    BUNDLE,
    SIGNATURE,
    Anchors,
    Installed,
    Verified,
    check_fits,
    verify_staged,
)
from service.files import sync, write_whole
from service.install.release import version_order
from service.opening import opened_folder

METADATA_S: Final = 120.0  # for all metadata together, however slowly it comes
BUNDLE_S: Final = 600.0

log: Any = structlog.get_logger(__name__)
_Steps = Generator[WantedFile, bytes | None, Trusted]


class ReleaseSource(NamedTuple):
    """Where releases come from, and by what they are judged."""

    url: str  # of the repository
    channel: Channel
    anchors: Anchors
    installed: Installed


class StagedRelease(NamedTuple):
    """A release that lies ready."""

    version: str
    sha256: str  # of its bundle
    folder: Path
    clock_doubt: str | None  # to be said where the host's clock was not believed


class Staging:
    """One order at a time: a second one waits."""

    def __init__(
        self,
        folder: Path,
        source: ReleaseSource,
        downloader: Downloader,
        policy: Callable[[], Policy],
        clock: Clock,
        *,
        metadata_s: float = METADATA_S,
        bundle_s: float = BUNDLE_S,
    ) -> None:
        """`folder` is made where it is missing; its parent is not."""
        self._source = source
        self._downloader = downloader
        self._policy = policy
        self._clock = clock
        self._metadata_s = metadata_s
        self._bundle_s = bundle_s
        self._folder = folder
        self._coming = folder / "coming"  # emptied before and after each order
        self._staged = folder / STAGED_IN
        self._trust = folder / "trust"
        self._repository = ReleaseRepository(source.url, downloader, self._coming)
        self._one = asyncio.Lock()

    async def stage(self, order: SelfUpdateParams) -> StagedRelease | None:
        """Fetch and verify what the order asks for: the newest of the channel, a version, or a file with its
        signature. `None`: that is the version that runs, as the repository says.

        Raises ReleaseRefusedError, PolicyRefusedError, UnreachableError, StorageFullError, BadFirmwareError: nothing
        is staged then but what was before.
        """
        async with self._one:
            try:
                await asyncio.to_thread(self._begin)
                if order.binary_url is None:
                    return await self._of_repository(order)
                return await self._of_url(order, order.binary_url, order.signature or "")
            except OSError as error:
                raise StorageFullError(f"The release cannot be kept on disk: {error}") from error
            finally:
                await asyncio.to_thread(shutil.rmtree, self._coming, ignore_errors=True)

    def _begin(self) -> None:
        shutil.rmtree(self._coming, ignore_errors=True)
        for each in (self._folder, self._coming, self._staged):
            each.mkdir(mode=0o700, exist_ok=True)

    async def _of_repository(self, order: SelfUpdateParams) -> StagedRelease | None:
        kept = await asyncio.to_thread(kept_in, self._trust)
        async with _within(self._metadata_s, "the metadata of the releases"):
            trusted = await self._refreshed(kept)
            await asyncio.to_thread(keep_in, self._trust, trusted.files)
            version, target = await self._chosen(trusted, order.target_version)
        installed = self._source.installed
        if version_order(version) == version_order(installed.version):
            return None
        check_fits(version, installed.platform, installed)
        await asyncio.to_thread(self._check_room, target.length)
        async with _within(self._bundle_s, "the bundle"):
            bundle = await self._repository.file(target)
        return await asyncio.to_thread(self._finish, bundle, trusted.files, order, kept)

    async def _refreshed(self, kept: Mapping[str, bytes]) -> Trusted:
        source = self._source
        look = Refresh(
            source.anchors.root,
            kept,
            built_at=source.installed.built_at,
            clock=self._clock.now(),
        )
        steps = look.files()
        step = await asyncio.to_thread(_next, steps, None)
        while isinstance(step, WantedFile):
            step = await asyncio.to_thread(_next, steps, await self._repository.metadata(step))
        if step.clock_doubt is not None:
            log.warning("update.clock", doubt=step.clock_doubt)
        return step

    async def _chosen(self, trusted: Trusted, target_version: str | None) -> tuple[str, TargetFile]:
        """Version and bundle that the order means."""
        platform, channel = self._source.installed.platform, self._source.channel
        if target_version is not None:
            version = target_version.removeprefix("v")
            return version, trusted.bundle(version, platform)
        listed = trusted.target(channel_path(channel), f"there is no channel {channel}")
        newest = read_channel(await self._repository.small(listed, CHANNEL_BYTES))
        path = newest.bundles.get(platform)
        target = trusted.bundle(newest.version, platform)
        if path != target.path:
            raise ReleaseRefusedError(
                Refusal.NOT_OFFERED, f"channel {channel} has no bundle for {platform}"
            )
        return newest.version, target

    async def _of_url(self, order: SelfUpdateParams, url: str, signature: str) -> StagedRelease:
        most = await asyncio.to_thread(self._check_room, 1)
        async with _within(self._bundle_s, "the bundle"):
            try:
                bundle = await self._downloader.fetch(
                    url, self._coming, cap_bytes=most, sha256=None
                )
            except FileTooBigError as error:
                raise ReleaseRefusedError(Refusal.TOO_BIG, str(error)) from None
        files = {SIGNATURE: signature.strip().encode()}
        return await asyncio.to_thread(self._finish, bundle, files, order, {})

    def _check_room(self, needed: int) -> int:
        """The most bytes a bundle may have here. Raises StorageFullError where what is needed is more."""
        limits = self._policy().limits
        disk = os.statvfs(self._folder)
        room = disk.f_bavail * disk.f_frsize - limits.disk_reserve_mb * 2**20
        if needed > room:
            raise StorageFullError(
                f"The agent's disk has no room for a release of {needed / 2**20:.0f} MB: free some space"
            )
        most = min(limits.firmware_max_mb * 2**20, BUNDLE_BYTES)
        if needed > most:
            raise ReleaseRefusedError(
                Refusal.TOO_BIG,
                f"the bundle has {needed} bytes, over {most}: see [limits] firmware_max_mb",
            )
        return min(most, room)

    def _finish(
        self,
        bundle: Path,
        files: Mapping[str, bytes],
        order: SelfUpdateParams,
        kept: Mapping[str, bytes],
    ) -> StagedRelease:
        """Lay bundle and files together, verify them as they lie there, and give them their place. Blocks."""
        if order.md5 is not None and _md5(bundle) != order.md5:
            raise ReleaseRefusedError(Refusal.MIXED, "the bundle has not the md5 of the order")
        ready = self._coming / ".ready"  # a name that no url gives a file
        ready.mkdir(mode=0o700)
        bundle.rename(ready / BUNDLE)
        for name, data in files.items():
            write_whole(ready / name, data)
        verified = self._verified(ready, kept)
        version = verified.manifest.version
        _check_way_back(verified.manifest)
        if order.target_version not in (None, version, f"v{version}"):
            raise ReleaseRefusedError(
                Refusal.NOT_OFFERED, f"the bundle is {version}, not {order.target_version}"
            )
        place = self._staged / version
        # one at a time: what was staged before is of no use any more
        for each in self._staged.iterdir():
            shutil.rmtree(each)
        ready.rename(place)
        sync(self._staged)
        log.info("update.staged", version=version, sha256=verified.sha256)
        return StagedRelease(version, verified.sha256, place, verified.clock_doubt)

    def _verified(self, ready: Path, kept: Mapping[str, bytes]) -> Verified:
        """As whoever installs it will, and with all of it on the disk."""
        sync(ready / BUNDLE)
        sync(ready)
        with opened_folder(ready) as folder:
            return verify_staged(
                folder,
                self._source.anchors,
                self._source.installed,
                clock=self._clock.now(),
                kept=kept,
            )


@asynccontextmanager
async def _within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raises UnreachableError where that takes longer, however busy the server was."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise UnreachableError(f"{what} did not come within {seconds:.0f} s") from None


def _check_way_back(manifest: Manifest) -> None:
    """A release works on the journal as it is until it is proven, so that this one can go on with it. Raises
    ReleaseRefusedError where it cannot.
    """
    reads = manifest.journal_schema.reads
    if NEWEST not in reads:
        raise ReleaseRefusedError(
            Refusal.NO_WAY_BACK,
            f"{manifest.version} works on journals of version {' and '.join(map(str, reads))}, and this agent writes "
            f"{NEWEST}: install a release in between first",
        )


def _next(steps: _Steps, data: bytes | None) -> WantedFile | Trusted:
    """The next file that is wanted, or what is trusted in the end."""
    try:
        return steps.send(data)
    except StopIteration as end:
        found: Trusted = end.value
        return found


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
