"""Hard ends of the agent at every point of what happens at most once, of AntMiners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.crashpoints.sweep import ONE_SHOTS, sweep


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_SHOTS)
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep("antminer", name, tmp_path, base, tell)
