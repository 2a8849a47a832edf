"""Putting back what a batch or a group changed, from the evidence of its tasks."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from cloud.nonce.undo import Passwords, former_of
from cloud.store.schema import tables
from contract.hiding import hidden


async def undo(stage: Any, what: str, *, status: int = 200, **body: Any) -> Any:
    url = f"{stage.at_farm}/tasks/{what}/undo"
    shape = "CreateTaskBatch" if status == 200 and not body.get("dry_run") else None
    return await stage.ask("POST", url, json=body or None, status=status, shape=shape)


async def done(stage: Any, name: str, befores: dict[int, Any], **body: Any) -> str:
    """A batch whose tasks found this before, by the number of the miner."""
    made = await stage.create(name, *befores, **body)
    batch_id = str(made["data"][0]["batch_id"])
    numbers = {stage.miners[number]: number for number in befores}
    for task in (await stage.batch(batch_id))["tasks"]:
        evidence = {"before": befores[numbers[task["miner_id"]]], "after": {}}
        result = hidden({"outcome": "done", "verified": True, "evidence": evidence})
        await stage.settle(task["id"], "succeed", result)
    return batch_id


async def asked(stage: Any, answer: Any) -> dict[int, Any]:
    """By the number of the miner: what it is asked for now."""
    numbers = {miner_id: number for number, miner_id in stage.miners.items()}
    found = {}
    for batch in answer["data"]:
        for task in (await stage.batch(batch["batch_id"]))["tasks"]:
            found[numbers[task["miner_id"]]] = task["params"]
    return found


async def test_each_miner_gets_back_what_it_had_equal_ones_in_one_batch(stage: Any) -> None:
    befores = {
        1: {"mode_running": "normal", "mode_configured": "0"},
        2: {"mode": "low", "mining": True},
        3: {"mode_running": None, "mode_configured": "0"},
        4: {"mode_running": None, "mode_configured": None},
    }
    batch_id = await done(stage, "miner.power_mode.update", befores, params={"mode": "sleep"})
    stage.clock.forward(61)  # what was read of the mode is too old to skip anybody
    told = (await undo(stage, f"batches/{batch_id}", dry_run=True))["data"]
    assert (told["created_count"], told["skipped_count"], told["batch_count"]) == (3, 1, 2)
    answer = await undo(stage, f"batches/{batch_id}")
    assert await asked(stage, answer) == {
        1: {"mode": "normal"},
        2: {"mode": "low"},
        3: {"mode": "normal"},
    }
    assert sorted(each["task_count"] for each in answer["data"]) == [1, 2]
    [skip] = answer["meta"]["skipped"]
    assert (skip["reason"], skip["miner_ids"]) == ("before_unknown", [stage.miners[4]])
    url = f"{stage.at_farm}/tasks/groups/{answer['meta']['group_id']}"
    told = (await stage.ask("GET", url))["data"]["group"]
    assert (told["undo_of"], told["task_params"]) == (batch_id, None)


async def test_a_password_that_nobody_keeps_is_asked_for(stage: Any) -> None:
    def slot(user: str, password: str) -> dict[str, Any]:
        return {"url": "stratum+tcp://old:1", "user": user, "password": password}

    befores = {1: {"pools": [slot("a", "****")]}, 2: {"pools": [slot("b", "")]}}
    told = Passwords({})
    for user in ("farm.1", "farm.2", "farm.3"):
        former_of("miner.pool.update", None, {"before": {"pools": [slot(user, "****")]}}, told)
    assert told.needed() == ["stratum+tcp://old:1 (user farm.1 and 2 more)"]
    told = Passwords({"farm.1": "a", "*": "x"})
    assert [told.of(url="stratum+tcp://old:1", user=f"farm.{each}") for each in (1, 2)] == [
        "a",
        "x",
    ]
    assert told.needed() == []
    pools = [{"url": "stratum+tcp://new:1", "user": "u", "password": "hunter2"}]
    batch_id = await done(stage, "miner.pool.update", befores, params={"pools": pools})
    told = (await undo(stage, f"batches/{batch_id}", dry_run=True))["data"]
    assert told["passwords_needed"] == ["stratum+tcp://old:1 (user a)"]
    answer = await undo(stage, f"batches/{batch_id}", status=409)
    assert answer["message"] == [
        "passwords: that of stratum+tcp://old:1 (user a) is needed",
        'send {"passwords": {"url or user": "password"}}',
    ]
    assert await stage.count("tasks") == 2
    answer = await undo(
        stage, f"batches/{batch_id}", passwords={"stratum+tcp://old:1": "of the url"}
    )
    shown = await asked(stage, answer)
    assert shown[1] == {"pools": [slot("a", "***")]}
    assert shown[2] == {"pools": [slot("b", "")]}
    async with stage.store.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT params FROM tasks")).all()
    assert str(rows).count("of the url") == 1


@pytest.mark.parametrize(
    "name",
    ["miner.system.reboot", "miner.firmware.update", "miner.log.get", "miner.asset.delete"],
)
async def test_what_cannot_be_put_back_says_so(stage: Any, name: str) -> None:
    params = {"firmware_url": "https://f.test/a"} if name == "miner.firmware.update" else None
    made = await stage.create(name, 1, params=params)
    answer = await undo(stage, f"batches/{made['data'][0]['batch_id']}", status=409)
    assert answer["message"].startswith(f"{name} cannot be undone")


async def test_what_has_not_ended_is_not_undone(stage: Any) -> None:
    made = await stage.create("miner.light.update", 1, params={"action": "on"})
    answer = await undo(stage, f"batches/{made['data'][0]['batch_id']}", status=409)
    assert answer["message"].startswith("1 of its tasks have not ended yet")


async def test_an_undo_can_be_undone(stage: Any) -> None:
    batch_id = await done(
        stage, "miner.light.update", {1: {"light_on": False}}, params={"action": "on"}
    )
    first = await undo(stage, f"batches/{batch_id}")
    assert await asked(stage, first) == {1: {"action": "off"}}
    [task] = (await stage.batch(first["data"][0]["batch_id"]))["tasks"]
    evidence = {"before": {"light_on": True}, "after": {"light_on": False}}
    await stage.settle(
        task["id"], "succeed", {"outcome": "done", "verified": True, "evidence": evidence}
    )
    second = await undo(stage, f"groups/{first['meta']['group_id']}")
    assert await asked(stage, second) == {1: {"action": "on"}}


async def test_records_are_put_back_and_forth(stage: Any) -> None:
    async def read() -> dict[str, Any]:
        found = await stage.ask("GET", f"{stage.at_farm}/miner/latest")
        keys = ("tags", "rack", "position", "asset_status", "ops_status")
        return {each["ip"]: {key: each[key] for key in keys} for each in found["data"]}

    await stage.create("miner.tags.update", 1, params={"add": ["old", "both"]})
    before = await read()
    places = [
        {"miner_id": stage.miners[number], "rack": f"A{number}", "position": number}
        for number in (1, 2)
    ]
    for name, body in (
        ("miner.tags.update", {"params": {"add": ["new", "both"], "remove": ["old"]}}),
        ("miner.asset.update", {"params": {"status": "maintenance"}}),
        ("miner.rack_location.update", {"updates": places}),
    ):
        numbers = () if "updates" in body else (1, 2)
        made = await stage.create(name, *numbers, **body)
        after = await read()
        assert after != before
        answer = await undo(stage, f"batches/{made['data'][0]['batch_id']}")
        found = await read()
        if name == "miner.asset.update":  # in service, which it was before it was ever said
            assert {each["ops_status"] for each in found.values()} == {None}
            before = found
        else:
            sorted_tags = {ip: {**each, "tags": sorted(each["tags"])} for ip, each in found.items()}
            assert sorted_tags == {
                ip: {**each, "tags": sorted(each["tags"])} for ip, each in before.items()
            }
            before = found
            again = await undo(stage, f"groups/{answer['meta']['group_id']}")
            assert {ip: sorted(each["tags"]) for ip, each in (await read()).items()} == {
                ip: sorted(each["tags"]) for ip, each in after.items()
            }
            await undo(stage, f"groups/{again['meta']['group_id']}")
            before = await read()


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ({"mode": "normal", "mining": True}, "on"),
        ({"mode": "low", "mining": False}, "off"),
        ({"mode_running": "sleep"}, "off"),
        ({"mode_running": "low"}, "on"),
        ({"mode_configured": "254"}, "off"),
        ({}, None),
    ],
)
def test_mining_is_put_back_by_what_each_make_tells(before: Any, action: str | None) -> None:
    former = former_of("miner.mining.update", None, {"before": before}, Passwords({}))
    assert (former and former.params) == (action and {"action": action})


@pytest.mark.parametrize(
    ("asked", "before", "former"),
    [
        ({"watts": 3000}, {"watts": 3600, "percent": 100}, {"watts": 3600}),
        ({"watts": 3000}, {"watts": "default", "percent": None}, {"watts": "default"}),
        ({"percent": 90}, {"watts": 3600, "percent": 100}, {"percent": 100}),
        ({"percent": 90}, {"watts": 3600, "percent": None}, None),
    ],
)
def test_a_power_limit_is_put_back_as_it_was_asked_for(
    asked: Any, before: Any, former: Any
) -> None:
    found = former_of("miner.power_limit.update", asked, {"before": before}, Passwords({}))
    assert (found and found.params) == former


async def test_what_perhaps_was_changed_is_put_back_and_what_was_not_is_left_alone(
    stage: Any,
) -> None:
    asked_for = {"params": {"action": "off"}}
    batch_id = await done(
        stage,
        "miner.mining.update",
        {number: {"mining": True} for number in (1, 2, 3, 4)},
        **asked_for,
    )
    first, unknown, untouched, lost = (await stage.batch(batch_id))["tasks"]
    evidence = {"before": {"mining": True}}
    doubt = {"outcome": "unknown", "verified": False, "evidence": evidence}
    await stage.settle(unknown["id"], "failed", doubt)
    await stage.settle(untouched["id"], "failed", {**doubt, "outcome": "not_done"})
    await stage.settle(lost["id"], "timed_out", {"outcome": "unknown", "evidence": {}})
    stage.clock.forward(61)
    told = (await undo(stage, f"batches/{batch_id}", dry_run=True))["data"]
    assert [each["id"] for each in told["miners"]] == [first["miner_id"], unknown["miner_id"]]
    [skip] = told["skipped"]
    assert (skip["reason"], skip["miner_ids"]) == ("before_unknown", [lost["miner_id"]])


@pytest.mark.parametrize(
    "evidence", [["before"], "x", 7, {"before": ["pools"]}, {"before": {"pools": ["p:1"]}}]
)
async def test_evidence_of_any_form_is_skipped_and_shown(stage: Any, evidence: Any) -> None:
    batch_id = await done(
        stage,
        "miner.pool.update",
        {1: {}},
        params={"pools": [{"url": "stratum+tcp://p:1", "user": "u"}]},
    )
    [task] = (await stage.batch(batch_id))["tasks"]
    await stage.settle(
        task["id"], "succeed", {"outcome": "done", "evidence": evidence, "error": "no"}
    )
    told = (await undo(stage, f"batches/{batch_id}", dry_run=True))["data"]
    assert [each["reason"] for each in told["skipped"]] == ["before_unknown"]
    audit = f"{stage.at_farm}/audit?miner={stage.miners[1]}"
    assert (await stage.ask("GET", audit))["data"]
    group = await stage.create("miner.light.update", 2, 3, params={"action": "on"}, canary=1)
    url = f"{stage.at_farm}/tasks/groups/{group['meta']['group_id']}"
    [first] = (await stage.batch(group["data"][0]["batch_id"]))["tasks"]
    await stage.settle(
        first["id"], "failed", {"outcome": "unknown", "evidence": evidence, "error": "no"}
    )
    assert (await stage.ask("GET", url))["data"]["canary"]["state"] == "failed"


async def test_evidence_that_tells_no_task_is_skipped(stage: Any) -> None:
    for before in ("dropped", None, {"pools": []}, {"pools": [{"url": "p:1", "user": ""}]}):
        assert former_of("miner.pool.update", None, {"before": before}, Passwords({})) is None
    masked = {"url": "stratum+tcp://u:***@p:1", "user": "u", "password": ""}
    assert (
        former_of("miner.pool.update", None, {"before": {"pools": [masked]}}, Passwords({})) is None
    )
    assert (
        former_of("miner.light.update", None, {"before": {"light_on": None}}, Passwords({})) is None
    )


async def test_an_undo_of_miners_with_users_of_their_own_asks_the_database_about_many_at_once(
    stage: Any,
) -> None:
    number = 60
    rows = [
        {
            "id": f"{each:032x}", "farm_id": stage.farm, "workspace_id": stage.workspace, "agent_id": stage.agent,
            "identity": f"m{each}", "ip": f"10.9.0.{each}", "mac": f"02:00:00:00:09:{each:02X}",
            "created_at": stage.clock.now(), "updated_at": stage.clock.now(),
        }
        for each in range(number)
    ]  # fmt: skip
    async with stage.store.write() as connection:
        await connection.execute(tables.miners.insert(), rows)
    made = await stage.create(
        "miner.pool.update",
        miner_ids=[row["id"] for row in rows],
        params={"pools": [{"url": "stratum+tcp://p:1", "user": "u"}]},
    )
    batch_id = made["data"][0]["batch_id"]
    for index, task in enumerate((await stage.batch(batch_id))["tasks"]):
        slot = {"url": "stratum+tcp://old:1", "user": f"w.{index}", "password": ""}
        evidence = {"before": {"pools": [slot]}, "after": {}}
        await stage.settle(
            task["id"], "succeed", {"outcome": "done", "verified": True, "evidence": evidence}
        )
    asked: list[str] = []
    engine = stage.store.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    answer = await undo(stage, f"batches/{batch_id}")
    assert len(answer["data"]) == number
    assert len(asked) < number  # while they are asked, no agent's report is taken
    users = set()
    for batch in answer["data"]:
        [task] = (await stage.batch(batch["batch_id"]))["tasks"]
        users.add(task["params"]["pools"][0]["user"])
    assert users == {f"w.{index}" for index in range(number)}
