"""The benchmark of scans counts what a scanner finds against what is there."""

from __future__ import annotations

import pytest

from bench import scan
from bench.scan import ScanCase

pytestmark = pytest.mark.slow  # it is run by hand; what it measures is tested elsewhere


async def test_a_small_block_is_found_whole_by_us_and_by_others(monkeypatch, capsys):
    small = ScanCase(
        words="live /26, 9 live", block="10.78.0.0/26", live=9, scanners=("ours", "pyasic")
    )
    monkeypatch.setitem(scan.CASES, "live", small)
    await scan.run(("live",), rounds=1)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    found = {row[0]: row[3:6] for row in rows if len(row) == 9}
    assert found == {
        "ours": ["9", "0", "0"],
        "pyasic": ["9", "0", "0"],
    }
