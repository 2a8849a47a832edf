"""The files of images on the cloud's disk, and the links by which agents fetch them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cloud.link.files import Folder, digest_of, safe_name
from cloud.store.schema.rows import FirmwareRow

FOLDER: Final = "firmware"
_LINK_STEP_S: Final = 3600  # links of one hour end together, and so are equal


class Images(Folder):
    """The files of all workspaces, by workspace and sha256."""

    def __init__(self, data: Path) -> None:
        super().__init__(data, FOLDER)
        # What a file looked like when its hash was found to be right.
        self._checked: dict[Path, tuple[int, ...]] = {}

    def link(
        self, base_url: str, workspace_id: str, sha256: str, file_name: str, until_s: float
    ) -> str:
        """Where an image can be fetched without a key until that second of cloud time, and at most an hour longer.
        `base_url` is how whoever fetches it reaches this server.
        """
        expires = math.ceil(until_s / _LINK_STEP_S) * _LINK_STEP_S
        name = safe_name(file_name)
        signature = self.signature(FOLDER, workspace_id, sha256, name, expires=expires)
        path = "/".join(map(quote, (FOLDER, workspace_id, sha256, name)))
        return f"{base_url}/{path}?expires={expires}&sig={signature}"

    def opens(
        self,
        workspace_id: str,
        sha256: str,
        name: str,
        *,
        expires: str,
        signature: str,
        cloud_s: float,
    ) -> bool:
        """Whether a link was made by us and has not expired."""
        return self.is_signed(
            FOLDER, workspace_id, sha256, name,
            expires=expires, signature=signature, cloud_s=cloud_s,
        )  # fmt: skip

    async def has_size(self, row: FirmwareRow) -> bool:
        """Whether a file lies there that could be that of the image; quick, however large it is."""
        path = self.path(row.workspace_id, row.sha256)

        def look() -> bool:
            return path.is_file() and path.stat().st_size == row.size_bytes

        return await asyncio.to_thread(look)

    async def whole(self, row: FirmwareRow) -> Path | None:
        """The file of an image; None where it is gone, or is not what was uploaded. Read whole once, and again whenever
        something wrote to it.
        """
        path = self.path(row.workspace_id, row.sha256)
        return path if await asyncio.to_thread(self._is_whole, path, row) else None

    async def found(self) -> list[Path]:
        """All files there are, whole or not."""
        return await asyncio.to_thread(lambda: list(self._root.glob("*/*")))

    async def drop_strays(self, found: Collection[Path], known: Collection[tuple[str, str]]) -> int:
        """Remove those of the files that are of none of these images, by workspace and sha256: a crash left them. Gives
        how many.
        """
        kept = {self.path(*each) for each in known}
        strays = [path for path in found if path.with_suffix("") not in kept]

        def drop() -> None:
            for path in strays:
                path.unlink(missing_ok=True)

        await asyncio.to_thread(drop)
        return len(strays)

    def _is_whole(self, path: Path, row: FirmwareRow) -> bool:
        try:
            state = path.stat()
            looks = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            if state.st_size != row.size_bytes:
                return False
            if self._checked.get(path) == looks:
                return True
            if digest_of(path) != row.sha256:
                return False
        except OSError:
            return False
        self._checked[path] = looks
        return True
