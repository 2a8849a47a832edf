from __future__ import annotations

import asyncio

import sqlalchemy as sa

from cloud.store.schema.tables import reading_batches, task_events
from contract.task import TaskName
from tests.cloud.conftest import Cloud, done
from tests.waiting import until


async def test_a_task_nobody_took_times_out_with_its_queue_life(cloud: Cloud):
    agent = await cloud.agent()
    cloud.clock.move(cloud.settings.limit_grace_s)  # in which agents tell what they have
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, ttl_s=100)
    cloud.clock.move(99)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["status"] == "queuing"
    cloud.clock.move(1)
    assert (await agent.claim())["tasks"] == []
    await cloud.sweeper.sweep()
    row = await cloud.task(task_id)
    assert row["status"] == "timed_out"
    assert row["timed_out_at"] == row["ended_at"] == cloud.clock.now()
    assert row["result"]["outcome"] == "not_done"
    assert row["result"]["error"]["code"] == "expired"


async def test_a_task_the_agent_took_and_never_spoke_of_again_ends_as_unknown(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, ttl_s=100)
    await agent.claim()
    cloud.clock.move(100 + cloud.settings.limit_grace_s - 1)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["ended_at"] is None
    cloud.clock.move(1)
    await cloud.sweeper.sweep()
    row = await cloud.task(task_id)
    assert (row["status"], row["result"]["outcome"]) == ("timed_out", "unknown")


async def test_a_begun_task_times_out_after_its_limit_and_a_grace(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.LIGHT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    await agent.report(agent.event(task, "pending", cloud.clock.now()))
    cloud.clock.move(task["limit_s"] + cloud.settings.limit_grace_s - 1)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task["task_id"]))["status"] == "pending"
    cloud.clock.move(1)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task["task_id"]))["status"] == "timed_out"


async def test_a_beginning_heard_of_late_is_not_timed_out_before_its_end_can_arrive(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.LIGHT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    began = cloud.clock.now()
    cloud.clock.move(7200)
    await agent.report(agent.event(task, "pending", began))
    await cloud.sweeper.sweep()
    assert (await cloud.task(task["task_id"]))["status"] == "pending"


async def test_a_cancel_of_a_task_taken_back_is_decided_by_the_agent_that_may_have_begun(
    cloud: Cloud,
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await agent.claim()
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    await cloud.ask_cancel(task_id)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["ended_at"] is None
    answer = await agent.claim()
    assert [task["task_id"] for task in answer["tasks"]] == [task_id]
    assert answer["cancel"] == [task_id]


async def test_an_agent_just_after_a_restart_of_the_cloud_is_not_taken_for_offline(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await agent.claim()
    cloud.app_sessions.clear()  # what a restart forgets
    cloud.clock.move(60)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["epoch"] == 1
    cloud.clock.move(60)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task_id))["epoch"] == 2


async def test_the_server_sweeps_by_itself(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, ttl_s=5)
    await asyncio.sleep(0)
    cloud.clock.move(cloud.settings.limit_grace_s)

    async def timed_out() -> bool:
        return (await cloud.task(task_id))["status"] == "timed_out"

    await until(timed_out)


async def test_keys_of_repeats_are_dropped_only_when_nobody_repeats_any_more(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    await agent.report(agent.event(task, "succeed", cloud.clock.now(), result=done()))
    body = {"run_id": "r", "seq": 1, "readings": []}
    assert (await agent.call("POST", "readings", json=body))[0] == 200

    async def kept() -> list[int]:
        counts = []
        async with cloud.store.read() as connection:
            for table in (task_events, reading_batches):
                query = sa.select(sa.func.count()).select_from(table)
                counts.append((await connection.execute(query)).scalar_one())
        return counts

    cloud.clock.move(7 * 86_400)
    await cloud.sweeper.tidy()
    assert await kept() == [1, 1]
    cloud.clock.move(2 * 86_400)
    await cloud.sweeper.tidy()
    assert await kept() == [0, 0]


async def test_waiting_is_over_when_the_condition_holds():
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(seen.append, 1)
    await until(lambda: seen)
