"""A step of the clock on the wall ends no task of the agent that runs on through it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.stage import site
from tests.waiting import until


@pytest.mark.parametrize("days", [2, -2, 3650, -3650])
async def test_tasks_that_run_and_those_that_wait_go_on_when_the_wall_clock_is_set(
    tmp_path: Path, days: float
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["write"] = go_on = asyncio.Event()
        tasks = [
            at.task(name=TaskName.REBOOT, params={"force": True}),
            at.task(name=TaskName.LIGHT, params={"action": "on"}),
            at.task(name=TaskName.LOG, params={}),
        ]
        await until(lambda: at.path.dispatcher.tasks == 3 and miner.at_once == 1)
        clock.step(timedelta(days=days))
        await clock.advance(30.0)  # supervised, and the journal has tidied itself
        assert [at.cloud.end(each) for each in tasks] == [None, None, None]
        go_on.set()
        ends = [await at.cloud.ended(each) for each in tasks]
        assert [each.state for each in ends] == ["succeed"] * 3
