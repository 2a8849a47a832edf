"""Opening what another user may have put there: no link is followed, and nobody is waited for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_folder(path: str | Path, *, inside: int | None = None) -> int:
    """A folder, which is itself no link; with `inside`, the one of that name in an open folder. Raises OSError."""
    return os.open(path, _FOLDER, dir_fd=inside)


@contextmanager
def opened_folder(path: str | Path) -> Iterator[int]:
    """The same, until the end of the block."""
    folder = open_folder(path)
    try:
        yield folder
    finally:
        os.close(folder)


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """Whatever has that name in an open folder, with what it is: that it is a plain file, whose it is and how large is
    for the caller to look at. Raises OSError, for a link, too.
    """
    file = os.open(name, _FILE, dir_fd=folder)
    try:
        yield file, os.fstat(file)
    finally:
        os.close(file)
