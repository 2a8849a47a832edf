"""The files around the journal: ballast, damaged files set aside, and whether all is in place."""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final

from agent.journal.schema import DamagedError

KEPT_ASIDE: Final = 3  # damaged journals kept for whoever wants to look
_SUFFIXES: Final = ("", "-wal", "-shm")


class Trouble(Enum):
    """What is wrong with the disk; the value is a sentence for the operator."""

    FULL = "The disk of the agent's state folder is full: free some space. No task is begun until then."
    READ_ONLY = "The agent's state folder cannot be written: check its mount and owner. No task is begun until then."
    FAILING = (
        "The disk of the agent's state folder gives errors: check it. No task is begun until then."
    )


def trouble_of(error: sqlite3.Error | OSError) -> Trouble:
    """Name what a failed commit or open means."""
    if isinstance(error, OSError):
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            return Trouble.FULL
        return Trouble.READ_ONLY if error.errno in (1, 13, 30) else Trouble.FAILING
    code = _primary(error)
    if code == sqlite3.SQLITE_FULL:
        return Trouble.FULL
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return Trouble.READ_ONLY
    return Trouble.FAILING


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is broken (and not the disk under it)."""
    return isinstance(error, DamagedError) or (
        isinstance(error, sqlite3.Error)
        and _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    )


def _primary(error: sqlite3.Error) -> int:
    # The low byte is the primary code; `database is locked` and our own errors carry none or another.
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def set_aside(path: Path, at: datetime, word: str) -> Path:
    """Rename the journal and its companions; only the latest few are kept: by number, since the clock on the wall may
    be set. Raises OSError.
    """
    prefix = f"{path.name}.{word}-"
    before = sorted(
        (each for each in path.parent.glob(f"{prefix}*") if not each.name.endswith(_SUFFIXES[1:])),
        key=lambda each: (_number(each, prefix), each.name),
    )
    number = _number(before[-1], prefix) + 1 if before else 1
    target = path.with_name(f"{prefix}{number:06d}-{at:%Y%m%dT%H%M%S%fZ}")
    for suffix in _SUFFIXES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    for each in [*before, target][:-KEPT_ASIDE]:
        for suffix in _SUFFIXES:
            each.with_name(each.name + suffix).unlink(missing_ok=True)
    return target


def _number(copy: Path, prefix: str) -> int:
    """0 for what an older version left."""
    number = copy.name.removeprefix(prefix).partition("-")[0]
    return int(number) if number.isdecimal() else 0


class Presence:
    """Remembers which files were opened, to notice that somebody deleted or replaced them."""

    def __init__(self, path: Path) -> None:
        self._paths = tuple(path.with_name(path.name + suffix) for suffix in _SUFFIXES)
        self._seen = self._look()

    def intact(self) -> bool:
        """Whether the names still lead to the files that were opened."""
        return None not in self._seen and self._look() == self._seen

    def _look(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_inode(path) for path in self._paths)


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


class Ballast:
    """Some megabytes held back, given up when the disk is full so that running tasks can still be settled."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def free(self) -> bool:
        """Give it up. Whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True

    def take(self) -> bool:
        """Hold it (again), really allocated. False while there is no room for twice as much; raises OSError for a
        folder that cannot be written.
        """
        try:
            if self._path.stat().st_size >= self._size_bytes:
                return True
        except FileNotFoundError:
            pass
        free = os.statvfs(self._path.parent)
        # Twice: else ballast and journal would take turns in eating the last block.
        if free.f_bavail * free.f_frsize < 2 * self._size_bytes:
            return False
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._size_bytes:
                os.posix_fallocate(handle, 0, self._size_bytes)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return True
