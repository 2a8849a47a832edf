"""What ends or is deleted because time passed goes by cloud time: no step of a clock on the wall ends anything."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud.context import FILES, TIME
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import DATABASE_NAME, Store
from cloud.store.schema.tables import reading_batches, task_events, tasks
from contract.task import TaskName
from tests.cloud.conftest import Cloud, HandClock, done
from tests.cloud.link.test_files import fetch, put

DAY_S = 86_400.0
EVERY_S = 60.0
BODY = b"a log"
STEPS = pytest.mark.parametrize("days", [2, -2, 3650, -3650])


@STEPS
async def test_a_step_of_the_wall_clock_in_mid_batch_ends_no_task(cloud: Cloud, days: float):
    agent = await cloud.agent()
    begun, handed = await cloud.queue(TaskName.REBOOT, agent.agent_id, count=2)
    given = {task["task_id"]: task for task in (await agent.claim())["tasks"]}
    await agent.report(agent.event(given[begun], "pending", cloud.clock.now()))
    (waiting,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)

    cloud.clock.step(days)
    cloud.clock.move(cloud.settings.sweep_every_s)
    await cloud.sweeper.sweep()
    rows = [await cloud.task(each) for each in (begun, handed, waiting)]
    assert [(row["status"], row["ended_at"]) for row in rows] == [
        ("pending", None),
        ("queuing", None),
        ("queuing", None),
    ]

    (late,) = (await agent.claim(open=[{"task_id": handed, "epoch": 1}]))["tasks"]
    assert late["queue_ttl_s"] == pytest.approx(DAY_S - cloud.settings.sweep_every_s)
    await agent.report(agent.event(late, "pending", cloud.clock.now()))
    await cloud.sweeper.sweep()
    await agent.report(agent.event(late, "succeed", cloud.clock.now(), result=done()))
    assert (await cloud.task(waiting))["status"] == "succeed"

    cloud.clock.move(DAY_S + cloud.settings.limit_grace_s)  # time that does pass still ends them
    await cloud.sweeper.sweep()
    rows = [await cloud.task(each) for each in (begun, handed)]
    assert [row["status"] for row in rows] == ["timed_out", "timed_out"]
    assert rows[0]["timed_out_at"] == cloud.clock.now()


@STEPS
async def test_a_step_of_the_wall_clock_deletes_nothing_and_closes_no_link(
    cloud: Cloud, days: float
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.LOG, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    sha256 = hashlib.sha256(BODY).hexdigest()
    assert (await put(agent, task_id, BODY, sha256=sha256))[1]["complete"]
    url = cloud.app[FILES].sign_url(task_id, "miner.log", cloud.app[TIME].now())
    end = agent.event(task, "succeed", cloud.clock.now(), result=done())
    await agent.report(end)
    await agent.call("POST", "readings", json={"run_id": "r", "seq": 1, "readings": []})

    async def kept() -> list[int]:
        counts = []
        async with cloud.store.read() as connection:
            for table in (task_events, reading_batches):
                query = sa.select(sa.func.count()).select_from(table)
                counts.append((await connection.execute(query)).scalar_one())
        return counts

    cloud.clock.step(days)
    await cloud.sweeper.sweep()
    await cloud.sweeper.tidy()
    assert await kept() == [1, 1]
    assert (await agent.report(end))[1]["acks"][0]["state"] == "duplicate"
    assert (await fetch(cloud, url))[:2] == (200, BODY)

    cloud.clock.move(15 * DAY_S)
    await cloud.sweeper.sweep()
    await cloud.sweeper.tidy()
    assert await kept() == [0, 0]
    assert not cloud.app[FILES].path(task_id, "miner.log").exists()
    assert (await fetch(cloud, url))[0] == 403


@STEPS
async def test_an_upload_under_way_keeps_its_place_when_the_wall_clock_is_set(
    cloud: Cloud, days: float
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.LOG, agent.agent_id)
    await agent.claim()
    half = cloud.settings.file_bytes
    for number in range(cloud.settings.files_bytes // half):
        if number % 8 == 0:
            (task_id,) = await cloud.queue(TaskName.LOG, agent.agent_id)
            await agent.claim()
        assert (await put(agent, task_id, b"", span=f"*/{half}", name=f"{number}"))[0] == 200
    cloud.clock.step(days)
    (task_id,) = await cloud.queue(TaskName.LOG, agent.agent_id)
    await agent.claim()
    assert (await put(agent, task_id, b"", span=f"*/{half}"))[0] == 507
    cloud.clock.move(3601)
    assert (await put(agent, task_id, b"", span=f"*/{half}"))[0] == 200


@STEPS
async def test_an_agent_is_not_taken_for_offline_after_a_restart_with_another_wall_clock(
    cloud: Cloud, days: float
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await agent.claim()
    cloud.app_sessions.clear()  # what a restart forgets
    cloud.clock.step(days)
    cloud.clock.move(60)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["epoch"] == 1


async def test_a_task_made_right_after_the_host_slept_has_its_whole_life(cloud: Cloud):
    agent = await cloud.agent()
    cloud.clock.move(3 * DAY_S)  # and nobody has swept yet
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, ttl_s=100)
    await cloud.sweeper.sweep()
    cloud.clock.move(99)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["ended_at"] is None


async def test_what_ended_while_the_cloud_was_down_can_still_be_told_when_it_is_back(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id, count=2)
    told, silent = (await agent.claim())["tasks"]
    for task in (told, silent):
        await agent.report(agent.event(task, "pending", cloud.clock.now()))
    (waiting,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    async with cloud.store.write() as connection:  # this server has just started, after three days
        for column in (tasks.c.queue_expires_cloud_s, tasks.c.deadline_cloud_s):
            await connection.execute(tasks.update().values({column: column - 3 * DAY_S}))
    cloud.clock.move(cloud.settings.sweep_every_s)
    await cloud.sweeper.sweep()
    assert (await cloud.task(waiting))["status"] == "queuing"
    await agent.report(agent.event(told, "succeed", cloud.clock.now(), result=done()))
    cloud.clock.move(cloud.settings.limit_grace_s)
    await cloud.sweeper.sweep()
    ids = (told["task_id"], silent["task_id"], waiting)
    rows = [await cloud.task(each) for each in ids]
    assert [row["status"] for row in rows] == ["succeed", "timed_out", "timed_out"]


async def test_a_cloud_that_only_counts_writes_once_a_minute(cloud: Cloud):
    for _ in range(2):
        cloud.clock.move(120)
        await cloud.sweeper.sweep()
    before = await cloud.changes()
    for _ in range(10):
        cloud.clock.move(cloud.settings.sweep_every_s)
        await cloud.sweeper.sweep()
    assert await cloud.changes() == before
    cloud.clock.move(10)
    await cloud.sweeper.sweep()
    assert await cloud.changes() != before


# --- the row, and the hosts that share it ---


class Host:
    """A machine with a server on it; `restart` of the server only, or `reboot` of the machine."""

    def __init__(self, database: Path, boot_id: str, boot_s: float) -> None:
        self.store = Store.at(f"sqlite+aiosqlite:///{database}")
        self.clock = HandClock()
        self.reboot(boot_id, boot_s)

    def reboot(self, boot_id: str, boot_s: float = 10.0) -> None:
        self.clock.boot_id = boot_id
        self.clock.move(boot_s - self.clock.mono())
        self.restart()

    def restart(self) -> None:
        self.time = CloudTime(self.store, self.clock, write_every_s=EVERY_S)


@pytest.fixture
async def hosts(empty_database: Path, tmp_path: Path) -> AsyncIterator[tuple[Host, Host]]:
    """Two machines over one database; the first has counted for a while."""
    database = Path(shutil.copy(empty_database, tmp_path / DATABASE_NAME))
    first, second = Host(database, "first", 5000.0), Host(database, "second", 10.0)
    await pass_time(5 * EVERY_S, first)
    yield first, second
    await first.store.close()
    await second.store.close()


async def pass_time(seconds: float, *running: Host, every_s: float = 5.0) -> None:
    """Time passes on the hosts given, which sweep in turn, each at a moment of its own."""
    for _ in range(round(seconds / every_s)):
        for host in running:
            for each in running:
                each.clock.move(every_s / len(running))
            await host.time.advance()


async def test_a_new_database_counts_from_zero(empty_database: Path, tmp_path: Path):
    host = Host(Path(shutil.copy(empty_database, tmp_path / DATABASE_NAME)), "one", 5000.0)
    assert await host.time.advance() == 0.0
    await pass_time(1000.0, host)
    assert host.time.now() == pytest.approx(1000.0)
    host.restart()
    assert await host.time.advance() == pytest.approx(1000.0)
    await host.store.close()


async def test_three_days_down_on_the_same_boot_count(hosts: tuple[Host, Host]):
    host, _ = hosts
    before_s = host.time.now()
    host.clock.move(3 * DAY_S)
    host.restart()
    assert await host.time.advance() == pytest.approx(before_s + 3 * DAY_S)


async def test_what_nobody_saw_pass_does_not_count_after_a_reboot(hosts: tuple[Host, Host]):
    host, _ = hosts
    before_s = host.time.now()
    host.clock.move(3 * DAY_S)
    host.reboot("next")
    assert before_s - EVERY_S <= await host.time.advance() <= before_s
    await pass_time(1000.0, host)
    assert before_s + 1000.0 - EVERY_S <= host.time.now() <= before_s + 1000.0
    host.restart()  # and by now it is in the row
    assert await host.time.advance() == pytest.approx(before_s + 1000.0, abs=EVERY_S)


@pytest.mark.parametrize("back_s", [1.0, 4000.0])
async def test_a_boot_clock_that_went_backwards_only_slows_time(
    hosts: tuple[Host, Host], back_s: float
):
    host, _ = hosts
    before_s = host.time.now()
    host.reboot("first", host.clock.mono() - back_s)  # a host that came back from a snapshot
    await host.time.advance()
    await pass_time(1000.0, host)
    assert before_s + 1000.0 - 2 * EVERY_S <= host.time.now() <= before_s + 1000.0


async def test_a_database_from_a_copy_goes_on_from_there(hosts: tuple[Host, Host], tmp_path: Path):
    host, elsewhere = hosts
    await host.store.close()
    copy = Path(shutil.copy(tmp_path / DATABASE_NAME, tmp_path / "copy.db"))
    copied_s = await host.time.advance()
    await pass_time(1000.0, host)
    elsewhere.store = Store.at(f"sqlite+aiosqlite:///{copy}")
    elsewhere.restart()
    await elsewhere.time.advance()
    await pass_time(1000.0, elsewhere)
    assert copied_s + 1000.0 - EVERY_S <= elsewhere.time.now() <= copied_s + 1000.0


@pytest.mark.parametrize("same_host", [True, False])
async def test_servers_that_sweep_side_by_side_count_time_once(
    hosts: tuple[Host, Host], same_host: bool
):
    first, second = hosts
    if same_host:
        second.reboot("first", first.clock.mono())
    before_s = first.time.now()
    await pass_time(1800.0, first, second)
    await pass_time(1800.0, first, second, every_s=7.0)
    told = [host.time.now() for host in (first, second)]
    assert told == pytest.approx([before_s + 3600.0] * 2, abs=7.0)


async def test_two_sweeps_at_the_same_moment_count_once(hosts: tuple[Host, Host]):
    first, second = hosts
    second.reboot("first", first.clock.mono())
    before_s = first.time.now()
    for _ in range(10):
        for host in hosts:
            host.clock.move(EVERY_S)
        await asyncio.gather(*(host.time.advance() for host in hosts))
    second.restart()
    assert await second.time.advance() == pytest.approx(before_s + 10 * EVERY_S)


async def test_another_server_takes_over_from_one_that_is_gone_and_gives_nothing_back(
    hosts: tuple[Host, Host],
):
    first, second = hosts
    await pass_time(600.0, first, second)
    before_s = first.time.now()
    await pass_time(1000.0, second)  # the first sleeps
    assert before_s + 1000.0 - EVERY_S <= second.time.now() <= before_s + 1000.0
    first.clock.move(1000.0)
    await pass_time(600.0, first, second)
    for host in hosts:
        assert before_s + 1600.0 - EVERY_S <= host.time.now() <= before_s + 1600.0


async def test_two_servers_that_take_over_at_once_count_what_they_saw_once(
    hosts: tuple[Host, Host],
):
    first, second = hosts
    before_s = first.time.now()
    first.reboot("first again")
    await pass_time(1000.0, first, second)
    for host in hosts:
        assert before_s + 1000.0 - 2 * EVERY_S <= host.time.now() <= before_s + 1000.0
