"""Hard ends of the agent at every point where the other makes differ from AntMiners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.sweep import EVERY, sweep

CASES = [
    # What differs in how it is written or proven; light and log take no other path.
    *(("whatsminer", name) for name in EVERY[1:5]),
    # Two orders in one effect: a mode in two forms, an upload and the reboot behind it.
    ("iceriver", TaskName.POWER_MODE),
    ("iceriver", TaskName.FIRMWARE),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "name"), CASES)
async def test_a_crash_at_any_point_neither_loses_a_task_nor_doubles_an_effect(
    make: str, name: TaskName, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    await sweep(make, name, tmp_path, base, tell)
