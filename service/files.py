"""Files that belong to one process: written whole, read by nobody else; and a folder on which one process runs."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from service.disk import DISK, Disk
from service.hostuser import HostUser

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_COMPANIONS = ("", "-wal", "-shm")  # of a database of SQLite, which gives them its mode


class FolderLockedError(Exception):
    """Another process runs on this folder."""


class FolderLock:
    """One process per folder, for as long as it lives."""

    def __init__(self, path: Path, message: str) -> None:
        """`message` tells whoever comes second what to do."""
        self._path = path
        self._message = message
        self._handle: int | None = None

    def take(self) -> None:
        """Raises FolderLockedError, which names the process, if another one holds it; OSError if the folder cannot be
        written, or a link lies in the place of the lock: what it leads to is not ours to empty.
        """
        if self._handle is not None:
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise FolderLockedError(f"{self._message}{holder}") from None
        self._handle = handle
        with suppress(OSError):  # it is for people only, and the disk may be full
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next one in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _holder(handle: int) -> str:
    """Who wrote its number into the lock, as the end of a sentence."""
    text = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
    return f" (process {text})" if text.isdecimal() else ""


def write_whole(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o600,
    owner: HostUser | None = None,
    disk: Disk = DISK,
) -> None:
    """Write a file beside, sync it, then rename it: after a power cut the old or the new one is there, never a part.
    It belongs to `owner`, where root writes it for another. Blocks. Raises OSError: the old one is there then.
    """
    beside = path.with_name(path.name + ".new")
    disk.unlink(beside)
    disk.create(beside, data, mode=mode, owner=owner)
    disk.sync(beside)
    disk.rename(beside, path)
    disk.sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before this returns. Raises OSError."""
    DISK.sync(path)


def make_private(path: Path) -> None:
    """Have a file that its owner alone can read and write (0600), whatever the folder: made where it is missing.
    Raises OSError.

    One that exists is never opened: closing it would take away the locks that SQLite holds on it in this process.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        for suffix in _COMPANIONS:
            shut(path.with_name(path.name + suffix))


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether anybody but its owner may do anything with it, the group included."""
    return bool(found.st_mode & _OTHERS)


def shut(path: Path) -> None:
    """Take from all others what they may do with a file, if there is one. Raises OSError."""
    try:
        found = path.stat()
        if is_open_to_others(found):
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except FileNotFoundError:
        return
