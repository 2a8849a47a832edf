"""The log: streamed to disk, capped, with its checksum."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import MalformedError, WriteDisabledError
from tests.drivers.whatsminer.stage import stage

CAP = 8_000_000


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
