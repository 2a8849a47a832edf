"""One agent is updated first, then the others in turns; none after one that did not end done."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from cloud.context import WAKE_UPS
from cloud.store.schema.tables import audit
from contract.task import TaskName
from tests.cloud.conftest import Cloud
from tests.cloud.updates.fleet import (
    AFTER,
    BACK,
    BEFORE,
    DONE,
    UNKNOWN,
    Fleet,
    copied,
    fleet_of,
    served_from,
)


@pytest.fixture
async def fleet(cloud: Cloud) -> Fleet:
    return await fleet_of(cloud, 5)


async def test_one_goes_first_and_the_others_in_turns_once_it_is_proven(fleet: Fleet) -> None:
    group_id = await fleet.ordered(at_once=2)
    assert await fleet.state(group_id) == ("first", "pi-1 goes first; 4 wait for it")
    assert await fleet.turn() == {"pi-1"}
    assert await fleet.turn() == set()
    await fleet.end("pi-1", "succeed", DONE)
    pi_2 = fleet.agents["pi-2"]
    ticket = fleet.cloud.app[WAKE_UPS].ticket(pi_2.agent_id, pi_2.farm_id)
    assert await fleet.turn() == {"pi-2", "pi-3"}
    assert await fleet.cloud.app[WAKE_UPS].wait(pi_2.agent_id, ticket, 5.0)
    assert await fleet.state(group_id) == (
        "going",
        "1 of 5 agents are updated, 2 are under way, 2 wait for their turn",
    )
    await fleet.end("pi-3", "succeed", DONE)
    assert await fleet.turn() == {"pi-4"}
    await fleet.end("pi-2", "succeed", DONE)
    await fleet.end("pi-4", "succeed", DONE)
    assert await fleet.turn() == {"pi-5"}
    await fleet.end("pi-5", "succeed", DONE)
    assert await fleet.turn() == set()
    assert await fleet.state(group_id) == ("done", "All 5 agents are updated")
    shown = await fleet.shown(group_id)
    assert shown["update"]["status"] == "succeed"
    assert [each["is_first"] for each in shown["agents"]] == [True, False, False, False, False]
    assert {(str(each["before"]), str(each["after"])) for each in shown["agents"]} == {
        (str(BEFORE), str(AFTER))
    }


@pytest.mark.parametrize(
    ("state", "result", "words"),
    [
        ("failed", BACK, "failed (It did not reach its cloud within 300 s)"),
        ("failed", UNKNOWN, "failed (Nobody knows which release runs)"),
        ("timed_out", UNKNOWN, "timed_out (Nobody knows which release runs)"),
        ("succeed", {**DONE, "verified": False}, "succeed (it cannot be verified)"),
    ],
)
async def test_a_first_one_that_is_not_proven_stops_all_others(
    fleet: Fleet, state: str, result: dict[str, object], words: str
) -> None:
    group_id = await fleet.ordered()
    assert await fleet.turn() == {"pi-1"}
    await fleet.end("pi-1", state, result)
    for _ in range(2):
        assert await fleet.turn() == set()
    assert await fleet.state(group_id) == (
        "stopped",
        f"0 of 5 agents are updated; no other one follows, as pi-1 of farm-1 ended {words}",
    )
    shown = await fleet.shown(group_id)
    assert shown["update"]["held_count"] == shown["update"]["created_count"] == 0
    assert shown["update"]["cancelled_count"] == 4
    for each in shown["agents"][1:]:
        assert (each["status"], each["outcome"]) == ("cancelled", "not_done")
        assert f"the update stopped, as pi-1 of farm-1 ended {words}" in each["message"]
    async with fleet.cloud.store.read() as connection:
        query = sa.select(audit.c.action, audit.c.after).where(audit.c.target_id == group_id)
        told = {row.action: row.after for row in await connection.execute(query)}
    assert set(told) == {"agent.self.update", "update.stop"}
    assert told["agent.self.update"]["tasks"] == 5
    assert told["update.stop"]["reason"] == f"pi-1 of farm-1 ended {words}"
    assert told["update.stop"]["cancelled_count"] == 4


async def test_a_later_failure_stops_the_rest_and_what_has_begun_goes_to_its_end(
    fleet: Fleet,
) -> None:
    group_id = await fleet.ordered(at_once=3)
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    assert await fleet.turn() == {"pi-2", "pi-3", "pi-4"}
    await fleet.agents["pi-2"].tell("pending", fleet.cloud.clock.now())
    await fleet.end("pi-3", "failed", BACK)
    assert await fleet.turn() == set()
    assert await fleet.statuses(group_id) == {
        "pi-1": "succeed",
        "pi-2": "pending",
        "pi-3": "failed",
        "pi-4": "queuing",
        "pi-5": "cancelled",
    }
    # It was given to pi-4, which alone knows whether it has begun: it is asked to end it.
    [task] = fleet.agents["pi-4"].held
    assert fleet.agents["pi-4"].called_off == [task["task_id"]]
    await fleet.agents["pi-2"].tell("succeed", fleet.cloud.clock.now(), DONE)
    state, message = await fleet.state(group_id)
    assert state == "stopped"
    assert message.startswith("2 of 5 agents are updated, 1 still under way; no other one follows")
    await fleet.agents["pi-4"].tell("cancelled", fleet.cloud.clock.now(), {"outcome": "not_done"})
    assert await fleet.turn() == set()
    assert "pi-3 of farm-3 ended failed" in (await fleet.state(group_id))[1]


async def test_a_first_one_that_goes_offline_has_a_limit_and_then_all_others_end(
    fleet: Fleet,
) -> None:
    group_id = await fleet.ordered(first="pi-3", begin_within_s=600)
    clock, others = fleet.cloud.clock, dict(fleet.agents)
    del others["pi-3"]  # it never asks again
    rest = Fleet(fleet.cloud, others)
    clock.move(590)
    await rest.beat()
    assert await rest.turn() == set()
    assert (await fleet.state(group_id))[0] == "first"
    clock.move(20)
    await rest.beat()
    assert await rest.turn() == set()
    state, message = await fleet.state(group_id)
    assert state == "stopped"
    assert "pi-3 of farm-3 ended timed_out (No agent took the task" in message
    assert set((await fleet.statuses(group_id)).values()) == {"timed_out", "cancelled"}
    assert await fleet.agents["pi-3"].ask() == []  # when it comes back, it is too late


async def test_one_that_took_it_and_went_away_is_unknown_which_stops_too(fleet: Fleet) -> None:
    group_id = await fleet.ordered()
    assert await fleet.turn() == {"pi-1"}
    await fleet.agents["pi-1"].tell("pending", fleet.cloud.clock.now())
    settings = fleet.cloud.settings
    fleet.cloud.clock.move(settings.limit_s(TaskName.SELF_UPDATE) + settings.limit_grace_s + 1)
    del fleet.agents["pi-1"]
    await fleet.beat()
    assert await fleet.turn() == set()
    shown = await fleet.shown(group_id)
    assert (shown["agents"][0]["status"], shown["agents"][0]["outcome"]) == ("timed_out", "unknown")
    assert shown["update"]["state"] == "stopped"
    assert shown["update"]["cancelled_count"] == 4


async def test_those_that_are_offline_when_their_turn_comes_come_last(fleet: Fleet) -> None:
    group_id = await fleet.ordered()
    await fleet.turn()
    away = fleet.agents.pop("pi-2")
    await fleet.pass_time(100)
    await fleet.end("pi-1", "succeed", DONE)
    for name in ("pi-3", "pi-4", "pi-5"):
        assert await fleet.turn() == {name}
        await fleet.end(name, "succeed", DONE)
    assert await fleet.turn() == set()
    assert (await fleet.statuses(group_id))["pi-2"] == "queuing"
    assert len(await away.ask()) == 1  # it came back within its hour


async def test_an_operator_calls_it_off_between_two_turns(fleet: Fleet) -> None:
    group_id = await fleet.ordered()
    await fleet.turn()
    await fleet.agents["pi-1"].tell("pending", fleet.cloud.clock.now())
    answer = (await fleet.ask("POST", f"{fleet.path}/{group_id}/cancel"))["data"]
    assert (answer["cancelled_count"], answer["cancel_requested_count"]) == (4, 1)
    await fleet.agents["pi-1"].tell("succeed", fleet.cloud.clock.now(), DONE)
    assert await fleet.turn() == set()
    assert await fleet.state(group_id) == ("cancelled", "Called off; 1 of 5 agents are updated")
    again = (await fleet.ask("POST", f"{fleet.path}/{group_id}/cancel"))["data"]
    assert (again["cancelled_count"], again["cancel_requested_count"]) == (0, 0)


async def test_the_batch_of_one_farm_that_is_called_off_stops_it_too(fleet: Fleet) -> None:
    group_id = await fleet.ordered()
    shown = await fleet.shown(group_id)
    batch = next(each for each in shown["agents"] if each["name"] == "pi-4")
    base = f"/private-api/v1/{fleet.cloud.workspace_id}/farms/{batch['farm_id']}"
    await fleet.ask("POST", f"{base}/tasks/batches/{batch['batch_id']}/cancel")
    assert await fleet.turn() == set()  # the first one had not been given its own yet
    state, message = await fleet.state(group_id)
    assert state == "stopped"
    assert "pi-4 of farm-4 ended cancelled" in message


async def test_fifty_agents_ten_at_a_time(cloud: Cloud) -> None:
    fleet = await fleet_of(cloud, 50)
    group_id = await fleet.ordered(at_once=10)
    sizes = []
    while given := await fleet.turn():
        sizes.append(len(given))
        for name in sorted(given):
            await fleet.end(name, "succeed", DONE)
    assert sizes == [1, 10, 10, 10, 10, 9]
    assert await fleet.state(group_id) == ("done", "All 50 agents are updated")
    assert await cloud.count_tasks(name="agent.self.update", status="succeed") == 50


async def test_after_a_restart_nobody_follows_before_all_have_told_what_they_know(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    group_id = await fleet.ordered()
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    data = copied(fleet.cloud, tmp_path_factory.mktemp("again") / "data")
    async with served_from(fleet, data) as again:
        silent = again.agents.pop("pi-5")
        for _ in range(2):
            assert await again.turn() == set()
        await silent.ask()
        assert await again.turn() == {"pi-2"}
        assert (await again.state(group_id))[0] == "going"


async def test_one_that_never_tells_holds_the_others_up_no_longer_than_an_update_takes(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await fleet.ordered()
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    data = copied(fleet.cloud, tmp_path_factory.mktemp("again") / "data")
    async with served_from(fleet, data) as again:
        del again.agents["pi-5"]
        again.cloud.clock.move(again.cloud.settings.limit_s(TaskName.SELF_UPDATE) - 10)
        assert await again.turn() == set()
        again.cloud.clock.move(20)
        assert await again.turn() == {"pi-2"}


async def test_one_that_is_called_off_before_it_is_heard_of_again_is_not_let_go(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    group_id = await fleet.ordered(at_once=5)
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    data = copied(fleet.cloud, tmp_path_factory.mktemp("again") / "data")
    async with served_from(fleet, data) as again:
        shown = (await again.shown(group_id))["agents"]
        [batch] = [each for each in shown if each["name"] == "pi-4"]
        base = f"/private-api/v1/{again.cloud.workspace_id}/farms/{batch['farm_id']}"
        await again.ask("POST", f"{base}/tasks/batches/{batch['batch_id']}/cancel")
        silent = again.agents.pop("pi-4")
        await again.pass_time(again.cloud.settings.limit_s(TaskName.SELF_UPDATE) + 20)
        assert await again.turn() == {"pi-2", "pi-3", "pi-5"}
        assert (await again.statuses(group_id))["pi-4"] == "created"
        assert await silent.ask() == []
        assert (await again.statuses(group_id))["pi-4"] == "cancelled"
        assert (await again.state(group_id))[0] == "stopped"


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_database_put_back_from_a_copy_lets_nobody_go_beside_one_that_has_begun(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, has_ended: bool
) -> None:
    group_id = await fleet.ordered()
    await fleet.turn()
    await fleet.end("pi-1", "succeed", DONE)
    data = copied(fleet.cloud, tmp_path_factory.mktemp("again") / "data")
    # What happens from here on is in no copy.
    assert await fleet.turn() == {"pi-2"}
    if has_ended:
        await fleet.end("pi-2", "failed", BACK)
    else:
        await fleet.agents["pi-2"].tell("pending", fleet.cloud.clock.now())
    async with served_from(fleet, data) as again:
        assert (await again.statuses(group_id))["pi-2"] == "created"
        given = [await again.turn() for _ in range(3)]
        assert given == [set(), set(), set()]
        if has_ended:
            state, message = await again.state(group_id)
            assert state == "stopped"
            assert "pi-2 of farm-2 ended failed (It did not reach" in message
        else:
            assert (await again.statuses(group_id))["pi-2"] == "pending"
            await again.agents["pi-2"].tell("succeed", again.cloud.clock.now(), DONE)
            assert await again.turn() == {"pi-3"}
