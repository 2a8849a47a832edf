"""Who gets an update, who goes first, who is skipped and why; who may order it; what the cloud shows of its agents."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.store.access import admin
from cloud.store.schema.tables import farms
from cloud.updates.choice import Candidate, chosen_of
from cloud.updates.newest import newer_than
from contract.roles import Role
from contract.subscription.dispatch import DispatchPolicy
from contract.task import TaskName
from tests.cases import case
from tests.cloud.conftest import Cloud
from tests.cloud.updates.fleet import DONE, Fleet, fleet_of

AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
async def fleet(cloud: Cloud) -> Fleet:
    return await fleet_of(cloud, 4)


def candidate(number: int, **changes: Any) -> Candidate:
    base: dict[str, Any] = {
        "id": f"a{number}", "name": f"pi-{number}", "farm_id": f"f{number}", "farm_name": "North",
        "version": "v0.2.0", "release": "a" * 64, "created_at": AT + timedelta(days=number),
        "is_online": True, "is_updating": False, "has_notices": False, "open_tasks": 0, "miners": 10,
        "newest": None, "is_newest_known": False,
    }  # fmt: skip
    return Candidate(**base | changes)


@pytest.mark.parametrize(
    ("others", "first"),
    [
        ([{}, {}], "pi-0"),  # the oldest, where nothing tells them apart
        ([{"has_notices": True}, {}], "pi-1"),
        ([{"open_tasks": 3}, {"open_tasks": 2}], "pi-1"),
        ([{"miners": 9}, {"miners": 8}], "pi-1"),
        ([{"has_notices": True}, {"open_tasks": 9}], "pi-1"),
        # One that runs the newest already would prove nothing.
        (
            [{"is_newest_known": True}, {"is_newest_known": True, "newest": "1", "miners": 99}],
            "pi-1",
        ),
    ],
)
def test_the_one_that_is_well_and_does_least_goes_first(
    others: list[dict[str, Any]], first: str
) -> None:
    agents = [candidate(number, **changes) for number, changes in enumerate(others)]
    assert chosen_of(agents, None, None).chosen[0].name == first
    assert chosen_of(agents, None, "a0").chosen[0].name == "pi-0"  # whoever is named


@pytest.mark.parametrize(
    ("changes", "target", "reason"),
    [
        ({"is_online": False}, None, "agent_offline"),
        ({"release": None}, None, "unsupported_agent"),
        ({"release": ""}, None, "unsupported_agent"),
        ({"is_updating": True}, None, "no_change"),
        ({}, "0.2.0", "no_change"),
        ({}, "0.2", "no_change"),
        ({}, "0.1.9", "no_change"),
        ({}, "0.2.0rc1", "no_change"),
        ({}, "0.2.1", None),
        ({"version": "of its own"}, "0.2.0", None),
        ({"version": None}, "0.2.0", None),
    ],
)
def test_who_is_skipped_is_told_with_the_reason(
    changes: dict[str, Any], target: str | None, reason: str | None
) -> None:
    choice = chosen_of([candidate(1, **changes)], target, None)
    assert [skip.reason for skip in choice.skipped] == ([] if reason is None else [reason])
    if reason is not None:
        [skip] = choice.skipped
        assert skip.agent_ids == ["a1"]
        assert skip.message.startswith("Task skipped: ")
        assert skip.message.endswith("pi-1 (v0.2.0)")
        with pytest.raises(ValueError, match=r"pi-1 \(v0.2.0\) cannot go first, "):
            chosen_of([candidate(1, **changes)], target, "a1")


def test_of_many_that_are_skipped_some_are_named_and_all_are_counted() -> None:
    agents = [candidate(number, release=None) for number in range(25)]
    [skip] = chosen_of(agents, None, None).skipped
    assert len(skip.agent_ids or ()) == 25
    assert skip.message.endswith("pi-19 (v0.2.0) and 5 more")


@pytest.mark.parametrize(
    ("version", "newest", "newer"),
    [
        ("v0.2.0", {"stable": "0.3.0"}, "0.3.0"),
        ("v0.3.0", {"stable": "0.3.0"}, None),
        ("v0.2.0", {"stable": "0.3.0", "canary": "0.4.0"}, "0.3.0"),
        ("v0.3.0", {"stable": "0.3.0", "canary": "0.4.0"}, None),
        ("v0.4.0rc1", {"stable": "0.3.0", "canary": "0.4.0"}, "0.4.0"),
        ("v0.4.0", {"stable": "0.3.0", "canary": "0.4.0"}, None),
        ("v0.2.0", {"canary": "0.4.0"}, "0.4.0"),
        ("v0.2.0", {}, None),
        ("of its own", {"stable": "0.3.0"}, None),
        (None, {"stable": "0.3.0"}, None),
    ],
)
def test_an_agent_is_behind_the_newest_of_its_channel(
    version: str | None, newest: dict[str, str], newer: str | None
) -> None:
    assert newer_than(version, newest) == newer


async def test_a_dry_run_tells_who_would_be_updated_and_stores_nothing(fleet: Fleet) -> None:
    pi_2, pi_3 = fleet.agents["pi-2"], fleet.agents["pi-3"]
    pi_2.release = None
    await pi_2.beat()
    await admin.create_agent(fleet.cloud.store, pi_2.farm_id, "never enrolled", AT)
    before = await fleet.cloud.changes()
    plan = await fleet.plan(params={"target_version": "0.3.0"}, first="pi-3", at_once=5)
    assert await fleet.cloud.changes() == before
    assert (plan["count"], plan["created_count"], plan["skipped_count"]) == (4, 3, 1)
    assert [each["name"] for each in plan["agents"]] == ["pi-3", "pi-1", "pi-4"]
    assert plan["first_agent_id"] == pi_3.agent_id
    assert plan["agents"][0] == {
        "id": pi_3.agent_id, "name": "pi-3", "farm_id": pi_3.farm_id, "farm_name": "farm-3",
        "version": "v0.2.0", "release": "a" * 64,
    }  # fmt: skip
    assert plan["skipped"][0]["agent_ids"] == [pi_2.agent_id]
    assert "no release of its own" in plan["skipped"][0]["message"]
    assert plan["task_params"] == {"target_version": "0.3.0"}
    assert (plan["at_once"], plan["begin_within_s"]) == (5, 3600)


async def test_old_and_unmanaged_and_absent_agents_are_left_out_of_the_order(fleet: Fleet) -> None:
    fleet.cloud.clock.move(60)
    for name in ("pi-1", "pi-2", "pi-3"):
        fleet.agents[name].release = None if name == "pi-2" else "a" * 64
        await fleet.agents[name].beat()
    fleet.cloud.clock.move(60)  # and nothing of pi-4
    answer = await fleet.order()
    assert answer["meta"]["summary"] == {"created_count": 2, "skipped_count": 2}
    assert {skip["reason"] for skip in answer["meta"]["skipped"]} == {
        "agent_offline",
        "unsupported_agent",
    }
    assert len(answer["data"]) == 2  # a batch of each farm
    assert await fleet.cloud.count_tasks(name="agent.self.update") == 2
    await fleet.beat()
    again = await fleet.order(agent_ids=["pi-1", "pi-3"], expect_count=None)
    assert again["data"] == []
    assert "group_id" not in again["meta"]
    assert [skip["reason"] for skip in again["meta"]["skipped"]] == ["no_change"]
    assert len(again["meta"]["skipped"][0]["agent_ids"]) == 2


async def test_the_agents_of_some_farms_or_some_that_are_named_are_meant(fleet: Fleet) -> None:
    farm_id = fleet.agents["pi-2"].farm_id
    plan = await fleet.plan(farm_ids=[farm_id])
    assert [each["name"] for each in plan["agents"]] == ["pi-2"]
    pi_4 = fleet.agents["pi-4"].agent_id
    plan = await fleet.plan(agent_ids=["pi-3", pi_4, "pi-4"])
    assert [each["name"] for each in plan["agents"]] == ["pi-3", "pi-4"]


REFUSED: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"expect_count": 3}, 409, "4 agents are meant now, and expect_count is 3"),
    ({"expect_count": None}, 400, "expect_count is required unless agent_ids names them"),
    ({"agent_ids": ["pi-1"], "farm_ids": ["x"]}, 400, "agent_ids and farm_ids both say"),
    ({"agent_ids": ["pi-9"]}, 400, "agent_ids: no agents that are meant have the id or name pi-9"),
    ({"farm_ids": ["x"]}, 400, "farm_ids: no farm of this workspace is x"),
    ({"first": "pi-9"}, 400, "first: no agents that are meant have the id or name pi-9"),
    ({"agent_ids": ["pi-1"], "first": "pi-2"}, 400, "first: no agents that are meant"),
    (
        {"first": "pi-1", "params": {"target_version": "0.2.0"}},
        409,
        "first: pi-1 (v0.2.0) cannot go first",
    ),
    ({"params": {"binary_url": "https://x.test/a"}}, 400, "params: signature is required"),
    ({"params": {"version": "1"}}, 400, "params.version"),
    ({"at_once": 0}, 400, "at_once"),
    ({"at_once": 101}, 400, "at_once"),
    ({"begin_within_s": 59}, 400, "begin_within_s"),
    ({"begin_within_s": 86_401}, 400, "begin_within_s"),
    ({"agent_ids": []}, 400, "agent_ids"),
    ({"canary": 1}, 400, "canary"),
)


async def test_an_order_that_cannot_be_meant_so_is_refused_and_stores_nothing(fleet: Fleet) -> None:
    for body, status, message in REFUSED:
        with case(body):
            answer = await fleet.order(status=status, **body)
            told = answer["message"]
            assert str(told if isinstance(told, str) else told[0]).startswith(message)
    assert await fleet.cloud.count_tasks() == 0


async def test_another_workspace_has_no_say_and_sees_nothing(fleet: Fleet) -> None:
    group_id = await fleet.ordered()
    cloud = fleet.cloud
    other = await admin.create_workspace(cloud.store, "W2", AT)
    farm = await admin.create_farm(cloud.store, other["id"], "F2", AT)
    _, key = await admin.create_key(cloud.store, other["id"], "K2", AT)
    there = Fleet(replace(cloud, workspace_id=other["id"], key=key), fleet.agents)
    assert (await there.ask("GET", there.path))["data"] == []
    await there.ask("GET", f"{there.path}/{group_id}", status=404)
    await there.ask("POST", f"{there.path}/{group_id}/cancel", status=404)
    await there.order(status=400, agent_ids=["pi-1"])
    await fleet.order(status=400, farm_ids=[farm["id"]])
    await there.ask("GET", f"{fleet.path}/{group_id}", status=403)
    assert (await there.order(expect_count=0))["data"] == []


async def test_a_manager_orders_an_operator_calls_off_and_a_viewer_looks(fleet: Fleet) -> None:
    viewer, operator = await fleet.key_of(Role.VIEWER), await fleet.key_of(Role.OPERATOR)
    for key in (viewer, operator):
        refusal = await fleet.ask("POST", fleet.path, {"dry_run": True}, status=403, key=key)
        assert refusal["message"].endswith("needs a manager")
    group_id = await fleet.ordered()
    for path in (fleet.path, f"{fleet.path}/{group_id}"):
        await fleet.ask("GET", path, key=viewer)
    await fleet.ask("POST", f"{fleet.path}/{group_id}/cancel", status=403, key=viewer)
    await fleet.ask("POST", f"{fleet.path}/{group_id}/cancel", key=operator)
    told = await fleet.ask("GET", f"/private-api/v1/{fleet.cloud.workspace_id}/audit")
    actions = [each["action"] for each in told["data"] if each["target_id"] == group_id]
    assert actions == ["update.cancel", "agent.self.update"]


async def test_updates_are_listed_newest_first_and_stand_in_no_list_of_a_farm(
    fleet: Fleet,
) -> None:
    older = await fleet.ordered(agent_ids=["pi-1"], expect_count=None)
    fleet.cloud.clock.move(1)
    newer = await fleet.ordered(agent_ids=["pi-2", "pi-3"], expect_count=None)
    listed = await fleet.ask("GET", f"{fleet.path}?pageSize=1")
    assert [each["group_id"] for each in listed["data"]] == [newer]
    assert listed["pagination"]["total"] == 2
    assert {each["group_id"] for each in (await fleet.ask("GET", fleet.path))["data"]} == {
        older,
        newer,
    }
    farm = f"/private-api/v1/{fleet.cloud.workspace_id}/farms/{fleet.agents['pi-2'].farm_id}"
    assert (await fleet.ask("GET", f"{farm}/tasks/groups"))["data"] == []
    await fleet.ask("POST", f"{farm}/tasks/groups/{newer}/release", status=404)
    # Its batches are those of any order.
    [batch] = (await fleet.ask("GET", f"{farm}/tasks/batches"))["data"]
    assert batch["metadata"]["group_id"] == newer


async def test_a_password_in_the_address_of_a_bundle_is_shown_nowhere_and_goes_with_the_end(
    fleet: Fleet,
) -> None:
    url = "https://me:hunter2@files.example.com/bundle.tar"
    group_id = await fleet.ordered(params={"binary_url": url, "signature": "s"})
    shown = await fleet.shown(group_id)
    listed = await fleet.ask("GET", fleet.path)
    told = await fleet.ask("GET", f"/private-api/v1/{fleet.cloud.workspace_id}/audit")
    assert "hunter2" not in json.dumps([shown, listed, told])
    await fleet.turn()
    [task] = fleet.agents["pi-1"].held
    assert task["params"]["binary_url"] == url
    await fleet.end("pi-1", "succeed", DONE)
    await fleet.ask("POST", f"{fleet.path}/{group_id}/cancel")
    async with fleet.cloud.store.read() as connection:
        for table in ("tasks", "task_batches", "task_groups"):
            found = (await connection.exec_driver_sql(f"SELECT params FROM {table}")).all()
            assert found
            assert "hunter2" not in str(found)


async def test_what_each_agent_runs_is_shown_as_it_said_last(fleet: Fleet) -> None:
    pi_1, path = fleet.agents["pi-1"], f"/private-api/v1/{fleet.cloud.workspace_id}/agents"
    pi_1.version, pi_1.release = "v0.3.0", "b" * 64
    await pi_1.beat()
    shown = (await fleet.ask("GET", f"{path}/{pi_1.agent_id}"))["data"]
    assert (shown["version"], shown["release"]) == ("v0.3.0", "b" * 64)
    assert shown["newer_version"] is None  # this cloud has no releases of its own
    stored = await admin.list_agents(fleet.cloud.store, fleet.cloud.workspace_id)
    assert {each["name"]: each["release"] for each in stored}["pi-1"] == "b" * 64
    listed = await fleet.ask("GET", path)
    assert {each["release"] for each in listed["data"]} == {"a" * 64, "b" * 64}


async def test_the_batch_of_one_agent_says_what_was_before_and_after(fleet: Fleet) -> None:
    group_id = await fleet.ordered(agent_ids=["pi-1"], expect_count=None)
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    [each] = (await fleet.shown(group_id))["agents"]
    farm = f"/private-api/v1/{fleet.cloud.workspace_id}/farms/{each['farm_id']}"
    batch = (await fleet.ask("GET", f"{farm}/tasks/batches/{each['batch_id']}"))["data"]
    assert batch["task_name"] == TaskName.SELF_UPDATE
    assert batch["tasks"][0]["result"] == DONE


async def test_what_subscriptions_hold_back_says_so_and_has_the_same_limit(fleet: Fleet) -> None:
    pi_1 = fleet.agents["pi-1"]
    async with fleet.cloud.store.write() as connection:
        await connection.execute(
            farms.update()
            .where(farms.c.id == pi_1.farm_id)
            .values(dispatch_policy=DispatchPolicy.SUBSCRIBED)
        )
    group_id = await fleet.ordered(first="pi-1", begin_within_s=60)
    assert await fleet.turn() == set()
    shown = await fleet.shown(group_id)
    assert [each["held_reason"] for each in shown["agents"]] == ["not_subscribed", None, None, None]
    await fleet.pass_time(fleet.cloud.settings.limit_grace_s + 90)
    assert await fleet.turn() == set()
    assert (await fleet.state(group_id))[0] == "stopped"
