"""What is long over goes, by the cloud's own time; what is open, or younger, stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from cloud import sweeper
from cloud.config import CloudSettings
from cloud.store.schema.tables import task_batches, task_events, task_files, task_logs, tasks
from contract.task import QUEUE_TTL_S, TaskName
from tests.cloud.conftest import AgentClient, Cloud, done
from tests.cloud.store.test_growth import count

DAY_S = 86_400.0


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(data=tmp_path, kept_days=400)


async def carried_out(cloud: Cloud, agent: AgentClient, number: int = 1) -> list[str]:
    """Tasks that ended, each with an event and a line of its log."""
    ids = await cloud.queue(TaskName.LIGHT, agent.agent_id, count=number)
    now = cloud.clock.now()
    line = {"at": now.isoformat().replace("+00:00", "Z"), "level": "info", "message": "done"}
    for task in (await agent.claim())["tasks"]:
        await agent.report(agent.event(task, "pending", now))
        await agent.report(agent.event(task, "succeed", now, result=done(), logs=[line]))
    return ids


async def left(cloud: Cloud) -> set[str]:
    async with cloud.store.read() as connection:
        return set(await connection.scalars(sa.select(tasks.c.id)))


async def test_ended_tasks_go_after_400_days_with_their_events_logs_and_batches(cloud: Cloud):
    agent = await cloud.agent()
    await carried_out(cloud, agent, 3)
    cloud.clock.move(400 * DAY_S - 60)
    younger = await carried_out(cloud, agent)
    await cloud.sweeper.tidy()
    assert await count(cloud, tasks) == 4
    cloud.clock.move(QUEUE_TTL_S + 61)  # of which nobody keeps when within it they ended
    await cloud.sweeper.tidy()
    assert await left(cloud) == set(younger)
    assert await count(cloud, task_batches) == 1
    assert await count(cloud, task_logs) == 1
    assert await count(cloud, task_events) == 2


async def test_a_clock_that_is_set_forward_removes_nothing(cloud: Cloud):
    cloud.clock.move(500 * DAY_S)
    agent = await cloud.agent()
    ids = await carried_out(cloud, agent)
    ids += await cloud.queue(TaskName.LIGHT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    never_begun = {"outcome": "not_done", "verified": True, "evidence": {}}
    await agent.report(agent.event(task, "failed", cloud.clock.now(), result=never_begun))
    cloud.clock.step(days=1000)
    await cloud.sweeper.tidy()
    assert await left(cloud) == set(ids)


async def test_what_is_open_or_ends_only_now_stays_however_old_it_is(cloud: Cloud):
    agent = await cloud.agent()
    await carried_out(cloud, agent)
    (open_id,) = await cloud.queue(TaskName.LIGHT, agent.agent_id, ttl_s=1)
    cloud.clock.move(500 * DAY_S)
    await cloud.sweeper.tidy()
    assert await left(cloud) == {open_id}
    await cloud.sweeper.sweep()
    await cloud.sweeper.tidy()
    assert (await cloud.task(open_id))["status"] == "timed_out"
    assert await count(cloud, task_batches) == 1


async def test_a_task_whose_file_is_kept_stays_as_long_as_that(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await carried_out(cloud, agent)
    cloud.clock.move(500 * DAY_S)
    async with cloud.store.write() as connection:
        await connection.execute(
            task_files.insert().values(
                task_id=task_id, name="log", farm_id=cloud.farm_id, size_bytes=1, sha256="0" * 64,
                created_cloud_s=500 * DAY_S,
            )
        )  # fmt: skip
    await cloud.sweeper.tidy()
    assert await left(cloud) == {task_id}
    cloud.clock.move((cloud.settings.files_days + 1) * DAY_S)
    await cloud.sweeper.tidy()
    assert await left(cloud) == set()


async def test_many_go_in_small_turns(cloud: Cloud, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sweeper, "_TURN", 7)
    await cloud.queue(TaskName.LIGHT, None, count=30, ttl_s=1)
    cloud.clock.move(cloud.settings.limit_grace_s)
    await cloud.sweeper.sweep()
    cloud.clock.move(401 * DAY_S)
    deleted: list[int] = []
    engine = cloud.store.engine.sync_engine

    def seen(connection, cursor, statement, *_more):
        if statement.startswith("DELETE FROM tasks"):
            deleted.append(cursor.rowcount)

    sa.event.listen(engine, "after_cursor_execute", seen)
    await cloud.sweeper.tidy()
    assert deleted == [7, 7, 7, 7, 2]
    assert await count(cloud, task_batches) == 0


async def test_old_tasks_are_found_without_reading_all_others(cloud: Cloud):
    query = "EXPLAIN QUERY PLAN SELECT id FROM tasks WHERE queue_expires_cloud_s < 1 ORDER BY queue_expires_cloud_s"
    async with cloud.store.read() as connection:
        plan = str((await connection.execute(sa.text(query))).all())
    assert "ix_tasks_queue_expires" in plan
