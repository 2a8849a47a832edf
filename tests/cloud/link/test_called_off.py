"""What an operator calls off ends at once where it is certain that no agent has it. A database that was put back from a copy
holds for handed out to nobody what its agents did long ago: there they are heard first.
"""

from __future__ import annotations

from typing import Any

import pytest

from cloud.context import SESSIONS
from cloud.store.access.admin import revoke_agent
from cloud.store.schema.tables import tasks
from contract.task import TaskName
from tests.cloud.conftest import Cloud, done
from tests.cloud.test_maintenance import put
from tests.cloud.test_roles import call


async def restart(cloud: Cloud) -> None:
    """All that a server has in memory is gone."""
    cloud.app_sessions.clear()
    await cloud.app[SESSIONS].look_back(cloud.store)


async def put_back(cloud: Cloud, *task_ids: str, **more: Any) -> None:
    """The database is one from before an agent got these; a server begins with it."""
    async with cloud.store.write() as connection:
        before = {"journal_id": None, "handed_at": None} | more
        await connection.execute(tasks.update().where(tasks.c.id.in_(task_ids)).values(before))
    await restart(cloud)


async def call_off(cloud: Cloud, task_id: str) -> tuple[int, int]:
    """How many ended at once, and of how many the end was asked for."""
    batch_id = (await cloud.task(task_id))["batch_id"]
    path = f"/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}/tasks/batches/{batch_id}/cancel"
    status, answer = await call(cloud, cloud.key, "POST", path)
    assert status == 200, answer
    return answer["data"]["cancelled_count"], answer["data"]["cancel_requested_count"]


def opened(*task_ids: str) -> list[dict[str, Any]]:
    return [{"task_id": task_id, "epoch": 1} for task_id in task_ids]


async def end_of(cloud: Cloud, task_id: str) -> tuple[Any, ...]:
    row = await cloud.task(task_id)
    result = row["result"] or {}
    return row["status"], result.get("outcome"), result.get("verified")


CALLED_OFF = ("cancelled", "not_done", True)


async def test_what_nobody_has_ends_at_once(cloud: Cloud) -> None:
    agent = await cloud.agent()
    await agent.claim()
    await restart(cloud)
    await cloud.agent()  # another, which was never heard
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    assert await call_off(cloud, task) == (1, 0)
    assert await end_of(cloud, task) == CALLED_OFF


async def test_what_an_agent_still_has_ends_as_what_truly_happens(cloud: Cloud) -> None:
    agent = await cloud.agent()
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (claimed,) = (await agent.claim())["tasks"]
    await put_back(cloud, task)
    assert await call_off(cloud, task) == (0, 1)
    answer = await agent.claim(open=opened(task))
    assert (answer["tasks"], answer["cancel"]) == ([], [task])
    await agent.report(agent.event(claimed, "succeed", cloud.clock.now(), result=done()))
    assert await end_of(cloud, task) == ("succeed", "done", True)


async def test_what_an_agent_has_done_is_told_before_the_rest_ends(cloud: Cloud) -> None:
    agent = await cloud.agent()
    did, never = await cloud.queue(TaskName.REBOOT, agent.agent_id, count=2)
    first, second = (await agent.claim())["tasks"]
    assert (first["task_id"], second["task_id"]) == tuple(sorted((did, never)))
    did, never = first["task_id"], second["task_id"]
    await put_back(cloud, did, never, held=True)
    agent.seq = 7  # of which this database has heard nothing
    assert await call_off(cloud, did) == (0, 2)
    answer = await agent.claim()
    assert answer["heard_seq"] == 0
    assert await end_of(cloud, did) == ("queuing", None, None)
    await agent.report(agent.event(first, "succeed", cloud.clock.now(), result=done()))
    await agent.claim()
    assert await end_of(cloud, did) == ("succeed", "done", True)
    assert await end_of(cloud, never) == CALLED_OFF


async def test_what_no_agent_knows_ends_with_its_first_claim(cloud: Cloud) -> None:
    agent = await cloud.agent()
    task, held = await cloud.queue(TaskName.REBOOT, agent.agent_id, count=2)
    await put_back(cloud, held, held=True)
    assert await call_off(cloud, task) == (0, 2)
    answer = await agent.claim(room=0)
    assert answer["tasks"] == []
    assert [await end_of(cloud, each) for each in (task, held)] == [CALLED_OFF] * 2


@pytest.mark.parametrize("whose", ["anybody's", "a group's"])
async def test_what_any_agent_may_have_waits_for_all_of_them(cloud: Cloud, whose: str) -> None:
    one, other = await cloud.agent(), await cloud.agent()
    gone = await cloud.agent()
    await revoke_agent(cloud.store, gone.agent_id, cloud.clock.now())
    (task,) = await cloud.queue(TaskName.REBOOT, one.agent_id if whose == "a group's" else None)
    await put_back(cloud, task, held=whose == "a group's")
    assert await call_off(cloud, task) == (0, 1)
    await one.claim(room=0)
    assert (await cloud.task(task))["ended_at"] is None
    await other.claim(room=0)
    assert await end_of(cloud, task) == CALLED_OFF


async def test_a_task_of_before_is_called_off_at_once_where_its_agent_was_heard(
    cloud: Cloud,
) -> None:
    agent, other = await cloud.agent(), await cloud.agent()
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (others,) = await cloud.queue(TaskName.REBOOT, other.agent_id)
    await restart(cloud)
    await agent.claim(room=0)
    assert await call_off(cloud, task) == (1, 0)
    assert await call_off(cloud, others) == (0, 1)


async def test_a_copied_disk_confirms_nothing(cloud: Cloud) -> None:
    """The first claim of a journal that is not known may be a late one of a lost disk."""
    agent = await cloud.agent()
    await agent.claim()
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await restart(cloud)
    agent.journal_id = "journal-2"
    await agent.claim(room=0)
    assert await call_off(cloud, task) == (0, 1)
    await agent.claim(room=0)
    assert await end_of(cloud, task) == CALLED_OFF


async def test_what_is_called_off_while_its_agent_stays_away_ends_with_its_queue_life(
    cloud: Cloud,
) -> None:
    agent = await cloud.agent()
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, ttl_s=500)
    await put_back(cloud, task, held=True)
    await call_off(cloud, task)
    cloud.clock.move(499)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task))["ended_at"] is None
    cloud.clock.move(1)
    await cloud.sweeper.sweep()
    assert await end_of(cloud, task) == ("timed_out", "not_done", False)


async def test_maintenance_calls_off_by_the_same_rule(cloud: Cloud) -> None:
    agent = await cloud.agent()
    miner_id = await cloud.miner(agent.agent_id)
    (task,) = await cloud.queue(TaskName.REBOOT, agent.agent_id, miner_id=miner_id)
    await put_back(cloud, task)
    await put(cloud, miner_id, "maintenance")
    assert (await cloud.task(task))["ended_at"] is None
    answer = await agent.claim(open=opened(task))
    assert answer["cancel"] == [task]
