"""A log file is whole or it is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contract.errors import MalformedError, StorageFullError
from drivers.changes.logfile import new_log


async def test_a_log_that_came_whole_is_kept_with_its_size_and_checksum(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "miner.log"
    async with new_log(path) as sink:
        sink.write(b"first line\n")
        sink.write(b"second line\n")
    kept = sink.close(truncated=False)
    assert path.read_bytes() == b"first line\nsecond line\n"
    assert (kept.size_bytes, kept.sha256) == (23, sink.sha256)


@pytest.mark.parametrize("error", [MalformedError("cut"), StorageFullError("full"), KeyError("x")])
async def test_a_log_that_broke_off_leaves_no_file(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "miner.log"
    with pytest.raises(type(error)):
        async with new_log(path) as sink:
            sink.write(b"half a line")
            await sink.drain()
            raise error
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_log_leaves_no_file_and_stays_cancelled(tmp_path: Path) -> None:
    writing = asyncio.Event()

    async def fetch() -> None:
        async with new_log(tmp_path / "miner.log") as sink:
            sink.write(b"half a line")
            await sink.drain()
            writing.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(fetch())
    await writing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []
