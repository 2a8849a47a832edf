"""Groups: progress, canaries that hold the others back, cancel, retry, release."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cloud.context import SWEEPER
from cloud.nonce.canaries import canaries_of
from cloud.store.schema import tables
from cloud.sweeper import Sweeper
from contract.miner import Make, Static

ONLINE: dict[str, Any] = {"status": {"eq": "online"}}
DONE = {"outcome": "done", "verified": True, "evidence": {}}
LIGHT: dict[str, Any] = {"task_name": "miner.light.update", "params": {"action": "on"}}


async def ordered(stage: Any, **body: Any) -> str:
    url = f"{stage.at_farm}/tasks/batches"
    made = await stage.ask("POST", url, json={**LIGHT, **body}, shape="CreateTaskBatch")
    return str(made["meta"]["group_id"])


async def group(stage: Any, group_id: str) -> Any:
    return (await stage.ask("GET", f"{stage.at_farm}/tasks/groups/{group_id}"))["data"]


async def act(stage: Any, group_id: str, what: str, *, status: int = 200, **body: Any) -> Any:
    url = f"{stage.at_farm}/tasks/groups/{group_id}/{what}"
    return await stage.ask("POST", url, json=body or None, status=status)


async def tasks_of(stage: Any, group_id: str, *, is_canary: bool | None = None) -> list[Any]:
    found = []
    for batch in (await group(stage, group_id))["batches"]:
        if is_canary in (None, batch["is_canary"]):
            found += (await stage.batch(batch["batch_id"]))["tasks"]
    return found


@pytest.fixture
def sweeper(stage: Any) -> Sweeper:
    return stage.app[SWEEPER]


async def test_the_rest_is_held_until_those_that_go_first_are_proven(
    stage: Any, sweeper: Sweeper
) -> None:
    group_id = await ordered(stage, selection=ONLINE, expect_count=5, canary=2)
    told = await group(stage, group_id)
    assert (told["group"]["queuing_count"], told["group"]["created_count"]) == (2, 3)
    assert told["group"]["held_count"] == 3
    assert told["canary"]["state"] == "waiting"
    assert told["canary"]["message"] == (
        "0 of the 2 that go first are proven, 2 are under way; 3 wait for them"
    )
    first, *others = await tasks_of(stage, group_id, is_canary=True)
    await stage.settle(first["id"], "succeed", DONE)
    await sweeper.sweep()
    assert (await group(stage, group_id))["group"]["held_count"] == 3
    stage.clock.forward(30 * 3600)  # longer than a queue life
    stage.sessions.heard(stage.agent)
    await stage.settle(others[0]["id"], "succeed", DONE)
    ticket = stage.wake_ups.ticket(stage.agent, stage.farm)
    await sweeper.sweep()
    assert await stage.wake_ups.wait(stage.agent, ticket, 5.0)
    told = await group(stage, group_id)
    assert (told["group"]["held_count"], told["group"]["queuing_count"]) == (0, 3)
    assert told["canary"]["state"] == "proven"
    assert told["group"]["released_at"] is not None
    assert told["group"]["released_by"] is None
    await sweeper.sweep()  # their queue life has begun just now
    assert (await group(stage, group_id))["group"]["queuing_count"] == 3
    stage.clock.forward(25 * 3600)
    await sweeper.sweep()
    assert (await group(stage, group_id))["group"]["timed_out_count"] == 3


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        ("failed", {"outcome": "not_done", "error": {"code": "refused", "message": "It said no"}}, "failed (It said no)"),
        ("failed", {"outcome": "unknown", "error": {"code": "internal", "message": "Who knows"}}, "failed (Who knows)"),
        ("timed_out", None, "timed_out"),
        ("cancelled", None, "cancelled"),
        ("succeed", {"outcome": "done", "verified": False, "reason": "it tells nothing"},
         "succeed (it tells nothing)"),
    ],
)  # fmt: skip
async def test_one_that_is_not_proven_holds_the_others_until_somebody_decides(
    stage: Any, sweeper: Sweeper, status: str, result: Any, words: str
) -> None:
    group_id = await ordered(stage, selection=ONLINE, expect_count=5, canary=1)
    [first] = await tasks_of(stage, group_id, is_canary=True)
    await stage.settle(first["id"], status, result)
    for _ in range(2):
        await sweeper.sweep()
    told = await group(stage, group_id)
    assert told["group"]["held_count"] == 4
    assert told["canary"]["state"] == "failed"
    assert told["canary"]["message"] == (
        f"1 of the 1 that go first are not proven: 10.0.0.1 {words}. "
        "4 wait until you let them go (release) or call them off (cancel)"
    )
    assert (await act(stage, group_id, "release"))["data"]["released_count"] == 4
    told = await group(stage, group_id)
    assert told["canary"]["state"] == "released"
    assert told["canary"]["message"].startswith("Let go by Jo, although 0 of the 1")
    assert told["group"]["released_by"]["id"] == "apikey_1"
    answer = await act(stage, group_id, "release", status=409)
    assert answer["message"] == "Nothing of this group is held"


async def test_a_cancel_ends_what_is_held_at_once_and_for_good(
    stage: Any, sweeper: Sweeper
) -> None:
    group_id = await ordered(stage, selection=ONLINE, expect_count=5, canary=1)
    [first] = await tasks_of(stage, group_id, is_canary=True)
    await stage.change_task(first["id"], handed_at=stage.clock.now(), journal_id="j")
    answer = (await act(stage, group_id, "cancel"))["data"]
    assert (answer["cancelled_count"], answer["cancel_requested_count"]) == (4, 1)
    await stage.settle(first["id"], "succeed", DONE)
    await sweeper.sweep()
    told = await group(stage, group_id)
    assert told["group"]["cancelled_count"] == 4
    assert (told["group"]["status"], told["canary"]["state"]) == ("partial_succeed", "cancelled")
    await act(stage, group_id, "release", status=409)
    done = await ordered(stage, miner_ids=[stage.miners[1]], canary=1)
    [only] = await tasks_of(stage, done)
    await stage.settle(only["id"], "succeed", DONE)
    await act(stage, done, "cancel")  # of what has ended nothing is called off
    assert (await group(stage, done))["group"]["cancelled_at"] is None


async def test_a_canary_is_for_named_miners_too_and_of_all_holds_none(stage: Any) -> None:
    ids = [stage.miners[number] for number in range(1, 6)]
    group_id = await ordered(stage, miner_ids=ids, canary=3)
    assert (await group(stage, group_id))["group"]["held_count"] == 2
    await act(stage, group_id, "cancel")
    group_id = await ordered(stage, miner_ids=ids, canary=5)
    assert (await group(stage, group_id))["group"]["queuing_count"] == 5


async def test_retry_of_a_group_is_a_new_one_of_what_failed(stage: Any, readings: Any) -> None:
    await stage.look_at(*(readings.healthy(number) for number in range(1, 121)))
    reboot = {"task_name": "miner.system.reboot", "params": {"force": True}}
    group_id = await ordered(stage, **reboot, selection=ONLINE, expect_count=120)
    rows = await tasks_of(stage, group_id)
    for number, row in enumerate(rows):
        if number < 110:
            await stage.settle(row["id"], "succeed", DONE)
        elif number < 115:
            await stage.settle(row["id"], "failed", {"outcome": "not_done"})
        else:
            await stage.settle(row["id"], "timed_out", {"outcome": "unknown"})
    told = await group(stage, group_id)
    assert (told["group"]["failed_count"], told["group"]["unknown_count"]) == (5, 5)
    again = await act(stage, group_id, "retry")
    assert again["meta"]["summary"] == {"created_count": 5, "skipped_count": 5}
    assert again["meta"]["skipped"][0]["reason"] == "outcome_unknown"
    new = await group(stage, again["meta"]["group_id"])
    assert new["group"]["retry_of"] == group_id
    answer = await act(stage, group_id, "retry", status=409)
    assert answer["message"].startswith(f"Group {again['meta']['group_id']} retries this one")
    await act(stage, again["meta"]["group_id"], "cancel")
    again = await act(stage, group_id, "retry", include_unknown=True)
    assert again["meta"]["summary"] == {"created_count": 10, "skipped_count": 0}


async def test_passwords_of_a_group_are_hidden_and_leave_the_database_with_its_last_task(
    stage: Any,
) -> None:
    pools = [{"url": "stratum+tcp://p:1", "user": "u", "password": "hunter2"}]
    group_id = await ordered(
        stage,
        task_name="miner.pool.update",
        params={"pools": pools},
        selection=ONLINE,
        expect_count=5,
        canary=2,
    )
    told = await group(stage, group_id)
    listed = await stage.ask("GET", f"{stage.at_farm}/tasks/groups")
    assert "hunter2" not in str(told) + str(listed)

    async def stored() -> str:
        async with stage.store.read() as connection:
            found = [
                (await connection.exec_driver_sql(f"SELECT params FROM {table}")).all()
                for table in ("tasks", "task_batches", "task_groups")
            ]
        return str(found)

    assert (await stored()).count("hunter2") == 5 + 2 + 1
    await act(stage, group_id, "cancel")
    assert "hunter2" not in await stored()


async def test_groups_are_listed_newest_first_and_unknown_ones_are_not_found(stage: Any) -> None:
    first = await ordered(stage, selection=ONLINE, expect_count=5)
    stage.clock.forward(1)
    second = await ordered(
        stage, task_name="miner.log.get", params=None, selection=ONLINE, expect_count=5
    )
    listed = await stage.ask("GET", f"{stage.at_farm}/tasks/groups?pageSize=1")
    assert [each["group_id"] for each in listed["data"]] == [second]
    assert listed["pagination"]["total"] == 2
    assert (await group(stage, first))["group"]["status"] == "pending"
    await stage.ask("GET", f"{stage.at_farm}/tasks/groups/none", status=404)
    for what in ("cancel", "retry", "release", "undo"):
        await act(stage, "none", what, status=404)


async def test_no_agent_is_given_what_is_held(stage: Any) -> None:
    await ordered(stage, selection=ONLINE, expect_count=5, canary=2)
    headers = {"Authorization": f"Bearer {await stage.token()}"}
    body = {"journal_id": "j", "last_seq": 0, "room": 100, "wait_s": 0}
    url = f"{stage.url}/link/v1/claims"
    async with stage.http.post(url, json=body, headers=headers) as response:
        assert len((await response.json())["tasks"]) == 2
    body["open"] = []
    async with stage.http.post(url, json=body, headers=headers) as response:
        assert len((await response.json())["tasks"]) <= 2


@pytest.mark.parametrize("moved", [True, False])
async def test_what_is_let_go_is_for_the_agent_that_looks_at_the_miner_by_then(
    stage: Any, sweeper: Sweeper, moved: bool
) -> None:
    group_id = await ordered(stage, selection=ONLINE, expect_count=5, canary=1)
    [first] = await tasks_of(stage, group_id, is_canary=True)
    await stage.settle(first["id"], "succeed", DONE)
    now, other = stage.clock.now(), "another-agent"
    async with stage.store.write() as connection:
        await connection.execute(
            tables.agents.insert().values(
                id=other, farm_id=stage.farm, workspace_id=stage.workspace, created_at=now
            )
        )
        if moved:
            await connection.execute(tables.miners.update().values(agent_id=other))
    await stage.change_agent(revoked_at=now)
    ticket = stage.wake_ups.ticket(other, stage.farm)
    await sweeper.sweep()
    assert await stage.wake_ups.wait(other, ticket, 5.0)
    held = await tasks_of(stage, group_id, is_canary=False)
    assert {each["status"] for each in held} == {"queuing" if moved else "created"}
    async with stage.store.read() as connection:
        query = tables.tasks.select().where(tables.tasks.c.ended_at.is_(None))
        found = {row.agent_id for row in await connection.execute(query)}
    assert found == {other if moved else None}


def test_those_that_go_first_are_of_different_models_agents_and_racks() -> None:
    miners = [
        ((model, agent, rack, number), (model, agent, rack))
        for model in ("S19", "S21")
        for agent in ("a", "b")
        for rack in ("r1", "r2", "r3")
        for number in range(4)
    ]
    first = canaries_of(miners, 4)
    assert Counter(model for model, *_ in first) == {"S19": 2, "S21": 2}
    assert Counter(each[:2] for each in first) == dict.fromkeys(
        [("S19", "a"), ("S19", "b"), ("S21", "a"), ("S21", "b")], 1
    )
    twelve = canaries_of(miners, 12)
    assert len({each[:3] for each in twelve}) == 12
    assert canaries_of(miners, 12) == twelve
    assert len(canaries_of(miners, 1000)) == len(miners)


async def test_of_a_mixed_farm_each_model_goes_first(stage: Any, readings: Any) -> None:
    other = Static(make=Make.ANTMINER, model="Antminer S21", mac="02:00:00:00:00:05")
    await stage.look_at(readings.healthy(5, static=other))
    group_id = await ordered(stage, selection=ONLINE, expect_count=5, canary=2)
    first = await tasks_of(stage, group_id, is_canary=True)
    assert {task["miner_id"] for task in first} == {stage.miners[1], stage.miners[5]}
