"""A stage whose programs end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.rig.stage import RigStage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[RigStage]:
    made = RigStage(tmp_path)
    yield made
    made.end_all()
