from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
import sqlalchemy as sa

from cloud.store.schema.tables import miners, task_batches, task_logs
from contract.clock import to_text
from contract.task import TaskName
from tests.cases import case
from tests.cloud.conftest import AgentClient, Cloud, done


async def held(cloud: Cloud, name: TaskName = TaskName.REBOOT) -> tuple[AgentClient, dict]:
    agent = await cloud.agent()
    await cloud.queue(name, agent.agent_id)
    (task,) = (await agent.claim())["tasks"]
    return agent, task


def states(answer: dict) -> list[str]:
    return [ack["state"] for ack in answer["acks"]]


async def test_the_same_report_again_is_a_duplicate_and_changes_nothing(cloud: Cloud):
    agent, task = await held(cloud)
    events = [
        agent.event(task, "pending", cloud.clock.now()),
        agent.event(task, "succeed", cloud.clock.now(), result=done(n=1)),
    ]
    await agent.report(*events)
    before = await cloud.task(task["task_id"])
    cloud.clock.move(60)
    status, answer = await agent.report(*events)
    assert (status, states(answer)) == (200, ["duplicate", "duplicate"])
    assert await cloud.task(task["task_id"]) == before


async def test_another_outcome_under_the_same_key_is_a_conflict_and_changes_nothing(cloud: Cloud):
    agent, task = await held(cloud)
    event = agent.event(task, "succeed", cloud.clock.now(), result=done())
    await agent.report(event)
    status, answer = await agent.report(event | {"state": "failed"})
    assert status == 409
    assert (answer["statusCode"], answer["error"]) == (409, "Conflict")
    assert states(answer) == ["conflict"]
    fresh = agent.event(task, "pending", cloud.clock.now())
    status, answer = await agent.report(event | {"state": "failed"}, fresh)
    assert (status, states(answer)) == (200, ["conflict", "late"])
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["late"]) == ("succeed", None)


async def test_an_outcome_after_the_task_was_closed_is_kept_beside_it(cloud: Cloud):
    agent, task = await held(cloud)
    await agent.report(agent.event(task, "pending", cloud.clock.now()))
    cloud.clock.move(3600)
    await cloud.sweeper.sweep()
    status, answer = await agent.report(
        agent.event(task, "succeed", cloud.clock.now(), result=done(seen="outage"))
    )
    assert (status, states(answer)) == (200, ["late"])
    row = await cloud.task(task["task_id"])
    assert row["status"] == "timed_out"
    assert row["result"]["outcome"] == "unknown"
    assert row["late"][0]["status"] == "succeed"
    assert row["late"][0]["result"]["evidence"] == {"seen": "outage"}


async def test_a_task_that_is_not_this_agents_is_unknown(cloud: Cloud):
    agent, task = await held(cloud)
    other = await cloud.agent()
    _, answer = await other.report(other.event(task, "succeed", cloud.clock.now(), result=done()))
    assert states(answer) == ["unknown_task"]
    _, answer = await agent.report(
        agent.event(task | {"task_id": "nowhere"}, "pending", cloud.clock.now()),
    )
    assert states(answer) == ["unknown_task"]
    assert (await cloud.task(task["task_id"]))["status"] == "queuing"


async def test_stamps_stay_in_order_however_wrong_the_agents_clock_is(cloud: Cloud):
    agent, task = await held(cloud)
    handed = cloud.clock.now()
    cloud.clock.move(10)
    now = cloud.clock.now()
    await agent.report(agent.event(task, "pending", handed - timedelta(days=9)))
    await agent.report(agent.event(task, "succeed", now + timedelta(days=9), result=done()))
    row = await cloud.task(task["task_id"])
    assert (row["pending_at"], row["succeed_at"]) == (handed, now)


async def test_a_stamp_between_is_kept_as_the_agent_gave_it(cloud: Cloud):
    agent, task = await held(cloud)
    cloud.clock.move(10)
    at = cloud.clock.now() - timedelta(seconds=3)
    await agent.report(agent.event(task, "pending", at))
    assert (await cloud.task(task["task_id"]))["pending_at"] == at


async def test_log_lines_are_kept_in_order_cut_and_counted(cloud: Cloud):
    agent, task = await held(cloud)
    at = to_text(cloud.clock.now())
    lines = [{"at": at, "level": "info", "message": f"line {n}"} for n in range(3)]
    lines.append({"at": at, "level": "error", "message": "x" * 10_000 + "\x00"})
    await agent.report(agent.event(task, "pending", at, logs=lines))
    flood = [{"at": at, "level": "debug", "message": "y"}] * 2000
    await agent.report(agent.event(task, "pending", at, logs=flood))
    query = sa.select(task_logs.c.message).where(task_logs.c.task_id == task["task_id"])
    async with cloud.store.read() as connection:
        messages = list((await connection.execute(query.order_by(task_logs.c.id))).scalars())
    assert messages[:3] == ["line 0", "line 1", "line 2"]
    assert len(messages[3]) == 4000
    assert len(messages) == cloud.settings.task_log_lines


async def test_evidence_that_is_too_large_is_dropped_but_never_the_outcome(cloud: Cloud):
    agent, task = await held(cloud)
    error = {"code": "not_verified", "message": "still off"}
    result = {"outcome": "unknown", "verified": False, "evidence": {"x": "y" * 400_000}}
    event = agent.event(task, "failed", cloud.clock.now(), result=result | {"error": error})
    _, answer = await agent.report(event)
    assert states(answer) == ["ok"]
    kept = (await cloud.task(task["task_id"]))["result"]
    assert (kept["outcome"], kept["verified"], kept["error"]) == ("unknown", False, error)
    assert "dropped" in kept["evidence"]


async def test_evidence_and_error_are_kept_as_objects_whatever_they_are(cloud: Cloud):
    agent = await cloud.agent()
    miner = await cloud.miner(agent.agent_id)
    pools = {"pools": [{"url": "stratum+tcp://p:1", "user": "u"}]}
    await cloud.queue(TaskName.POOLS, agent.agent_id, miner_id=miner, params=pools)
    (task,) = (await agent.claim())["tasks"]
    result = {"outcome": "done", "verified": True, "evidence": ["p:1"], "error": "none"}
    event = agent.event(task, "succeed", cloud.clock.now(), result=result)
    for state in ("ok", "duplicate"):
        status, answer = await agent.report(event)
        assert (status, answer["acks"][0]["state"]) == (200, state)
    kept = (await cloud.task(task["task_id"]))["result"]
    assert (kept["evidence"], kept["error"]) == ({"told": ["p:1"]}, {"message": "none"})


async def test_a_progress_result_shows_until_the_end_replaces_it(cloud: Cloud):
    agent, task = await held(cloud, TaskName.SCAN)
    now = cloud.clock.now()
    await agent.report(agent.event(task, "pending", now, result={"scanned": 10}))
    assert (await cloud.task(task["task_id"]))["result"] == {"scanned": 10}
    await agent.report(agent.event(task, "succeed", now, result=done(found=1)))
    assert (await cloud.task(task["task_id"]))["result"] == done(found=1)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"state": "created"}, "state"),
        ({"state": "sleeping"}, "state"),
        ({"at": "yesterday"}, "yesterday"),
        ({"at": "2026-11-21T12:00:00"}, "offset"),
        ({"seq": -1}, "seq"),
        ({"seq": 2**63}, "seq"),
        ({"epoch": 2**40}, "epoch"),
        ({"state": "succeed"}, "result"),
        ({"logs": [{"at": "x", "level": "info", "message": "m"}]}, "x"),
    ],
)
async def test_one_bad_event_refuses_the_whole_report_and_says_which(
    cloud: Cloud, change: dict, names: str
):
    agent, task = await held(cloud)
    good = agent.event(task, "pending", cloud.clock.now())
    bad = agent.event(task, "pending", cloud.clock.now()) | change
    status, answer = await agent.report(good, bad)
    assert status == 400
    assert set(answer) == {"statusCode", "message", "error"}
    assert "events.1" in str(answer["message"])
    assert names in str(answer["message"])
    assert (await cloud.task(task["task_id"]))["status"] == "queuing"


async def test_an_older_epoch_from_another_journal_does_not_touch_the_task(cloud: Cloud):
    agent, task = await held(cloud)
    cloud.clock.move(200)
    await cloud.sweeper.sweep()
    (again,) = (await agent.claim())["tasks"]
    assert again["epoch"] == 2
    event = agent.event(task, "succeed", cloud.clock.now(), result=done())
    _, answer = await agent.report(event, journal_id="another-journal")
    assert states(answer) == ["late"]
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["late"][0]["epoch"]) == ("queuing", 1)


@pytest.mark.parametrize(
    "at",
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1970-01-01T00:05:00.000000Z",
        "1980-01-06T00:00:00.000000Z",
        "2099-01-01T00:00:00.000000Z",
    ],
)
async def test_an_outcome_is_taken_however_wrong_the_clock_of_the_agent_is(cloud: Cloud, at: str):
    agent, task = await held(cloud)
    cloud.clock.move(10)
    told = cloud.clock.now()
    line = {"at": at, "level": "info", "message": "m"}
    begun = agent.event(task, "pending", told) | {"at": at}
    ended = agent.event(task, "succeed", told, result=done(n=1)) | {"at": at, "logs": [line]}
    status, answer = await agent.report(begun, ended)
    assert (status, states(answer)) == (200, ["ok", "ok"])
    row = await cloud.task(task["task_id"])
    assert (row["status"], row["pending_at"], row["ended_at"]) == ("succeed", told, told)
    async with cloud.store.read() as connection:
        lines = (await connection.execute(sa.select(task_logs.c.at))).scalars().all()
    assert lines == [told]


async def test_what_is_dropped_of_a_result_is_dropped_whatever_its_keys(cloud: Cloud):
    agent, task = await held(cloud)
    large = {
        "outcome": "x" * 150_000,
        "verified": ["y" * 150_000],
        "evidence": {"z": "z" * 150_000},
    }
    status, _ = await agent.report(agent.event(task, "failed", cloud.clock.now(), result=large))
    assert status == 200
    assert len(str((await cloud.task(task["task_id"]))["result"])) < 1000


SECRET = {"pools": [{"url": "tcp://w:hunter2@p:1", "user": "u", "password": "hunter2"}]}
SHOWN = {"pools": [{"url": "tcp://w:***@p:1", "user": "u", "password": "***"}]}


@pytest.mark.parametrize("end", ["succeed", "failed", "sweeper", "lost"])
async def test_the_passwords_of_a_task_leave_the_database_however_it_ends(cloud: Cloud, end: str):
    agent = await cloud.agent()
    (task_id,) = await cloud.queue(TaskName.POOLS, agent.agent_id, params=SECRET)
    (task,) = (await agent.claim())["tasks"]
    assert task["params"] == SECRET
    await agent.report(agent.event(task, "pending", cloud.clock.now()))
    assert (await cloud.task(task_id))["params"] == SECRET
    if end == "sweeper":
        cloud.clock.move(3600)
        await cloud.sweeper.sweep()
    elif end == "lost":
        await agent.claim(not_known=[task_id])
    else:
        said = {
            "message": "sent to tcp://w:hunter2@p:1",
            "level": "info",
            "at": to_text(cloud.clock.now()),
        }
        event = agent.event(task, end, cloud.clock.now(), result=done(**SECRET), logs=[said])
        await agent.report(event)
    row = await cloud.task(task_id)
    assert row["ended_at"] is not None
    assert row["params"] == SHOWN
    async with cloud.store.read() as connection:
        batches = (await connection.execute(sa.select(task_batches.c.params))).scalars().all()
        messages = (await connection.execute(sa.select(task_logs.c.message))).scalars().all()
    assert "hunter2" not in str([row, batches, messages])


STOPPED: Final = [
    ({"awake_mode": "low"}, None, None, "low"),
    ({"awake_mode": "low"}, -60, "normal", "low"),  # set since by hand, and off at once
    ({"awake_mode": "low"}, 60, "sleep", "low"),
    ({"awake_mode": "low"}, 60, "high", "normal"),  # woken since by hand
    ({"awake_mode": "sleep"}, None, None, "normal"),
    ({"awake_mode": "turbo"}, None, None, "normal"),
    ({"awake_mode": ["low"]}, None, None, "normal"),
    ({}, None, None, "normal"),
    ("low", None, None, "normal"),
]


@pytest.mark.parametrize("name", [TaskName.MINING, TaskName.POWER_MODE])
async def test_what_stopped_a_miner_tells_the_mode_to_come_back_to(cloud: Cloud, name: TaskName):
    agent = await cloud.agent()
    for before, read, mode, kept in STOPPED:
        with case(before, read, mode):
            miner = await cloud.miner(agent.agent_id)
            this, begun = miners.c.id == miner, cloud.clock.now()
            async with cloud.store.write() as connection:
                values: dict[str, Any] = {"awake_mode": "normal", "mode": mode}
                if read is not None:
                    values["slow_read_at"] = begun + timedelta(seconds=read)
                await connection.execute(miners.update().where(this).values(**values))
            await cloud.queue(name, agent.agent_id, miner_id=miner)
            (task,) = (await agent.claim())["tasks"]
            await agent.report(agent.event(task, "pending", begun))
            cloud.clock.move(120)
            result = done(before=before) | {"outcome": "unknown"}
            await agent.report(agent.event(task, "failed", cloud.clock.now(), result=result))
            async with cloud.store.read() as connection:
                found = await connection.scalar(sa.select(miners.c.awake_mode).where(this))
            assert found == kept
