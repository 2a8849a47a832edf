"""Hard ends of the agent where one effect of IceRivers has two orders: a mode in two forms, an upload and its reboot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.crashpoints.sweep import sweep


@pytest.mark.slow
@pytest.mark.parametrize("name", [TaskName.POWER_MODE, TaskName.MINING, TaskName.FIRMWARE])
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep("iceriver", name, tmp_path, base, tell)
