"""The log: streamed to disk, capped, with its checksum."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import MalformedError, MinerError
from tests.drivers.antminer.stage import stage

CAP = 8_000_000


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
