from __future__ import annotations

import asyncio
import time
from typing import Any

from cloud.store.schema.tables import agents, miners
from contract.task import TaskName
from tests.cloud.conftest import Cloud, done
from tests.waiting import until


async def test_a_task_goes_from_the_queue_to_the_agent_and_back_with_its_result(cloud: Cloud):
    agent = await cloud.agent()
    miner = await cloud.miner(agent.agent_id)
    (task_id,) = await cloud.queue(TaskName.LIGHT, agent.agent_id, miner_id=miner)
    (task,) = (await agent.claim())["tasks"]
    assert task["task_id"] == task_id
    assert task["epoch"] == 1
    assert task["miner"]["id"] == miner
    assert task["miner"]["last_ip"] == "127.1.0.1"
    assert task["queue_ttl_s"] == 86_400
    now = cloud.clock.now()
    status, answer = await agent.report(
        agent.event(task, "queuing", now),
        agent.event(task, "pending", now),
        agent.event(task, "succeed", now, result=done(after={"light": True})),
    )
    assert (status, [ack["state"] for ack in answer["acks"]]) == (200, ["ok", "ok", "ok"])
    row = await cloud.task(task_id)
    assert row["status"] == "succeed"
    assert row["result"]["evidence"] == {"after": {"light": True}}
    assert row["succeed_at"] == row["ended_at"] == now
    assert (await agent.claim())["tasks"] == []


async def test_an_older_agent_is_given_no_task_it_does_not_know_and_the_task_ends_with_the_fix(
    cloud: Cloud,
):
    agent = await cloud.agent()
    miner = await cloud.miner(agent.agent_id)
    off = {"action": "off"}
    (new,) = await cloud.queue(TaskName.MINING, agent.agent_id, miner_id=miner, params=off)
    (anyones,) = await cloud.queue(TaskName.MINING, None, miner_id=miner, params=off)
    (old,) = await cloud.queue(TaskName.LIGHT, agent.agent_id, miner_id=miner)
    # An agent of before says nothing of what it knows.
    assert [task["task_id"] for task in (await agent.claim(knows=None))["tasks"]] == [old]
    row = await cloud.task(new)
    assert (row["status"], row["result"]["outcome"]) == ("failed", "not_done")
    assert row["result"]["error"]["code"] == "unsupported"
    assert "Update the agent" in row["result"]["error"]["message"]
    # What any agent of the farm may take waits for one that knows it.
    held = [{"task_id": old, "epoch": 1}]
    assert [task["task_id"] for task in (await agent.claim(open=held))["tasks"]] == [anyones]


async def test_an_agent_is_given_only_what_it_says_it_knows_also_when_it_is_woken(cloud: Cloud):
    agent = await cloud.agent()
    await agent.claim()
    poll = asyncio.create_task(agent.claim(wait_s=10, knows=["agent.scan.create"]))
    await until(lambda: cloud.app_sessions[agent.agent_id].poll == 2)
    (reboot,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (scan,) = await cloud.queue(TaskName.SCAN, agent.agent_id)
    assert [task["task_id"] for task in (await poll)["tasks"]] == [scan]
    assert (await cloud.task(reboot))["status"] in ("queuing", "failed")


async def test_a_waiting_poll_is_answered_at_once_when_a_task_is_queued(cloud: Cloud):
    agent = await cloud.agent()
    await agent.claim()
    poll = asyncio.create_task(agent.claim(wait_s=10))
    await until(lambda: cloud.app_sessions[agent.agent_id].poll == 2)
    await cloud.queue(TaskName.SCAN, agent.agent_id)
    began = time.perf_counter()
    assert len((await poll)["tasks"]) == 1
    assert time.perf_counter() - began < 5


async def test_an_empty_poll_ends_after_the_time_it_asked_for(cloud: Cloud):
    agent = await cloud.agent()
    assert (await agent.claim(wait_s=0.05)) == {
        "tasks": [],
        "cancel": [],
        "asked": [],
        "heard_seq": 0,
        "lease_s": 60.0,
        "settings_rev": 0,
    }


async def test_no_more_tasks_are_handed_out_than_there_is_room_for(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.SCAN, agent.agent_id, count=5)
    first = (await agent.claim(room=2))["tasks"]
    held = [{"task_id": task["task_id"], "epoch": 1} for task in first]
    assert len(first) == 2
    assert (await agent.claim(room=0, open=held))["tasks"] == []
    assert len((await agent.claim(room=10, open=held))["tasks"]) == 3


async def test_a_task_whose_answer_was_lost_is_handed_out_again_to_the_same_journal(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    (again,) = (await agent.claim())["tasks"]
    assert again == task
    held = [{"task_id": task["task_id"], "epoch": 1}]
    assert (await agent.claim(open=held))["tasks"] == []


async def test_lost_answers_are_given_again_as_there_is_room_and_before_new_tasks(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.SCAN, agent.agent_id, count=3)
    lost = {task["task_id"] for task in (await agent.claim())["tasks"]}
    await cloud.queue(TaskName.SCAN, agent.agent_id, count=2)
    held: list[dict[str, Any]] = []
    for _ in range(3):
        tasks = (await agent.claim(room=1, open=held))["tasks"]
        assert len(tasks) == 1
        held.append({"task_id": tasks[0]["task_id"], "epoch": 1})
    assert {each["task_id"] for each in held} == lost
    assert len((await agent.claim(room=5, open=held))["tasks"]) == 2


async def test_a_begun_task_is_never_handed_out_again(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    await agent.report(agent.event(task, "pending", cloud.clock.now()))
    assert (await agent.claim())["tasks"] == []
    cloud.clock.move(300)
    await cloud.sweeper.sweep()
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["epoch"], row["journal_id"]) == ("pending", 1, agent.journal_id)


async def test_tasks_of_an_agent_gone_offline_come_back_with_a_new_epoch(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    cloud.clock.move(89)
    await cloud.sweeper.sweep()
    assert (await cloud.task(task["task_id"]))["epoch"] == 1
    cloud.clock.move(2)
    await cloud.sweeper.sweep()
    row = await cloud.task(task["task_id"])
    assert (row["epoch"], row["journal_id"], row["status"]) == (2, None, "queuing")
    (again,) = (await agent.claim())["tasks"]
    assert (again["task_id"], again["epoch"]) == (task["task_id"], 2)


async def test_an_agent_that_was_away_keeps_what_it_still_holds(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    held = [{"task_id": task["task_id"], "epoch": 1}]
    assert (await agent.claim(open=held))["tasks"] == []
    now = cloud.clock.now()
    _, answer = await agent.report(
        agent.event(task, "pending", now), agent.event(task, "succeed", now, result=done())
    )
    assert [ack["state"] for ack in answer["acks"]] == ["ok", "ok"]
    assert (await cloud.task(task["task_id"]))["status"] == "succeed"


async def test_a_new_journal_is_handed_what_the_old_one_had_not_begun_and_the_rest_is_settled(
    cloud: Cloud,
):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id, count=2)
    await cloud.queue(TaskName.LOG, agent.agent_id, count=2)
    held = (await agent.claim())["tasks"]
    await cloud.queue(TaskName.LIGHT, agent.agent_id)
    begun, unbegun = [held[0], held[2]], [held[1], held[3]]
    now = cloud.clock.now()
    await agent.report(*(agent.event(task, "pending", now) for task in begun))
    agent.journal_id, agent.seq = "journal-2", 0
    doubted = await agent.claim()
    assert (doubted["tasks"], doubted["lease_s"]) == ([], 0)
    *again, fresh = (await agent.claim())["tasks"]
    assert fresh["name"] == TaskName.LIGHT
    assert {each["task_id"] for each in again} == {each["task_id"] for each in unbegun}
    for task in begun:
        row = await cloud.task(task["task_id"])
        assert row["status"] == "failed"
        assert row["result"]["error"]["code"] == "lost_agent"
        look = task["name"] == TaskName.LOG
        assert row["result"]["outcome"] == ("not_done" if look else "unknown")


async def test_one_late_claim_with_a_lower_seq_costs_nothing(cloud: Cloud):
    agent = await cloud.agent()
    agent.seq = 10
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    held = [{"task_id": task["task_id"], "epoch": 1}]
    agent.seq = 9
    await agent.claim(open=held)
    agent.seq = 10
    await agent.claim(open=held)
    agent.seq = 9
    await agent.claim(open=held)
    assert (await cloud.task(task["task_id"]))["ended_at"] is None


async def test_what_was_taken_back_from_a_lost_disk_cannot_have_begun(cloud: Cloud):
    agent = await cloud.agent()
    await cloud.queue(TaskName.REBOOT, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    agent.journal_id = "journal-2"
    await agent.claim()
    (again,) = (await agent.claim())["tasks"]
    assert (again["task_id"], again["epoch"]) == (task["task_id"], 2)
    late = agent.event(task, "pending", cloud.clock.now(), begin_id="old")
    _, answer = await agent.report(late, journal_id="journal-1")
    assert [ack["state"] for ack in answer["acks"]] == ["late"]


async def test_a_cancel_reaches_the_agent_that_holds_the_task_and_is_said_once_at_once(
    cloud: Cloud,
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await agent.claim()
    held = [{"task_id": task_id, "epoch": 1}]
    await cloud.ask_cancel(task_id)
    began = time.perf_counter()
    assert (await agent.claim(open=held, wait_s=10))["cancel"] == [task_id]
    assert time.perf_counter() - began < 5
    # Said again only when the poll ends anyway: no hot loop.
    again = await agent.claim(open=held, wait_s=0.2)
    assert again["cancel"] == [task_id]


async def test_a_cancel_that_comes_with_a_new_task_is_told_by_the_next_poll_at_the_latest(
    cloud: Cloud,
):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    await agent.claim()
    held = [{"task_id": task_id, "epoch": 1}]
    poll = asyncio.create_task(agent.claim(open=held, wait_s=10))
    await until(lambda: cloud.app_sessions[agent.agent_id].poll == 2)
    await cloud.ask_cancel(task_id)
    (fresh,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
    answers = [await poll]
    while not (answers[-1]["cancel"] and any(each["tasks"] for each in answers)):
        assert len(answers) < 3, answers
        answers.append(await agent.claim(open=[*held, {"task_id": fresh, "epoch": 1}], wait_s=10))
    assert [task["task_id"] for each in answers for task in each["tasks"]] == [fresh]
    assert [each["cancel"] for each in answers if each["cancel"]] == [[task_id]]


async def test_an_agent_revoked_while_it_waits_is_given_nothing(cloud: Cloud):
    agent = await cloud.agent()
    await agent.claim()
    poll = asyncio.create_task(agent.claim(wait_s=1))
    await until(lambda: cloud.app_sessions[agent.agent_id].poll == 2)
    async with cloud.store.write() as connection:
        await connection.execute(agents.update().values(revoked_at=cloud.clock.now()))
    (task_id,) = await cloud.queue(TaskName.SCAN, agent.agent_id)
    assert (await poll)["tasks"] == []
    assert (await cloud.task(task_id))["journal_id"] is None


async def test_open_tasks_the_cloud_never_had_are_left_alone(cloud: Cloud):
    agent = await cloud.agent()
    answer = await agent.claim(open=[{"task_id": "made-on-site", "epoch": 1}])
    assert answer["cancel"] == []


async def test_a_newer_poll_of_the_same_agent_takes_the_place_of_the_older(cloud: Cloud):
    agent = await cloud.agent()
    await agent.claim()
    old = asyncio.create_task(agent.claim(wait_s=10))
    await until(lambda: cloud.app_sessions[agent.agent_id].poll == 2)
    new = asyncio.create_task(agent.claim(wait_s=10))
    assert (await old)["tasks"] == []
    await cloud.queue(TaskName.SCAN, agent.agent_id)
    assert len((await new)["tasks"]) == 1


async def test_tasks_nobody_is_named_for_go_to_an_agent_of_the_farm(cloud: Cloud):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.REBOOT, None)
    assert [task["task_id"] for task in (await agent.claim())["tasks"]] == [task_id]
    row = await cloud.task(task_id)
    assert (row["agent_id"], row["status"]) == (agent.agent_id, "queuing")


async def test_an_agent_sees_no_tasks_of_another(cloud: Cloud):
    one, two = await cloud.agent(), await cloud.agent()
    await cloud.queue(TaskName.REBOOT, one.agent_id)
    assert (await two.claim())["tasks"] == []


async def test_idle_polls_and_heartbeats_write_at_most_once_a_minute(cloud: Cloud):
    agent = await cloud.agent()
    await agent.claim()
    beat = {"version": "v1", "uptime_s": 1.0, "host": {"hostname": "pi"}}
    await agent.call("POST", "heartbeat", json=beat)
    before = await cloud.changes()
    for _ in range(5):
        cloud.clock.move(10)
        await agent.claim()
        assert (await agent.call("POST", "heartbeat", json=beat))[0] == 200
    assert await cloud.changes() == before
    cloud.clock.move(20)
    await agent.claim()
    assert await cloud.changes() != before


async def test_a_thousand_tasks_are_claimed_reported_and_visible_in_seconds(cloud: Cloud):
    agent = await cloud.agent()
    began = time.perf_counter()
    for _ in range(10):
        await cloud.queue(TaskName.LIGHT, agent.agent_id, count=100)
    held, count = [], 0
    while count < 1000:
        tasks = (await agent.claim(open=held, room=100))["tasks"]
        count += len(tasks)
        now = cloud.clock.now()
        for state in ("pending", "succeed"):
            more = {"result": done()} if state == "succeed" else {}
            events = [agent.event(task, state, now, **more) for task in tasks]
            status, _ = await agent.report(*events)
            assert status == 200
    assert await cloud.count_tasks(status="succeed") == 1000
    assert time.perf_counter() - began < 60


async def test_a_task_tells_in_which_mode_its_miner_was_last_seen_to_hash(cloud: Cloud):
    agent = await cloud.agent()
    known, unknown = [await cloud.miner(agent.agent_id) for _ in range(2)]
    async with cloud.store.write() as connection:
        await connection.execute(
            miners.update().where(miners.c.id == known).values(awake_mode="low", mode="sleep")
        )
    for miner in (known, unknown):
        await cloud.queue(TaskName.MINING, agent.agent_id, miner_id=miner)
    told = {each["miner"]["id"]: each["miner"] for each in (await agent.claim())["tasks"]}
    assert told[known]["awake_mode"] == "low"
    assert told[unknown].get("awake_mode") is None
