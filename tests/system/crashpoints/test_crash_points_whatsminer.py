"""Hard ends of the agent where WhatsMiners differ in how a change is written or proven; light and log take no other path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.crashpoints.sweep import sweep


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        TaskName.POOLS,
        TaskName.POWER_MODE,
        TaskName.MINING,
        TaskName.POWER_LIMIT,
        TaskName.REBOOT,
        TaskName.FIRMWARE,
    ],
)
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep("whatsminer", name, tmp_path, base, tell)
