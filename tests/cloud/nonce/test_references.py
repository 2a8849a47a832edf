"""A miner is meant by its id, address, MAC, serial number or name; one farm, agent, miner is answered by itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from cloud.store.schema.tables import miners

FOUR = (
    "10.0.0.4",
    "02-00-00-00-00-04",
    "020000000004",
    "SN4",
    "sn4",
    "Old Faithful",
    "old faithful",
)


async def called(stage: Any, number: int, name: str | None, status: int = 200) -> Any:
    url = f"{stage.at_farm}/miners/{stage.miners[number]}/name"
    return await stage.ask("POST", url, json={"name": name}, status=status)


async def test_a_miner_is_found_by_all_that_it_is_called(stage: Any) -> None:
    await called(stage, 4, "Old Faithful")
    for reference in (stage.miners[4], *FOUR):
        url = f"{stage.at_farm}/miners/{quote(reference)}"
        item = (await stage.ask("GET", url))["data"]
        assert (item["id"], item["name"]) == (stage.miners[4], "Old Faithful"), reference
        assert (await stage.ask("GET", f"{url}/tasks", shape="ListMinerTasks"))["data"] == []
    listed = await stage.ask("GET", f"{stage.at_farm}/miner/latest", shape="ListMiners")
    assert listed["data"][3] == item
    await stage.ask("GET", f"{stage.at_farm}/miners/10.0.0.99", status=404)
    await stage.ask("GET", f"{stage.at_farm}/miners/{'0' * 32}", status=404)


async def test_a_batch_takes_whatever_miners_are_called_and_each_miner_once(stage: Any) -> None:
    await called(stage, 4, "Old Faithful")
    made = await stage.ask(
        "POST", f"{stage.at_farm}/tasks/batches", shape="CreateTaskBatch",
        json={"task_name": "miner.log.get", "miner_ids": [stage.miners[4], *FOUR, "10.0.0.2", "nobody"]},
    )  # fmt: skip
    batch = await stage.batch(made["data"][0]["batch_id"])
    assert {task["miner_id"] for task in batch["tasks"]} == {stage.miners[4], stage.miners[2]}
    assert len(batch["tasks"]) == 2
    [skip] = made["meta"]["skipped"]
    assert (skip["reason"], skip["miner_ids"]) == ("miner_not_found", ["nobody"])
    updates = [
        {"miner_id": "sn1", "rack": "R", "position": 1},
        {"miner_id": "10.0.0.1", "rack": "S", "position": 1},
    ]
    body = {"task_name": "miner.rack_location.update", "updates": updates}
    url = f"{stage.at_farm}/tasks/batches"
    refusal = await stage.ask("POST", url, json=body, status=400)
    assert refusal["message"] == "updates names a miner more than once"
    await stage.ask("POST", url, json={**body, "updates": updates[:1]}, shape="CreateTaskBatch")
    assert (await stage.ask("GET", f"{stage.at_farm}/miners/SN1"))["data"]["rack"] == "R"


async def test_what_two_miners_are_called_is_refused_with_both(stage: Any, readings: Any) -> None:
    stage.clock.forward(1)
    static = readings.healthy(2).static
    await stage.look_at(readings.healthy(3, static=msgspec.structs.replace(static, mac=None)))
    await called(stage, 1, "SN2")  # also the serial number of two others
    for reference, count in (("SN2", 3), ("sn2", 3)):
        refusal = await stage.ask("GET", f"{stage.at_farm}/miners/{reference}", status=409)
        assert refusal["message"].startswith(f"{reference} is {count} miners: 10.0.0.1 SN2 02:")
        assert refusal["message"].endswith(f"{stage.miners[3]}. Give one of their ids")
        body = {"task_name": "miner.log.get", "miner_ids": [stage.miners[5], reference]}
        url = f"{stage.at_farm}/tasks/batches"
        assert (await stage.ask("POST", url, json=body, status=400))["message"] == refusal[
            "message"
        ]
    assert await stage.count("tasks") == 0


async def test_a_name_belongs_to_one_miner_of_a_farm(stage: Any) -> None:
    await called(stage, 1, "  Spare ")
    refusal = await called(stage, 2, "SPARE", status=409)
    assert refusal["message"] == "name: the miner at 10.0.0.1 is called SPARE"
    await called(stage, 1, "spare")
    await called(stage, 1, None)
    await called(stage, 2, "SPARE")
    for name in ("10.0.0.7", "02:00:00:00:00:07", "A" * 32):
        refusal = await called(stage, 3, name, status=409)
        assert refusal["message"].endswith("reads as an id, an address or a MAC; take another")
    for bad, words in (
        ("", "name: must not be empty"),
        ("x" * 65, "name: must have at most 64 characters"),
        ("a\nb", "name: must hold no control characters"),
    ):
        assert (await called(stage, 3, bad, status=400))["message"] == words
    await stage.ask(
        "POST", f"{stage.at_farm}/miners/10.0.0.99/name", json={"name": "x"}, status=404
    )


async def test_one_farm_and_one_agent_are_answered_as_the_lists_show_them(stage: Any) -> None:
    for path, id_ in (("farms", stage.farm), ("agents", stage.agent)):
        listed = (await stage.ask("GET", f"{stage.base}/{path}"))["data"]
        [item] = [each for each in listed if each["id"] == id_]
        assert (await stage.ask("GET", f"{stage.base}/{path}/{id_}"))["data"] == item
        await stage.ask("GET", f"{stage.base}/{path}/nobody", status=404)
    await stage.ask("GET", f"{stage.base}/farms/{stage.other_farm}", status=404)


@pytest.mark.parametrize("reference", ["10.0.0.1", "SN1"])
async def test_what_is_off_the_lists_is_meant_by_its_id_alone(stage: Any, reference: str) -> None:
    await stage.create("miner.asset.delete", 1)
    await stage.ask("GET", f"{stage.at_farm}/miners/{reference}", status=404)
    await stage.ask("GET", f"{stage.at_farm}/miners/{stage.miners[1]}", status=404)
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    assert len((await stage.ask("GET", url, shape="ListMinerTasks"))["data"]) == 1
    made = await stage.create("miner.record.delete", 1)
    assert made["meta"]["summary"]["created_count"] == 1


async def test_a_miner_of_another_farm_is_meant_by_nothing(stage: Any) -> None:
    foreign = "f" * 32
    async with stage.store.write() as connection:
        await connection.execute(
            miners.insert().values(
                id=foreign, farm_id=stage.other_farm, workspace_id=stage.other_workspace, identity="i",
                ip="10.0.0.77", ip_number=(10 << 24) + 77, mac="02:00:00:00:00:77", name="theirs",
                created_at=stage.clock.now(), updated_at=stage.clock.now(),
            )
        )  # fmt: skip
    for reference in (foreign, "10.0.0.77", "02:00:00:00:00:77", "theirs"):
        await stage.ask("GET", f"{stage.at_farm}/miners/{reference}", status=404)
        made = await stage.create("miner.log.get", miner_ids=[reference])
        assert made["meta"]["skipped"][0]["reason"] == "miner_not_found"
        updates = [{"miner": reference, "rack": "A"}]
        url = f"{stage.at_farm}/miners/places"
        refusal = await stage.ask("POST", url, json={"updates": updates}, status=400)
        assert refusal["message"].endswith("no miner of this farm is called so")


async def test_a_name_is_one_name_however_its_letters_are_written(stage: Any) -> None:
    composed, decomposed = "Halle \u00c4 7", "Halle A\u0308 7"
    await called(stage, 4, decomposed)
    for reference in (composed, decomposed, "halle \u00e4 7", " halle a\u0308 7"):
        url = f"{stage.at_farm}/miners/{quote(reference)}"
        item = (await stage.ask("GET", url))["data"]
        assert (item["id"], item["name"]) == (stage.miners[4], composed), reference
    refusal = await called(stage, 3, composed.lower(), status=409)
    assert "the miner at 10.0.0.4 is called" in refusal["message"]
