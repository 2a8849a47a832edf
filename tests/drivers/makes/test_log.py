"""What every driver promises of the log."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.drivers.makes.cases import (
    MakeCase,
    Need,
    each,
)

CAP = 8_000_000

each_way = pytest.mark.parametrize("other", [False, True], ids=["usual", "other"])


@each_way
@each(Need.LOG, every=True)
async def test_the_log_is_on_disk_with_its_checksum(
    make: MakeCase, key: str, other: bool, tmp_path: Path
) -> None:
    async with make.begin(key, *[make.log_fault][:other]) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        data = Path(log.path).read_bytes()
        assert log.size_bytes == len(data) > 0
        assert log.sha256 == hashlib.sha256(data).hexdigest()
        assert not log.truncated
        on.check_log(data)
        assert on.miner.mac.replace(":", "") in log.name
        assert not on.ledger()


@each_way
@each(Need.LOG)
async def test_a_log_over_the_cap_is_cut_and_says_so(
    make: MakeCase, key: str, other: bool, tmp_path: Path
) -> None:
    big = {"fault": "big_log", "bytes": 3_000_000}
    async with make.begin(key, *[make.log_fault][:other], big) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=1_000_000)
        assert log.truncated
        assert log.size_bytes == Path(log.path).stat().st_size == 1_000_000


@each_way
@each(Need.LOG)
async def test_a_big_log_under_the_cap_is_whole(
    make: MakeCase, key: str, other: bool, tmp_path: Path
) -> None:
    big = {"fault": "big_log", "bytes": 3_000_000}
    async with make.begin(key, *[make.log_fault][:other], big) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated
        assert log.size_bytes >= 3_000_000
