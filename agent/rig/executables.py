"""The file that is started is the file that was checked: by its descriptor, whatever its path leads to by then."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 1 << 20
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class ExecutableError(Exception):
    """It is not there, may be changed by others, or is not the one that is allowed. The message tells the fix."""


@contextmanager
def checked_executable(path: str, sha256: str) -> Iterator[int]:
    """A descriptor of the executable, to be executed itself. Reads the whole file. Raises ExecutableError.

    It belongs to root or to our user, and nobody else may write it: so what was hashed cannot change before it is
    executed.
    """
    try:
        # a FIFO would hold us up
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise ExecutableError(f"{path} cannot be opened: {error.strerror}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ExecutableError(f"{path} is no file")
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & _WRITABLE_BY_OTHERS:
            raise ExecutableError(
                f"{path} can be changed by others; run: chown root:root {path} && chmod 0755 {path}"
            )
        if not found.st_mode & 0o111:
            raise ExecutableError(f"{path} is not executable; run: chmod 0755 {path}")
        try:
            is_it = _sha256(handle)
        except OSError as error:
            raise ExecutableError(f"{path} cannot be read: {error.strerror}") from None
        if is_it != sha256:
            raise ExecutableError(
                f"{path} is not the file that rig.toml allows: its sha256 is {is_it}"
            )
        yield handle
    finally:
        os.close(handle)


def _sha256(handle: int) -> str:
    digest = hashlib.sha256()
    while chunk := os.read(handle, _CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
