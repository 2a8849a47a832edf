"""A release repository on the web, asked under the rules that firmware is fetched by."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tuf.api.metadata import TargetFile

from agent.ports import Downloader
from contract.errors import FileTooBigError, NoSuchFileError
from release.refusals import Refusal, ReleaseRefusedError
from release.trust import WantedFile, stored_path


class ReleaseRepository:
    """`folder` is where files are put while they are on their way, and nothing else is. Methods raise, besides what
    they say, PolicyRefusedError, UnreachableError, StorageFullError and BadFirmwareError, as `Downloader` does.
    """

    def __init__(self, url: str, downloader: Downloader, folder: Path) -> None:
        self._url = url.rstrip("/")
        self._downloader = downloader
        self._folder = folder

    async def metadata(self, wanted: WantedFile) -> bytes | None:
        """A file of metadata; `None` where the server has none. Raises ReleaseRefusedError for one that is too big."""
        try:
            path = await self._fetch(f"metadata/{wanted.path}", wanted.most, None)
        except NoSuchFileError:
            return None
        return await asyncio.to_thread(_taken, path)

    async def small(self, target: TargetFile, most: int) -> bytes:
        """The content of a target, which is what was signed for. Raises ReleaseRefusedError."""
        if target.length > most:
            raise ReleaseRefusedError(Refusal.TOO_BIG, f"{target.path} has over {most} bytes")
        return await asyncio.to_thread(_taken, await self.file(target))

    async def file(self, target: TargetFile) -> Path:
        """Bring a target, which is what was signed for. Raises ReleaseRefusedError."""
        try:
            path = await self._fetch(
                f"targets/{stored_path(target)}", target.length, target.hashes["sha256"]
            )
        except NoSuchFileError:
            raise ReleaseRefusedError(Refusal.MISSING, f"{target.path} is missing") from None
        if (await asyncio.to_thread(path.stat)).st_size != target.length:
            raise ReleaseRefusedError(
                Refusal.MIXED, f"{target.path} has not the length that was signed for"
            )
        return path

    async def _fetch(self, path: str, most: int, sha256: str | None) -> Path:
        try:
            return await self._downloader.fetch(
                f"{self._url}/{path}", self._folder, cap_bytes=most, sha256=sha256
            )
        except FileTooBigError:
            raise ReleaseRefusedError(Refusal.TOO_BIG, f"{path} has over {most} bytes") from None


def _taken(path: Path) -> bytes:
    data = path.read_bytes()
    path.unlink()
    return data
