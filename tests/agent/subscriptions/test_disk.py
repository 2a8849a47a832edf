"""No transaction is sent that a disk could not keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.journal.test_disk import play

pytestmark = pytest.mark.real_time


def test_what_a_disk_cannot_keep_is_said(tmp_path: Path) -> None:
    seen = play("subscriptions", tmp_path)
    full, read_only = seen["said"]
    assert "free some space" in full
    assert "cannot be written" in read_only
    assert seen["kept"] == ["before", "with room"]
