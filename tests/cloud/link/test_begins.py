"""The cloud grants the beginning of what happens at most once, and asks for what it has lost (`contract.begin`)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from cloud.store.ids import new_uuid
from cloud.store.schema.tables import agents, farms, task_batches, task_events, tasks
from cloud.store.tasks.batches import cancel
from cloud.store.tasks.handed import Confirmed
from contract.link import LONG_POLL_MAX_S
from contract.task import TaskName
from tests.cloud.conftest import AgentClient, Cloud, done
from tests.cloud.link.test_reports import held, states

NOBODY = Confirmed(None, frozenset())  # was heard yet


async def tell(agent: AgentClient, cloud: Cloud, task: Any, *words: str, **more: Any) -> list[str]:
    """Report these states in one request; give the answers."""
    events = [
        agent.event(
            task, word, cloud.clock.now(), **(more if word == "pending" else ended(more, word))
        )
        for word in words
    ]
    _, answer = await agent.report(*events)
    return states(answer)


def ended(more: dict[str, Any], word: str) -> dict[str, Any]:
    outcome = {"succeed": "done", "failed": "not_done", "timed_out": "not_done"}[word]
    return {"result": done() | {"outcome": outcome}} | more


async def test_the_first_begin_id_wins_and_may_ask_again(cloud: Cloud):
    agent, task = await held(cloud)
    assert await tell(agent, cloud, task, "pending", begin_id="first") == ["ok"]
    assert await tell(agent, cloud, task, "pending", begin_id="second") == ["begun"]
    assert await tell(agent, cloud, task, "pending") == ["begun"]
    assert await tell(agent, cloud, task, "pending", begin_id="first") == ["ok"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["begin_id"]) == ("pending", "first")


async def test_the_very_same_question_has_the_same_answer_and_all_of_its_time_from_then(
    cloud: Cloud,
):
    agent, task = await held(cloud)
    first = agent.event(task, "pending", cloud.clock.now(), begin_id="first")
    second = agent.event(task, "pending", cloud.clock.now(), begin_id="second")
    await agent.report(first, second)
    before = await cloud.task(task["task_id"])
    cloud.clock.move(60)
    _, answer = await agent.report(second, first)
    assert states(answer) == ["begun", "duplicate"]
    after = await cloud.task(task["task_id"])
    assert after["deadline_cloud_s"] - before["deadline_cloud_s"] == pytest.approx(60, abs=1)
    assert after["pending_at"] == before["pending_at"]


async def test_a_begin_id_that_differs_under_the_same_key_is_a_conflict(cloud: Cloud):
    agent, task = await held(cloud)
    event = agent.event(task, "pending", cloud.clock.now(), begin_id="first")
    await agent.report(event)
    status, answer = await agent.report(event | {"begin_id": "second"})
    assert (status, states(answer)) == (409, ["conflict"])


async def test_what_is_over_is_not_granted(cloud: Cloud):
    agent, task = await held(cloud)
    event = agent.event(task, "pending", cloud.clock.now(), begin_id="first")
    await agent.report(event)
    cloud.clock.move(3600)
    await cloud.sweeper.sweep()
    _, answer = await agent.report(event)
    assert states(answer) == ["late"]


async def test_an_outcome_counts_with_the_begin_id_of_its_beginning_alone(cloud: Cloud):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", begin_id="first")
    assert await tell(agent, cloud, task, "succeed", begin_id="first") == ["ok"]
    assert (await cloud.task(task["task_id"]))["status"] == "succeed"


@pytest.mark.parametrize("word", ["succeed", "failed"])
@pytest.mark.parametrize("begin_id", ["second", None])
async def test_any_other_tells_that_nobody_knows(cloud: Cloud, word: str, begin_id: str | None):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", begin_id="first")
    assert await tell(agent, cloud, task, word, begin_id=begin_id) == ["begun"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["result"]["outcome"]) == ("failed", "unknown")
    assert row["result"]["error"]["code"] == "lost_agent"
    assert row["late"][0]["status"] == word


@pytest.mark.parametrize("said", [{}, {"outcome": "unknown"}, {"outcome": 7}])
async def test_a_success_of_another_life_is_none_whatever_its_result_says(
    cloud: Cloud, said: dict[str, Any]
):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", begin_id="first")
    assert await tell(agent, cloud, task, "succeed", begin_id="second", result=said) == ["begun"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["result"]["outcome"]) == ("failed", "unknown")


async def test_another_life_that_does_not_know_ends_it_as_unknown(cloud: Cloud):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", begin_id="first")
    unknown = {"result": done() | {"outcome": "unknown"}}
    assert await tell(agent, cloud, task, "failed", begin_id="second", **unknown) == ["ok"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["result"]["outcome"]) == ("failed", "unknown")


async def test_an_outcome_told_again_under_another_number_is_not_a_second_one(cloud: Cloud):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", "succeed", begin_id="first")
    assert await tell(agent, cloud, task, "succeed", begin_id="first") == ["duplicate"]
    assert await tell(agent, cloud, task, "failed", begin_id="first") == ["late"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], [each["status"] for each in row["late"]]) == ("succeed", ["failed"])


async def test_what_was_never_begun_ends_without_a_begin_id(cloud: Cloud):
    agent, task = await held(cloud)
    assert await tell(agent, cloud, task, "failed") == ["ok"]


async def test_an_outcome_that_overtakes_its_pending_begins_and_ends_it(cloud: Cloud):
    agent, task = await held(cloud)
    assert await tell(agent, cloud, task, "succeed", begin_id="first") == ["ok"]
    assert await tell(agent, cloud, task, "pending", begin_id="first") == ["late"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["begin_id"]) == ("succeed", "first")


async def test_an_agent_is_asked_for_the_end_of_what_it_began_and_does_not_name(cloud: Cloud):
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "pending", begin_id="first")
    named = [{"task_id": task["task_id"], "epoch": 1}]
    assert (await agent.claim(open=named))["asked"] == []
    assert (await agent.claim())["asked"] == [task["task_id"]]
    assert (await agent.claim())["asked"] == []  # not in every answer
    cloud.clock.move(11)
    assert (await agent.claim())["asked"] == [task["task_id"]]
    await agent.claim(not_known=[task["task_id"]])
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["result"]["outcome"]) == ("failed", "unknown")
    assert row["result"]["error"]["code"] == "lost_agent"


@pytest.mark.parametrize("word", ["queuing", "pending"])
async def test_what_it_does_not_know_is_given_up_only_if_it_began(cloud: Cloud, word: str):
    agent, task = await held(cloud)
    if word == "pending":
        await tell(agent, cloud, task, word, begin_id="first")
    other = await cloud.agent()
    await other.claim(not_known=[task["task_id"]])
    assert (await cloud.task(task["task_id"]))["ended_at"] is None
    answer = await agent.claim(not_known=[task["task_id"]])
    row = await cloud.task(task["task_id"])
    assert (row["ended_at"] is None) == (word == "queuing")
    assert [each["task_id"] for each in answer["tasks"]] == [task["task_id"]] * (word == "queuing")


async def test_the_number_heard_is_that_of_the_reports(cloud: Cloud):
    agent, task = await held(cloud)
    named = [{"task_id": task["task_id"], "epoch": 1}]
    assert (await agent.claim(open=named))["heard_seq"] == 0
    await tell(agent, cloud, task, "pending", "pending", begin_id="first")
    assert (await agent.claim(open=named))["heard_seq"] == 2


async def test_a_poll_of_who_was_told_more_than_is_known_is_answered_at_once(cloud: Cloud):
    agent, task = await held(cloud)
    named = [{"task_id": task["task_id"], "epoch": 1}]
    await tell(agent, cloud, task, "pending", begin_id="first")
    began_s = time.monotonic()
    answer = await agent.claim(open=named, wait_s=LONG_POLL_MAX_S, told_seq=2)
    assert answer["heard_seq"] == 1
    assert time.monotonic() - began_s < LONG_POLL_MAX_S / 2
    waits = asyncio.create_task(agent.claim(open=named, wait_s=LONG_POLL_MAX_S, told_seq=1))
    done, _ = await asyncio.wait({waits}, timeout=0.3)
    assert not done
    waits.cancel()


async def test_only_a_new_process_is_taken_for_one_whose_journal_was_put_back(cloud: Cloud):
    agent, task = await held(cloud)
    named = [{"task_id": task["task_id"], "epoch": 1}]
    await agent.claim(open=named, run_id="first")
    await tell(agent, cloud, task, "pending", begin_id="first")
    with capture_logs() as overtaken:
        await agent.claim(open=named, run_id="first", last_seq=0)
    cloud.clock.move(60)  # the first is gone
    with capture_logs() as put_back:
        await agent.claim(open=named, run_id="second", last_seq=0)
        await agent.claim(open=named, run_id="second", last_seq=1)
    assert "agent.journal_put_back" not in [each["event"] for each in overtaken]
    assert [each["event"] for each in put_back].count("agent.journal_put_back") == 1


async def test_a_database_that_was_put_back_does_not_take_new_reports_for_what_it_has_lost(
    cloud: Cloud,
):
    agent, task = await held(cloud)
    named = [{"task_id": task["task_id"], "epoch": 1}]
    await agent.claim(open=named)
    event = agent.event(task, "pending", cloud.clock.now(), begin_id="first")
    body = {"journal_id": agent.journal_id, "events": [event | {"seq": 90}], "told_seq": 70}
    await agent.call("POST", "reports", json=body)
    assert (await agent.claim(open=named))["heard_seq"] == 0
    told_again = body | {"events": [event | {"seq": 91}], "told_seq": 0}
    await agent.call("POST", "reports", json=told_again)
    assert (await agent.claim(open=named))["heard_seq"] == 91


async def forget(cloud: Cloud, *task_ids: str, batches: bool = True) -> None:
    """As if the database had been put back from a copy taken before these tasks were made."""
    async with cloud.store.write() as connection:
        query = sa.select(tasks.c.batch_id).where(tasks.c.id.in_(task_ids))
        found = list(await connection.scalars(query))
        await connection.execute(task_events.delete().where(task_events.c.task_id.in_(task_ids)))
        await connection.execute(tasks.delete().where(tasks.c.id.in_(task_ids)))
        if batches:
            await connection.execute(task_batches.delete().where(task_batches.c.id.in_(found)))
        await connection.execute(agents.update().values(last_seq=0))


async def test_a_task_that_the_database_does_not_know_is_made_again_from_the_report(cloud: Cloud):
    agent = await cloud.agent()
    miner = await cloud.miner(agent.agent_id)
    await cloud.queue(TaskName.REBOOT, agent.agent_id, miner_id=miner, count=2)
    mac = "02:00:00:00:00:01"
    first, second = (await agent.claim())["tasks"]
    await forget(cloud, first["task_id"], second["task_id"])
    for task in (first, second):
        assert await tell(agent, cloud, task, "succeed", begin_id="b") == ["unknown_task"]
        arose = {
            "name": task["name"], "params": {"force": True}, "miner": {"mac": mac}, "origin": "cloud",
            "accepted_at": "2026-11-29T00:00:00Z", "batch_id": task["batch_id"],
        }  # fmt: skip
        told = task | {"epoch": 3}
        assert await tell(agent, cloud, told, "succeed", begin_id="b", arose=arose) == ["ok"]
        row = await cloud.task(task["task_id"])
        assert (row["status"], row["epoch"], row["miner_id"]) == ("succeed", 3, miner)
        assert (row["batch_id"], row["begin_id"]) == (task["batch_id"], "b")


async def test_the_batch_of_another_farm_is_left_alone(cloud: Cloud):
    agent, task = await held(cloud)
    foreign = (await cloud.queue(TaskName.SCAN, None))[0]
    batch_id = (await cloud.task(foreign))["batch_id"]
    async with cloud.store.write() as connection:
        farm = new_uuid()
        row = (await connection.execute(farms.select())).mappings().first()
        await connection.execute(farms.insert().values(dict(row) | {"id": farm, "name": "other"}))
        await connection.execute(
            task_batches.update().where(task_batches.c.id == batch_id).values(farm_id=farm)
        )
    await forget(cloud, task["task_id"])
    arose = {
        "name": "agent.scan.create", "params": {}, "miner": None, "origin": "cloud",
        "accepted_at": "2026-11-29T00:00:00Z", "batch_id": batch_id,
    }  # fmt: skip
    assert await tell(agent, cloud, task, "succeed", arose=arose) == ["ok"]
    assert (await cloud.task(task["task_id"]))["batch_id"] != batch_id


async def test_a_higher_epoch_than_the_databases_raises_it(cloud: Cloud):
    agent, task = await held(cloud)
    assert await tell(agent, cloud, task | {"epoch": 4}, "pending", begin_id="b") == ["ok"]
    assert (await cloud.task(task["task_id"]))["epoch"] == 4


async def test_what_waits_here_and_is_held_there_is_adopted_not_called_off(cloud: Cloud):
    agent, task = await held(cloud, TaskName.SCAN)
    async with cloud.store.write() as connection:
        await connection.execute(
            tasks.update()
            .where(tasks.c.id == task["task_id"])
            .values(journal_id=None, agent_id=None, handed_at=None)
        )
    answer = await agent.claim(open=[{"task_id": task["task_id"], "epoch": 1}])
    assert (answer["tasks"], answer["cancel"]) == ([], [])
    assert (await cloud.task(task["task_id"]))["journal_id"] == agent.journal_id


async def wait_again(cloud: Cloud, task: Any) -> None:
    """As if the database had been put back to when this task waited for those that go first in its group."""
    async with cloud.store.write() as connection:
        before = {"journal_id": None, "handed_at": None, "held": True, "status": "created"}
        await connection.execute(tasks.update().where(tasks.c.id == task["task_id"]).values(before))


async def test_what_waits_for_its_group_here_and_is_held_there_was_let_go_once(cloud: Cloud):
    agent, task = await held(cloud, TaskName.SCAN)
    await wait_again(cloud, task)
    for _ in range(2):
        answer = await agent.claim(open=[{"task_id": task["task_id"], "epoch": 1}])
        assert (answer["tasks"], answer["cancel"]) == ([], [])
    row = await cloud.task(task["task_id"])
    assert (row["journal_id"], row["held"]) == (agent.journal_id, False)


async def test_what_waits_for_its_group_here_and_begins_there_is_only_its_agents_to_end(
    cloud: Cloud,
):
    agent, task = await held(cloud)
    await wait_again(cloud, task)
    assert await tell(agent, cloud, task, "pending", begin_id="b") == ["ok"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["held"]) == ("pending", False)
    async with cloud.store.write() as connection:
        called_off = await cancel(connection, [row["batch_id"]], cloud.clock.now(), NOBODY)
    assert (called_off.at_once, called_off.requested) == (0, 1)


async def test_of_a_journal_it_did_not_know_it_has_heard_nothing(cloud: Cloud):
    """A database may have been put back to before that journal began: what it has lost is told again then."""
    agent, task = await held(cloud)
    await tell(agent, cloud, task, "succeed", begin_id="first")
    agent.journal_id, agent.seq = "journal-2", 70
    await agent.claim()
    assert (await agent.claim())["heard_seq"] == 0
    body = {"journal_id": agent.journal_id, "events": [], "told_seq": 60}
    await agent.call("POST", "reports", json=body)
    assert (await agent.claim())["heard_seq"] == 0
