"""The log of a miner, streamed to disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from contract.errors import MalformedError, StorageFullError, UnsupportedError
from drivers.antminer.subject import Subject, is_old
from drivers.base import LogFile

_NAMES_NEW: Final = ("log.cgi", "get_kernel_log.cgi")
_NAMES_OLD: Final = ("get_kernel_log.cgi", "log.cgi")


async def fetch_log(miner: Subject, folder: Path, *, size_cap_bytes: int) -> LogFile:
    """Stream the log into a new file in `folder`.

    Raises UnsupportedError when the firmware has none, MalformedError when it is empty, StorageFullError
    when it does not fit on our disk.
    """
    stamp = miner.clock.now().strftime("%Y%m%dT%H%M%SZ")
    who = (miner.identity.mac or miner.endpoint.host).replace(":", "")
    name = f"antminer-{who}-{stamp}.log"
    path = folder / name
    for script in script_names(miner):
        sink = await asyncio.to_thread(_FileSink, path)
        try:
            response = await miner.cgi.fetch(script, sink, cap_bytes=size_cap_bytes)
            await sink.drain()
        except BaseException:
            await asyncio.to_thread(sink.discard)
            raise
        if response.status == 200 and sink.size_bytes and not sink.is_blank:
            await asyncio.to_thread(sink.close)
            return LogFile(
                path=str(path),
                name=name,
                size_bytes=sink.size_bytes,
                sha256=sink.sha256,
                truncated=response.truncated,
            )
        await asyncio.to_thread(sink.discard)
        if response.status == 404:
            continue
        if response.status == 200:
            raise MalformedError("the miner's log is empty; it may be restarting, try again")
        raise MalformedError(f"{script} answered HTTP {response.status}; try again")
    raise UnsupportedError("this firmware gives no log (neither log.cgi nor get_kernel_log.cgi)")


def script_names(miner: Subject) -> Iterable[str]:
    """Where the log may be: builds of both generations have it under the other one's name."""
    return _NAMES_OLD if is_old(miner) else _NAMES_NEW


class _FileSink:
    """Takes a body piece by piece and writes it in a thread; knows its size and checksum."""

    def __init__(self, path: Path) -> None:
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
        self._pieces.append(data)

    async def drain(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces:
            await asyncio.to_thread(self._write, b"".join(pieces))

    def close(self) -> None:
        """Bring all to disk. Raises StorageFullError."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.discard()
            raise StorageFullError(f"cannot keep the log: {error}; free some disk space") from None

    def discard(self) -> None:
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
