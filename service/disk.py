"""What is done to files where a power cut may come between any two steps: each operation by itself.

Nothing is on the disk for sure before `sync` returned: of a file for what is in it, of a folder for the names in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from service.hostuser import HostUser

_T = TypeVar("_T")


class Disk:
    """Every method blocks, and raises OSError."""

    def mkdir(self, path: Path, mode: int = 0o755) -> None:
        """With exactly this mode; one that is there stays as it is."""
        if not path.is_dir():
            path.mkdir()
            path.chmod(mode)

    def create(
        self, path: Path, data: bytes, *, mode: int = 0o600, owner: HostUser | None = None
    ) -> None:
        """A new file, always: root follows no link that the owner of the folder may have laid."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            if owner is not None:
                os.fchown(handle, owner.uid, owner.gid)
            file.write(data)

    def copy(self, source: int, path: Path, size: int) -> None:
        """A new file of the first bytes of an open one. Raises EOFError where it has fewer."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            done = 0
            while done < size:
                sent = os.sendfile(handle, source, done, size - done)
                if not sent:
                    raise EOFError(f"{path.name} has {done} bytes, and {size} were there before")
                done += sent
        finally:
            os.close(handle)

    def fill(self, folder: Path, maker: Callable[[Path], _T]) -> _T:
        """Many files, which `maker` puts into a new folder; to be synced by `sync_all`. Gives what `maker` does."""
        folder.mkdir(mode=0o755)
        return maker(folder)

    def rename(self, path: Path, to: Path) -> None:
        path.replace(to)

    def symlink(self, path: Path, to: Path) -> None:
        path.symlink_to(to)

    def unlink(self, path: Path, *, folder: int | None = None) -> bool:
        """Or nothing, where there is none; gives whether there was one. With `folder`, in the open one, whatever the
        path to it leads to by now.
        """
        try:
            os.unlink(path if folder is None else path.name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def rmtree(self, path: Path) -> None:
        """A folder with all that is in it, or nothing, where there is none."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)

    def sync(self, path: Path) -> None:
        """Of a file its content, of a folder its names."""
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def sync_all(self) -> None:
        """Whatever has not been written yet."""
        os.sync()


DISK: Final = Disk()
