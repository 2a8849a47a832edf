"""What the books tell: the last asset status, who came back after a deletion, and what an agent last said of itself."""

from __future__ import annotations

from typing import Any

import pytest

from contract.link import Heartbeat

DAY_S = 86_400


async def item(stage: Any, number: int) -> dict[str, Any]:
    url = f"{stage.at_farm}/miner/latest?pageSize=100"
    found = (await stage.ask("GET", url, shape="ListMiners"))["data"]
    return next(each for each in found if each["id"] == stage.miners[number])


async def listed(stage: Any, query: str) -> set[str]:
    url = f"{stage.at_farm}/miner/latest?pageSize=100&{query}"
    return {each["id"] for each in (await stage.ask("GET", url, shape="ListMiners"))["data"]}


# --- the asset status ----------------------------------------------------------------------------


async def test_the_last_asset_status_is_told_beside_the_published_words(stage: Any) -> None:
    async def set_to(status: str) -> int:
        made = await stage.create("miner.asset.update", 1, params={"status": status})
        return int(made["meta"]["summary"]["created_count"])

    async def told() -> tuple[Any, ...]:
        found = await item(stage, 1)
        return tuple(found[n] for n in ("asset_status", "ops_status", "status", "lifecycle_status"))

    assert await told() == (None, None, "online", "online")
    assert await set_to("on_rack") == 1
    assert await told() == ("on_rack", None, "online", "online")
    assert await set_to("on_rack") == 0
    # The same to the published words, and another one all the same.
    assert await set_to("online") == 1
    assert await told() == ("online", None, "online", "online")
    assert await set_to("transit") == 1
    assert await told() == ("transit", "transit", "online", "transit")
    assert await set_to("transit") == 0
    assert await listed(stage, "asset_status=transit,on_rack") == {stage.miners[1]}
    url, body = f"{stage.at_farm}/miner/search", {"asset_status": {"in": ["transit"]}}
    found = await stage.ask("POST", url, json=body, shape="SearchMiners")
    assert [each["id"] for each in found["data"]] == [stage.miners[1]]


# --- what was deleted and comes back -------------------------------------------------------------


async def automated(stage: Any) -> list[dict[str, Any]]:
    url, body = f"{stage.at_farm}/tasks/search", {"actor_type": {"eq": "automation"}}
    batches: list[dict[str, Any]] = (
        await stage.ask("POST", url, json=body, shape="SearchTaskBatches")
    )["data"]
    return batches


async def test_a_deleted_miner_that_comes_back_says_so_in_an_event(
    stage: Any, readings: Any
) -> None:
    await stage.create("miner.asset.update", 2, params={"status": "maintenance"})
    await stage.create("miner.asset.delete", 1, 2, 3, params={"comment": "sold"})
    stage.clock.forward(30)
    await stage.look_at(*(readings.healthy(number) for number in (1, 2, 3, 4)))
    assert await automated(stage) == []  # it was never away: it stays deleted
    stage.clock.forward(2 * DAY_S)
    await stage.look_at(*(readings.healthy(number) for number in (1, 2, 3, 4)))
    batches = {each["task_params"]["status"]: each for each in await automated(stage)}
    assert {status: each["task_count"] for status, each in batches.items()} == {
        "online": 2,
        "maintenance": 1,
    }
    batch = batches["online"]
    assert (batch["task_name"], batch["status"]) == ("miner.asset.update", "succeed")
    assert "deleted" in batch["task_params"]["comment"]
    assert batch["created_by"]["type"] == "system"
    assert batch["created_by"]["metadata"] == {"agentId": stage.agent, "origin": "returned"}
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    task = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"][0]
    assert task["result"]["evidence"] == {
        "before": {"deleted_at": "2026-11-21T12:00:00Z"},
        "after": {"deleted_at": None},
    }
    assert task["createdAt"] == task["succeedAt"] == "2026-11-23T12:00:30Z"
    assert (await item(stage, 1))["asset_status"] == "online"
    assert (await item(stage, 2))["asset_status"] == "maintenance"
    # Said once.
    stage.clock.forward(30)
    await stage.look_at(readings.healthy(1))
    assert len(await automated(stage)) == 2


async def test_a_miner_known_by_its_address_alone_says_so_too(stage: Any, readings: Any) -> None:
    await stage.look_at(readings.healthy(9, mac=None, static=None))
    await stage.create("miner.asset.delete", 9)
    stage.clock.forward(30)
    await stage.look_at(readings.healthy(9, mac=None, static=None))
    [batch] = await automated(stage)
    assert batch["task_count"] == 1


async def test_a_record_that_was_put_away_for_a_mac_comes_back_without_an_event(
    stage: Any, readings: Any
) -> None:
    """Nobody deleted it: its miner tells its MAC, and then it does not."""
    nameless = readings.healthy(9, mac=None, static=None)
    for _ in range(3):
        stage.clock.forward(30)
        await stage.look_at(nameless)
        stage.clock.forward(30)
        await stage.look_at(readings.healthy(9))
    stage.clock.forward(30)
    await stage.look_at(nameless)
    assert await item(stage, 9)
    # All of it in one request, too, of miners that nobody knew.
    new = readings.healthy(19, mac=None, static=None)
    await stage.look_at(new, readings.healthy(19), new)
    assert await automated(stage) == []
    # One that an operator deletes says so, however often it went away before.
    await stage.create("miner.asset.delete", 9)
    stage.clock.forward(30)
    await stage.look_at(nameless)
    [batch] = await automated(stage)
    assert batch["task_count"] == 1


# --- batches and agents --------------------------------------------------------------------------


async def test_params_that_are_none_are_an_empty_object_in_lists_of_batches(stage: Any) -> None:
    made = await stage.create("miner.log.get", 1)
    assert made["data"][0]["task_params"] is None
    for method, path in (("POST", "tasks/search"), ("GET", "tasks/batches")):
        [batch] = (await stage.ask(method, f"{stage.at_farm}/{path}"))["data"]
        assert batch["task_params"] == {}


@pytest.mark.parametrize("every_s", [5, 15])
async def test_the_host_of_an_agent_is_as_young_as_its_heartbeat_however_often_it_claims(
    stage: Any, every_s: int
) -> None:
    headers = {"Authorization": f"Bearer {await stage.token()}"}

    async def call(path: str, body: dict[str, Any]) -> None:
        async with stage.http.post(f"{stage.url}/link/v1/{path}", json=body, headers=headers) as a:
            assert a.status == 200, await a.text()

    async def host() -> dict[str, Any]:
        [agent] = (await stage.ask("GET", f"{stage.base}/agents", shape="ListAgents"))["data"]
        assert agent["last_updated_at"] == agent["last_online_at"]
        found: dict[str, Any] = agent["host"] | {"uptime": agent["uptime"]}
        return found

    before = dict((await stage.stored_agent())["host"])
    for second in range(0, 240, every_s):
        await call("claims", {"journal_id": "j", "last_seq": 0, "wait_s": 0})
        beat = Heartbeat(version="v1", uptime_s=float(second), host=before | {"timestamp": second})
        await call("heartbeat", {n: getattr(beat, n) for n in ("version", "uptime_s", "host")})
        assert await host() == before | {"timestamp": second, "uptime": float(second)}
        stage.clock.forward(every_s)
    # And not far behind it in the database, for the next start.
    written = (await stage.stored_agent())["host"]["timestamp"]
    assert written >= 240 - 60 - every_s
