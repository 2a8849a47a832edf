"""A step of the clock on the wall ends no task, whether the agent runs on through it or is started again."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import Journal
from agent.journal.writer import Need
from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.journals import accept, acknowledge, done, found, opened, record
from tests.agent.stage import Site, crash_and_restart, site
from tests.waiting import until

each_step = pytest.mark.parametrize("days", [2, -2, 3650, -3650])


@each_step
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


async def queue_behind_a_write(at: Site, clock: SettableClock) -> tuple[str, str]:
    """A setting that is being written, and a reboot that waits for its turn at the same miner."""
    miner = at.farm.miners[0]
    miner.gate["write"] = asyncio.Event()
    tasks = at.task(), at.task(name=TaskName.REBOOT, params={"force": True})
    await until(lambda: at.path.dispatcher.tasks == 2 and miner.at_once == 1)
    miner.gate = {"plan": asyncio.Event()}
    await clock.advance(30.0)
    return tasks


def life_left_s(at: Site, task: str) -> float:
    (live,) = (each for each in at.path.dispatcher.held if each.id == task)
    return live.expires_mono - at.clock.mono()


@each_step
async def test_what_waited_before_a_restart_of_the_agent_waits_on(
    tmp_path: Path, days: float
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        tasks = await queue_behind_a_write(at, clock)
        clock.step(timedelta(days=days))
        after = await crash_and_restart(at, tmp_path)
        await clock.advance(5.0)
        assert [at.cloud.end(each) for each in tasks] == [None, None]
        assert life_left_s(after, tasks[1]) == pytest.approx(86_400 - 35, abs=2)
        await after.die()


@each_step
async def test_what_the_cloud_handed_out_before_the_host_was_restarted_waits_for_the_cloud(
    tmp_path: Path, days: float
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        tasks = await queue_behind_a_write(at, clock)
        clock.step(timedelta(days=days))
        clock.reboot()
        after = await crash_and_restart(at, tmp_path)
        await clock.advance(5.0)
        assert [at.cloud.end(each) for each in tasks] == [None, None]
        assert life_left_s(after, tasks[1]) == pytest.approx(86_400 - 5, abs=2)
        at.cloud.cancel.add(tasks[1])
        at.cloud.poke()
        assert (await at.cloud.ended(tasks[1])).state == "cancelled"
        await after.die()


@pytest.mark.parametrize(("hours", "is_over"), [(1, False), (25, True), (-25, False)])
async def test_what_was_wished_on_site_before_the_host_was_restarted_goes_by_the_wall(
    tmp_path: Path, hours: float, is_over: bool
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["plan"] = asyncio.Event()
        begin = at.path.begin_local
        await begin(TaskName.LIGHT, {"action": "on"}, miner.ref, "cli")
        waits = await begin(TaskName.LIGHT, {"action": "off"}, miner.ref, "cli")
        clock.step(timedelta(hours=hours))
        clock.reboot()
        after = await crash_and_restart(at, tmp_path)
        await clock.advance(5.0)
        if is_over:
            assert (await at.cloud.ended(waits.id)).state == "timed_out"
        else:
            assert life_left_s(after, waits.id) <= 86_400
        await after.die()


@pytest.mark.parametrize("days", [0, 2, -2, 3650, -3650])
async def test_a_one_shot_found_after_a_restart_of_the_host_is_watched_for_its_whole_limit(
    tmp_path: Path, days: float
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={"force": True}, limit_s=300.0)
        await until(lambda: "verify" in miner.trace)
        clock.step(timedelta(days=days))
        clock.reboot()
        after = await crash_and_restart(at, tmp_path)
        await clock.advance(290.0)
        assert at.cloud.end(task) is None
        await clock.advance(20.0)
        end = at.cloud.end(task)
        assert end is not None and end.result is not None
        assert end.result["outcome"] == "unknown"
        await after.die()


async def test_the_beginning_of_a_look_is_counted_like_any_other(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        task = at.task(name=TaskName.LOG, params={})
        await at.cloud.ended(task)
        assert "intent_boot" in (await found(at.journal, task)).notes


@each_step
async def test_the_journal_forgets_no_task_when_the_wall_clock_is_set(
    tmp_path: Path, days: float
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        task = at.task()
        await at.cloud.ended(task)
        await clock.advance(5.0)
        clock.step(timedelta(days=days))
        await clock.advance(90.0)  # the journal tidies itself
        await at.cloud.ended(at.task(1))
        await clock.advance(90.0)
        assert await at.journal.find(task) is not None


async def test_the_journal_counts_the_age_of_tasks_as_long_as_the_host_runs(tmp_path: Path) -> None:
    clock = SettableClock()
    day_s = 86_400.0

    async def is_kept(*, after_s: float, down_s: float = 0.0) -> bool:
        await clock.advance(down_s)
        async with opened(tmp_path, clock, keep_days=3) as journal:
            # Its thread has ended the turn in which it opened the file, and begun to count: else the days below could pass
            # before it looked at the clock for the first time.
            await journal.depth()
            await clock.advance(after_s)
            await until(lambda: is_written(journal, clock), within_s=120.0, every_s=1.0)
            return await journal.find("t1") is not None

    async with opened(tmp_path, clock, keep_days=3) as journal:
        await accept(journal, record("t1"))
        await journal.settle(record("t1"), done(), clock.now())
        await acknowledge(journal)
    clock.reboot()
    assert await is_kept(after_s=1.0, down_s=5 * day_s), "nobody knows how long the host was down"
    assert await is_kept(after_s=day_s, down_s=day_s), "the host ran on while the agent was down"
    clock.reboot()
    assert await is_kept(after_s=day_s - 900.0)
    async with opened(tmp_path, clock, keep_days=3) as journal:
        await clock.advance(900.0)
        await until(lambda: is_forgotten(journal, "t1"), within_s=3600.0, every_s=1.0)


async def is_forgotten(journal: Journal, task_id: str) -> bool:
    """Its thread tidies it now and then."""
    return await journal.find(task_id) is None


async def is_written(journal: Journal, clock: SettableClock) -> bool:
    """Whether its own time is on disk, but for the ten minutes that a restart of the host may cost."""
    row = await journal._submit(
        lambda db: db.execute("SELECT value FROM meta WHERE key = 'age'").fetchone(), Need.LOOK
    )
    return row is not None and clock.boot().seconds - json.loads(row[0])["at"][1] < 640.0
