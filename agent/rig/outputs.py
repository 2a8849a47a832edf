"""What programs write, in files that stay small.

A program's output is the file itself: a pipe would break, and its program with it, whenever the service is restarted.
It keeps that file open, so renaming would not take it away from it; what was written is copied, and the file emptied.
It is appended to, so the next line stands at the beginning again; lines written between copy and emptying are lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

log = structlog.get_logger(__name__)
_CHUNK: Final = 1 << 20


class ProgramOutput:
    """The newest of it in `path`, at most about `most_bytes`; as much again of what was before in `path` + `.1`."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes

    def open(self) -> int:
        """A descriptor to append to. Raises OSError, also for what is no file: a FIFO would hold us up."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        flags |= os.O_NONBLOCK | os.O_NOCTTY
        return os.open(self.path, flags, 0o640)

    def trim(self) -> None:
        """Empty it where it has grown too long. A full disk takes the copy, not the room. Blocks; raises nothing."""
        try:
            if self.path.stat().st_size <= self._most_bytes:
                return
            try:
                self._copy()
            except OSError as error:
                self._before.unlink(missing_ok=True)
                log.warning("rig.output_lost", path=str(self.path), error=str(error))
            os.truncate(self.path, 0)
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("rig.output_grows", path=str(self.path), error=str(error))

    @property
    def _before(self) -> Path:
        return self.path.with_name(self.path.name + ".1")

    def _copy(self) -> None:
        """The last of it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with self.path.open("rb") as of, os.fdopen(os.open(self._before, flags, 0o640), "wb") as to:
            of.seek(-self._most_bytes, os.SEEK_END)
            left = self._most_bytes
            while left > 0 and (chunk := of.read(min(left, _CHUNK))):
                to.write(chunk)
                left -= len(chunk)
