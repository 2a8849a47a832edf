"""The log: streamed to disk, capped, with its checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from contract.errors import MalformedError, MinerError
from tests.drivers.antminer.stage import stage

CAP = 8_000_000


@pytest.mark.parametrize("key", ["s21", "s19pro", "l7", "s9", "t17+"])
@pytest.mark.parametrize("faults", [(), ("logs_swapped",)])
async def test_the_log_is_on_disk_with_its_checksum(
    key: str, faults: tuple[str, ...], tmp_path: Path
) -> None:
    async with stage(key, *faults) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        data = Path(log.path).read_bytes()
        assert log.size_bytes == len(data) > 0
        assert log.sha256 == hashlib.sha256(data).hexdigest()
        assert not log.truncated
        assert b"Linux" in data or b"kernel" in data.lower()
        assert on.miner.mac.replace(":", "") in log.name


async def test_a_log_over_the_cap_is_cut_and_says_so(tmp_path: Path) -> None:
    async with stage("s21", {"fault": "big_log", "bytes": 3_000_000}) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=1_000_000)
        assert log.truncated
        assert log.size_bytes == Path(log.path).stat().st_size == 1_000_000


async def test_a_big_log_under_the_cap_is_whole(tmp_path: Path) -> None:
    async with stage("s9", {"fault": "big_log", "bytes": 3_000_000}) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated
        assert log.size_bytes >= 3_000_000


async def test_a_log_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    async with stage("s21", {"fault": "resets", "ports": ["http"]}, late=True) as on:
        with pytest.raises(MinerError):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert list(tmp_path.iterdir()) == []


async def test_a_log_of_nothing_is_no_log(tmp_path: Path) -> None:
    garbage = {"fault": "garbage", "variant": "empty", "ports": ["http"]}
    async with stage("s21", garbage, late=True) as on:
        with pytest.raises(MalformedError):
            await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert list(tmp_path.iterdir()) == []
