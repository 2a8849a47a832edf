"""What is said of a bundle before it is made. The bundle itself: tests/system/debian/test_content.py."""

from __future__ import annotations

from pathlib import Path

from packages.bundle import doubt
from release.trusted_root import ROOT_FILE


def test_a_bundle_that_would_end_updates_by_order_is_doubted(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    assert "release/root.json" in (doubt(tmp_path) or "")
    (tmp_path / "release" / ROOT_FILE).write_bytes(b"{}")
    assert doubt(tmp_path) is None
