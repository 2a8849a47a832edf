"""Where a miner's log goes while it is streamed: a new local file, with its size and checksum."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from contract.clock import Clock
from contract.errors import StorageFullError
from contract.miner import Endpoint, Identity
from drivers.base import LogFile


def log_name(make: str, identity: Identity, endpoint: Endpoint, clock: Clock, suffix: str) -> str:
    """`<make>-<MAC or address>-<time>.<suffix>`."""
    stamp = clock.now().strftime("%Y%m%dT%H%M%SZ")
    who = (identity.mac or endpoint.host).replace(":", "")
    return f"{make}-{who}-{stamp}.{suffix}"


@asynccontextmanager
async def new_log(path: Path) -> AsyncIterator[FileSink]:
    """A new file to stream into. All that came is on disk when the block ends; `close` what is to be kept then.

    A block that does not get to its end leaves no file, whatever ended it: an error of the miner or of the disk, a bug
    of ours, or a cancellation, none of which is stopped here. Raises StorageFullError.
    """
    sink = await asyncio.to_thread(FileSink, path)
    is_whole = False
    try:
        yield sink
        await sink.drain()
        is_whole = True
    finally:
        if not is_whole:
            await asyncio.to_thread(sink.discard)


class FileSink:
    """Takes a body piece by piece and writes it in a thread; knows its size and checksum."""

    def __init__(self, path: Path) -> None:
        """Create the file. Blocks on the disk. Raises StorageFullError."""
        self.size_bytes = 0
        self.is_blank = True
        self._hash = hashlib.sha256()
        self._path = path
        self._pieces: list[bytes] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise StorageFullError(f"cannot create the log file: {error}") from None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        """Take a piece; `drain` brings it to disk."""
        self._pieces.append(data)

    async def drain(self) -> None:
        """Write what was taken. Raises StorageFullError."""
        pieces, self._pieces = self._pieces, []
        if pieces:
            await asyncio.to_thread(self._write, b"".join(pieces))

    def close(self, *, truncated: bool) -> LogFile:
        """Bring all to disk. Raises StorageFullError."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.discard()
            raise StorageFullError(f"cannot keep the log: {error}; free some disk space") from None
        return LogFile(
            path=str(self._path),
            name=self._path.name,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            truncated=truncated,
        )

    def discard(self) -> None:
        """Give the file up."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise StorageFullError(f"cannot write the log: {error}; free some disk space") from None
        self.size_bytes += len(data)
        self.is_blank = self.is_blank and not data.strip()
        self._hash.update(data)
