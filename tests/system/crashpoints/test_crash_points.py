"""Hard ends of the agent at every point of what is free to redo, or redone after reading, of AntMiners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.crashpoints.sweep import SETTINGS_AND_LOOKS, sweep


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS_AND_LOOKS)
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep("antminer", name, tmp_path, base, tell)
