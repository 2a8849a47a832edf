"""Hard ends of the agent at every point of what rigs are driven by: commands, and the API of a mining program, by SSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.crashpoints.sweep import sweep


@pytest.mark.slow
@pytest.mark.parametrize("name", [TaskName.MINING, TaskName.POWER_LIMIT, TaskName.REBOOT])
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep("rig", name, tmp_path, base, tell)
