"""The log: streamed to disk, capped, with its checksum."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from contract.errors import MalformedError, WriteDisabledError
from tests.drivers.whatsminer.stage import WRITABLE, stage

CAP = 8_000_000


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("fault", [None, "log_glued"])
async def test_the_log_is_on_disk_with_its_checksum(
    key: str, fault: str | None, tmp_path: Path
) -> None:
    async with stage(key, *([fault] if fault else [])) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        data = Path(log.path).read_bytes()
        assert log.size_bytes == len(data) > 0
        assert log.sha256 == hashlib.sha256(data).hexdigest()
        assert not log.truncated
        assert b"btminer.log" in gzip.decompress(data)
        assert on.miner.mac.replace(":", "") in log.name
        assert not on.ledger()


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_log_over_the_cap_is_cut_and_says_so(key: str, tmp_path: Path) -> None:
    async with stage(key, {"fault": "big_log", "bytes": 3_000_000}) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=1_000_000)
        assert log.truncated
        assert log.size_bytes == Path(log.path).stat().st_size == 1_000_000


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_big_log_under_the_cap_is_whole(key: str, tmp_path: Path) -> None:
    async with stage(key, {"fault": "big_log", "bytes": 3_000_000}) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated
        assert log.size_bytes >= 3_000_000


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("fault", ["log_short", "log_empty"])
async def test_a_log_that_is_short_or_empty_leaves_no_file(
    key: str, fault: str, tmp_path: Path
) -> None:
    async with stage(key, fault) as on:
        with pytest.raises(MalformedError):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_log_that_broke_off_once_is_asked_for_again(key: str, tmp_path: Path) -> None:
    async with stage(key) as on:
        await on.driver.get_log(tmp_path, size_cap_bytes=CAP)  # has its token
        on.faults.add("resets", times=2)
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated


async def test_by_port_4028_a_log_needs_the_switch() -> None:
    async with stage("m50s", "write_disabled") as on:
        with pytest.raises(WriteDisabledError, match="WhatsMinerTool"):
            await on.driver.get_log(Path("/nonexistent"), size_cap_bytes=CAP)
