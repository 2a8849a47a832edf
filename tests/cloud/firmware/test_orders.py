"""Tasks that name an image: which it is, whom it is for, and the link that an agent is handed."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from cloud.context import TIME
from cloud.store.access import admin
from contract.hiding import hidden
from contract.task import TaskName, parse_params
from tests.cloud.conftest import AgentClient, Cloud, done
from tests.cloud.firmware.shelf import DATA, IMAGE, SHA, Shelf, miner, shelf_of

QUEUE_AND_LIMIT_S = 86_400 + 3600


async def fetch(cloud: Cloud, url: str) -> tuple[int, bytes]:
    async with cloud.http.get(url) as response:
        return response.status, await response.read()


async def end(
    cloud: Cloud, agent: AgentClient, task: Any, state: str = "succeed", **result: Any
) -> None:
    at = cloud.clock.now()
    pending = agent.event(task, "pending", at)
    await agent.report(pending, agent.event(task, state, at, result=done() | result))


async def handed(cloud: Cloud, shelf: Shelf, **params: Any) -> tuple[AgentClient, Any]:
    """An agent with the one task of an order from the library."""
    agent = await cloud.agent()
    await shelf.order(await miner(cloud, agent.agent_id), **params)
    (task,) = (await agent.claim())["tasks"]
    return agent, task


async def test_an_agent_is_handed_an_address_and_never_a_name(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add(version="2025.03")
    _, task = await handed(cloud, shelf, allow_maintenance=True)
    url = task["params"].pop("firmware_url")
    assert task["params"] == {
        "sha256": SHA,
        "target_version": "2025.03",
        "allow_maintenance": True,
    }
    assert url.startswith(f"{cloud.base}/firmware/{cloud.workspace_id}/{SHA}/s19.bmu?expires=")
    assert await fetch(cloud, url) == (200, DATA)
    parse_params(TaskName.FIRMWARE, {"firmware_url": url, "sha256": SHA})


async def test_a_published_address_is_handed_out_as_it_was_given(cloud: Cloud):
    agent = await cloud.agent()
    params = {"firmware_url": "https://files.test/a.bmu?sig=1"}
    shelf = shelf_of(cloud)
    path = f"/farms/{cloud.farm_id}/tasks/batches"
    order = {
        "task_name": "miner.firmware.update",
        "miner_ids": [await miner(cloud, agent.agent_id)],
        "params": params,
    }
    await shelf.ask("POST", path, json=order)
    (task,) = (await agent.claim())["tasks"]
    assert task["params"] == params


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"firmware_url": "https://a/b"}, "give one of firmware_url and firmware"),
        ({"firmware": "s19-2024"}, "s19-2024 is not in the library; did you mean s19-2025?"),
        ({"firmware": "w"}, "w is not in the library; `miner-cloud firmware list` shows what is"),
        ({"firmware": ""}, "must not be empty"),
    ],
)
async def test_an_order_names_one_image_that_is_there(
    cloud: Cloud, params: dict[str, Any], said: str
):
    shelf = shelf_of(cloud)
    await shelf.add()
    assert said in str(await shelf.order(await miner(cloud, None), status=400, **params))


async def test_an_image_of_another_workspace_is_none_of_ours(cloud: Cloud):
    there = await admin.create_workspace(cloud.store, "other", cloud.clock.now())
    _, key = await admin.create_key(cloud.store, there["id"], "K", cloud.clock.now())
    await Shelf(cloud, key, there["id"]).add()
    words = await shelf_of(cloud).order(await miner(cloud, None), status=400)
    assert "s19-2025 is not in the library" in words


async def test_what_is_not_whole_or_not_that_file_is_not_ordered(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.announce()
    meant = await miner(cloud, None)
    assert "is not uploaded whole" in await shelf.order(meant, status=409)
    await shelf.put()
    assert f"its sha256 is {SHA}" in await shelf.order(meant, sha256="0" * 64, status=409)
    shelf.file().write_bytes(DATA[:-1])
    assert "is damaged on the cloud's disk" in await shelf.order(meant, status=409)
    shelf.file().unlink()
    assert "is damaged on the cloud's disk" in await shelf.order(meant, status=409)
    assert await cloud.count_tasks() == 0


@pytest.mark.parametrize(
    ("make", "model", "is_meant"),
    [
        ("Bitmain", "Antminer S19", True),
        ("Bitmain", "antminer s19 pro", True),
        ("Bitmain", "Antminer S21", False),
        ("Bitmain", "Antminer T[1]", True),
        ("Bitmain", "Antminer T1", False),
        ("Bitmain", None, False),
        ("MicroBT", "S19", False),
        (None, "Antminer S19", False),
    ],
)
async def test_an_image_goes_to_the_models_that_it_is_for(
    cloud: Cloud, make: str | None, model: str | None, is_meant: bool
):
    shelf = shelf_of(cloud)
    await shelf.add(models=["S19*", "T[1]"])
    meant = await miner(cloud, None, make=make, model=model)
    for more in ({"dry_run": True}, {}):
        answer = await shelf.order(meant, more=more)
        told = answer["data"] if more else answer["meta"]
        skipped = told["skipped"]
        assert [each["reason"] for each in skipped] == ([] if is_meant else ["unsupported_model"])
        if not is_meant:
            shown = model or "none is known"
            words = f"Task skipped: s19-2025 is not for this model ({shown})"
            assert skipped[0]["message"] == words
    assert await cloud.count_tasks() == is_meant


async def test_an_equal_order_that_is_open_is_not_made_twice(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    meant = await miner(cloud, (await cloud.agent()).agent_id)
    await shelf.order(meant)
    (skip,) = (await shelf.order(meant))["meta"]["skipped"]
    assert (skip["reason"], skip["message"][:35]) == (
        "no_change",
        "Task skipped: an equal task is open",
    )


async def test_an_image_that_open_tasks_need_stays(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    await shelf.add(b"another", name="other")
    agent, task = await handed(cloud, shelf)
    words = "1 open tasks need s19-2025: wait for them, or cancel them first"
    assert await shelf.remove(status=409) == words
    await shelf.remove("other")
    await end(cloud, agent, task)
    await shelf.remove()


async def test_a_retry_is_of_the_same_file_and_needs_it(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add(version="2025.03")
    agent, task = await handed(cloud, shelf)
    await end(cloud, agent, task, "failed", outcome="not_done")
    path = f"/farms/{cloud.farm_id}/tasks/batches/{task['batch_id']}/retry"
    await shelf.remove()
    words = await shelf.ask("POST", path, status=400)
    assert "s19-2025 is not in the library" in words
    await shelf.add(b"another file of that name")
    assert "is another file in the library now" in await shelf.ask("POST", path, status=409)
    await shelf.remove()
    await shelf.add()
    await shelf.ask("POST", path)
    (again,) = (await agent.claim())["tasks"]
    assert again["params"]["sha256"] == SHA
    assert again["params"]["target_version"] == "2025.03"


async def test_a_group_by_selection_with_a_canary_is_of_one_image(cloud: Cloud):
    shelf, agent = shelf_of(cloud), await cloud.agent()
    await shelf.add()
    for number in range(3):
        await miner(cloud, agent.agent_id, ip=f"127.1.0.{number}")
    await miner(cloud, agent.agent_id, model="Antminer S21")
    body = {
        "task_name": "miner.firmware.update",
        "selection": {"all": True},
        "params": {"firmware": IMAGE["name"]},
        "canary": 1,
    }
    path = f"/farms/{cloud.farm_id}/tasks/batches"
    shown = (await shelf.ask("POST", path, json=body | {"dry_run": True}))["data"]
    assert shown["created_count"] == 3
    assert shown["task_params"] == {"firmware": IMAGE["name"], "sha256": SHA}
    made = await shelf.ask("POST", path, json=body | {"expect_count": 4})
    assert made["meta"]["summary"] == {"created_count": 3, "skipped_count": 1}
    path = f"/farms/{cloud.farm_id}/tasks/groups/{made['meta']['group_id']}"
    group = (await shelf.ask("GET", path))["data"]
    assert group["group"]["task_params"] == {"firmware": IMAGE["name"], "sha256": SHA}
    (canary,) = (await agent.claim())["tasks"]
    assert "3 open tasks need s19-2025" in await shelf.remove(status=409)
    await end(cloud, agent, canary)
    await cloud.sweeper.sweep()
    others = (await agent.claim())["tasks"]
    assert [each["params"]["sha256"] for each in others] == [SHA, SHA]
    assert len({each["params"]["firmware_url"] for each in (canary, *others)}) == 1


async def test_a_link_ends_with_what_its_task_may_take(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    agent, task = await handed(cloud, shelf)
    url = task["params"]["firmware_url"]
    (expires,) = map(int, re.findall(r"expires=(\d+)", url))
    left_s = expires - cloud.app[TIME].now()
    assert QUEUE_AND_LIMIT_S <= left_s <= QUEUE_AND_LIMIT_S + 3600
    # Handed out again, since its answer was lost, it is as good as new.
    cloud.clock.move(11)
    (again,) = (await agent.claim())["tasks"]
    assert again["params"]["firmware_url"] == url
    cloud.clock.move(left_s - 12)
    assert await fetch(cloud, url) == (200, DATA)
    cloud.clock.move(1)
    assert (await fetch(cloud, url))[0] == 403


async def test_a_link_that_was_changed_opens_nothing(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    other = await shelf.add(b"another", name="other")
    _, task = await handed(cloud, shelf)
    url = task["params"]["firmware_url"]
    for bad in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=9", "expires=99"),
        url.replace(SHA, other["sha256"]),
        url.replace("s19.bmu", "s21.bmu"),
        url.replace(cloud.workspace_id, "org_other"),
        url.split("&sig=")[0],
        url.replace("/firmware/", "/files/").replace(f"/{cloud.workspace_id}", ""),
    ):
        assert (await fetch(cloud, bad))[0] == 403, bad


async def test_a_file_that_was_changed_on_the_disk_of_the_cloud_is_not_handed_out(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    _, task = await handed(cloud, shelf)
    url = task["params"]["firmware_url"]
    assert (await fetch(cloud, url))[0] == 200
    shelf.file().write_bytes(DATA[:-1] + b"!")
    status, body = await fetch(cloud, url)
    assert (status, "is damaged" in json.loads(body)["message"]) == (404, True)
    shelf.file().write_bytes(DATA)
    assert (await fetch(cloud, url))[0] == 200


async def test_no_link_is_stored_or_shown_and_one_that_is_told_is_masked(cloud: Cloud):
    shelf = shelf_of(cloud)
    await shelf.add()
    agent, task = await handed(cloud, shelf)
    url = task["params"]["firmware_url"]
    line = {"at": "2026-11-21T12:00:00Z", "level": "info", "message": f"from {url}"}
    event = agent.event(task, "failed", cloud.clock.now(), logs=[line])
    event["result"] = {"outcome": "not_done", "verified": True, "evidence": {"url": url}}
    await agent.report(event)
    signature = url.rpartition("sig=")[2]
    assert re.fullmatch("[0-9a-f]{64}", signature)
    (batch,) = [await shelf.tasks_of(task["batch_id"])]
    assert batch["task_params"] == {"firmware": IMAGE["name"], "sha256": SHA}
    (shown,) = batch["tasks"]
    assert shown["params"] == {"firmware": IMAGE["name"], "sha256": SHA}
    seen = [json.dumps(batch), repr(await cloud.task(task["task_id"]))]
    files = cloud.settings.data.glob("cloud.db*")
    seen += [each.read_bytes().decode("latin-1") for each in files]
    assert not [each for each in seen if signature in each]
    assert "sig=***" in json.dumps(batch)
    assert hidden({"u": url})["u"].endswith("&sig=***")


@pytest.mark.parametrize("version", [None, "2025.03"])
async def test_an_order_may_say_another_version_than_the_library(cloud: Cloud, version: str | None):
    shelf = shelf_of(cloud)
    await shelf.add(**({} if version is None else {"version": version}))
    _, task = await handed(cloud, shelf, target_version="2025.04")
    assert task["params"]["target_version"] == "2025.04"
    assert hashlib.sha256(DATA).hexdigest() == task["params"]["sha256"]
