"""Firmware files that stay on disk between batches, each under its sha256. Only the disk; `cache` says who uses what.

Nothing here is believed: a file is read whole before it is used. So none needs to be durable, and what a crash or a
power cut left is found out, or was never moved here.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FOLDER: Final = re.compile(r"([0-9a-f]{64})-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class KeptFile:
    sha256: str
    path: Path  # alone in its folder
    size_bytes: int


class KeptFiles:
    """A folder of files, each in a folder of its own: what is being read is never replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def found(self) -> list[KeptFile]:
        """What earlier processes left, the one used last at the end. Anything else in the folder is removed."""
        kept: dict[str, KeptFile] = {}
        for folder in sorted(self._folder.glob("*"), key=_changed_at):
            file = _read(folder)
            if file is None:
                _remove(folder)
                continue
            if older := kept.pop(file.sha256, None):
                _remove(older.path.parent)
            kept[file.sha256] = file
        return list(kept.values())

    def take(self, path: Path, sha256: str) -> Path:
        """Move a file in, whose sha256 was just found to be this; gives where it lies now. Raises OSError."""
        folder = self._folder / f"{sha256}-{secrets.token_hex(4)}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        folder.mkdir(mode=0o700)
        return path.replace(folder / path.name)

    def is_sound(self, path: Path, sha256: str) -> bool:
        """Whether a file is still what it was; one that cannot be read is not. It counts as used now."""
        try:
            with path.open("rb") as file:
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == sha256
            path.parent.touch()
        except OSError:
            return False
        return is_same


def _read(folder: Path) -> KeptFile | None:
    named = _FOLDER.fullmatch(folder.name)
    try:
        if named is None or folder.is_symlink():
            return None
        (path,) = folder.iterdir()
        if path.is_symlink() or not path.is_file():
            return None
        return KeptFile(named[1], path, path.stat().st_size)
    except (OSError, ValueError):  # no folder, or not one file in it
        return None


def _changed_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
