"""The service is killed at any instant of its work, again and again: what mines has one owner, and runs once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from agent.rig.client import NoRigServiceError, RigServiceLostError
from tests.agent.rig.stage import GOOD, RigStage, entry, is_alive, is_ours

pytestmark = [pytest.mark.real_time, pytest.mark.slow]
ROUNDS = 60


def running(stage: RigStage) -> set[int]:
    """The programs of a stage, by what they were started with."""
    found = set()
    for each in Path("/proc").iterdir():
        if each.name.isdecimal() and is_ours(int(each.name), stage.folder):
            found.add(int(each.name))
    return {pid for pid in found if is_alive(pid)}


async def test_whenever_it_is_killed_one_process_mines_and_it_is_the_one_that_was_asked_for(
    stage: RigStage,
) -> None:
    rng = random.Random(4)
    for number in range(ROUNDS):
        async with stage.process() as life:
            asked = asyncio.create_task(stage.apply(entry(GOOD.format(how=f"x{number % 3}"))))
            await asyncio.sleep(rng.uniform(0.0, 0.03))
            life.kill()
            await life.wait()
            with contextlib.suppress(RigServiceLostError, NoRigServiceError):
                await asked
        assert len(running(stage)) <= 1, number
        if number % 5 == 4:
            async with stage.process():
                pid = await stage.mines("last")
                assert running(stage) == {pid}
                assert b"last" in Path(f"/proc/{pid}/cmdline").read_bytes()
