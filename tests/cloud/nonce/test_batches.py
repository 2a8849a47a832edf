"""Creating, reading, searching, cancelling and retrying batches."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from cloud.store.schema.tables import task_batches, task_files
from contract.miner import Make, PowerMode, Slow, Static
from contract.task import SPECS, TaskName

BODIES: dict[str, dict[str, Any]] = {
    "miner.system.reboot": {"params": {"force": True}},
    "miner.log.get": {},
    "miner.light.update": {"params": {"action": "on"}},
    "miner.power_mode.update": {"params": {"mode": "low"}},
    "miner.pool.update": {"params": {"pools": [{"url": "stratum+tcp://p:1", "user": "u"}]}},
    "miner.pool.lock": {"params": {"action": "lock", "firmware_url": "https://f.test/a"}},
    "miner.firmware.update": {"params": {"firmware_url": "https://f.test/a.bmu"}},
    "miner.asset.update": {"params": {"status": "maintenance"}},
    "miner.asset.delete": {},
    "miner.tags.update": {"params": {"add": ["row-1"]}},
    "miner.record.delete": {},
}


@pytest.mark.parametrize("name", [n for n in TaskName if SPECS[n].wants_miner and n in BODIES])
async def test_each_miner_of_a_batch_gets_one_task(stage: Any, name: str) -> None:
    made = await stage.create(name, 1, 2, **BODIES[name])
    assert made["meta"]["summary"] == {"created_count": 2, "skipped_count": 0}
    [batch] = made["data"]
    assert batch["task_name"] == name
    assert batch["task_count"] == 2
    assert batch["created_by"]["type"] == "apikey"
    assert batch["created_at"] == "2026-11-21T12:00:00Z"
    shown = await stage.batch(batch["batch_id"])
    assert {task["miner_id"] for task in shown["tasks"]} == {stage.miners[1], stage.miners[2]}
    by_agent = SPECS[TaskName(name)].by_agent
    assert shown["status"] == ("pending" if by_agent else "succeed")
    assert shown["queuing_count"] == (2 if by_agent else 0)


@pytest.mark.parametrize("name", ["agent.scan.create", "agent.self.update"])
async def test_an_agent_task_goes_to_each_agent_and_names_no_miner(stage: Any, name: str) -> None:
    made = await stage.create(name)
    shown = await stage.batch(made["data"][0]["batch_id"])
    [task] = shown["tasks"]
    assert task["miner_id"] is None
    assert task["agent_id"] == stage.agent
    assert made["data"][0]["task_params"] is None


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("miner.light.update", {"mode": "off"}, {"action": "off"}),
        ("miner.power_mode.update", {"mining_mode": "sleep"}, {"mode": "sleep"}),
        (
            "miner.pool.lock",
            {"action": "lock", "auth_url": "https://f.test/a"},
            {"action": "lock", "firmware_url": "https://f.test/a"},
        ),
        ("miner.system.reboot", {}, None),
        ("miner.log.get", {"anything": 1}, None),
    ],
)
async def test_later_spellings_are_stored_in_the_seeds_spelling(
    stage: Any, name: str, given: dict[str, Any], stored: Any
) -> None:
    made = await stage.create(name, 1, params=given)
    assert made["data"][0]["task_params"] == stored


@pytest.mark.parametrize("name", ["miner.light.update", "miner.system.reboot"])
async def test_that_a_miner_in_maintenance_may_be_changed_reaches_the_agent(
    stage: Any, name: str
) -> None:
    params = BODIES[name]["params"] | {"allow_maintenance": True}
    made = await stage.create(name, 1, params=params)
    assert made["data"][0]["task_params"] == params
    await stage.ask(
        "POST", f"{stage.at_farm}/tasks/batches", status=400,
        json={"task_name": name, "miner_ids": [stage.miners[1]], "params": params | {"allow_maintenance": "yes"}},
    )  # fmt: skip


async def test_pool_passwords_are_kept_for_the_agent_but_not_shown(stage: Any) -> None:
    pools = [{"url": "stratum+tcp://p:1", "user": "u", "password": "hunter2"}]
    made = await stage.create("miner.pool.update", 1, params={"pools": pools})
    shown = await stage.batch(made["data"][0]["batch_id"])
    assert "hunter2" not in str(made) + str(shown)
    async with stage.store.read() as connection:
        rows = await connection.exec_driver_sql("SELECT params FROM tasks")
        assert "hunter2" in str(rows.all())


async def test_the_agent_is_woken_by_a_new_batch(stage: Any) -> None:
    ticket = stage.wake_ups.ticket(stage.agent, stage.farm)
    await stage.create("miner.light.update", 1, params={"action": "on"})
    assert await stage.wake_ups.wait(stage.agent, ticket, 5.0)


async def test_a_miner_named_twice_gets_one_task(stage: Any) -> None:
    made = await stage.create("miner.log.get", 1, 1)
    assert made["data"][0]["task_count"] == 1


# --- skips ---------------------------------------------------------------------------------------


async def test_unknown_deleted_and_foreign_miners_are_skipped_together(stage: Any) -> None:
    await stage.create("miner.asset.delete", 2)
    made = await stage.create(
        "miner.log.get", miner_ids=[stage.miners[1], stage.miners[2], "f" * 32]
    )
    assert made["meta"]["summary"] == {"created_count": 1, "skipped_count": 2}
    [skip] = made["meta"]["skipped"]
    assert skip["reason"] == "miner_not_found"
    assert skip["miner_ids"] == [stage.miners[2], "f" * 32]


async def test_when_all_are_skipped_no_batch_is_stored(stage: Any) -> None:
    made = await stage.create("miner.log.get", miner_ids=["f" * 32])
    assert made["data"] == []
    assert made["meta"]["summary"] == {"created_count": 0, "skipped_count": 1}
    assert await stage.count("task_batches") == 0


async def test_a_miner_without_a_mac_is_skipped_as_unstable_but_its_record_can_be_changed(
    stage: Any, readings: Any
) -> None:
    await stage.look_at(readings.healthy(9, mac=None, static=Static(make=Make.ANTMINER)))
    made = await stage.create("miner.light.update", 9, params={"action": "on"})
    assert made["meta"]["skipped"][0]["reason"] == "unstable_miner"
    made = await stage.create("miner.tags.update", 9, params={"add": ["a"]})
    assert made["meta"]["summary"]["created_count"] == 1


async def test_a_miner_already_in_the_mode_is_skipped_only_on_a_reading_that_still_tells(
    stage: Any, readings: Any
) -> None:
    async def ask() -> str:
        made = await stage.create("miner.power_mode.update", 1, params={"mode": "normal"})
        skipped = made["meta"]["skipped"]
        return skipped[0]["reason"] if skipped else made["data"][0]["batch_id"]

    assert await ask() == "no_change"
    stage.clock.forward(61)  # the reading is older than two intervals of 30 s
    batch_id = await ask()
    assert batch_id != "no_change"
    stage.clock.forward(1)
    await stage.create("miner.power_mode.update", 1, params={"mode": "low"})
    await stage.look_at(readings.healthy(1))
    assert await ask() != "no_change"  # one of that kind is open, to another mode
    for batch in (await stage.ask("GET", f"{stage.at_farm}/tasks/batches"))["data"]:
        for task in (await stage.batch(batch["batch_id"]))["tasks"]:
            await stage.settle(task["id"], "succeed", {"outcome": "done"})
    assert await ask() != "no_change"  # the reading is not newer than the last one's end
    for batch in (await stage.ask("GET", f"{stage.at_farm}/tasks/batches"))["data"]:
        for task in (await stage.batch(batch["batch_id"]))["tasks"]:
            await stage.settle(task["id"], "succeed", {"outcome": "done"})
    stage.clock.forward(5)
    await stage.look_at(readings.healthy(1))
    assert await ask() == "no_change"


async def test_a_reading_from_before_the_clock_was_set_back_tells_nothing(stage: Any) -> None:
    stage.clock.at -= timedelta(days=2)
    made = await stage.create("miner.power_mode.update", 1, params={"mode": "normal"})
    assert made["meta"]["summary"]["created_count"] == 1


async def test_a_miner_on_its_way_to_another_mode_is_not_skipped(stage: Any, readings: Any) -> None:
    slow = Slow(mode=PowerMode.NORMAL, mode_configured=PowerMode.LOW)
    stage.clock.forward(1)
    await stage.look_at(readings.healthy(1, slow=slow))
    made = await stage.create("miner.power_mode.update", 1, params={"mode": "normal"})
    assert made["meta"]["summary"]["created_count"] == 1


@pytest.mark.parametrize(
    ("make", "modes", "mode", "fits"),
    [
        (Make.ANTMINER, None, "sleep", True),
        (Make.ANTMINER, None, "high", False),
        (Make.WHATSMINER, None, "high", True),
        (Make.WHATSMINER, None, "sleep", False),
        (Make.ICERIVER, None, "normal", False),
        (Make.ICERIVER, ("low", "normal"), "low", True),
        (Make.ANTMINER, (), "normal", False),
        (Make.ANTMINER, None, "5600W", False),
        (Make.WHATSMINER, ("low", "5600W"), "5600W", True),
        (Make.UNKNOWN, None, "normal", False),
    ],
)
async def test_a_mode_another_make_has_is_skipped_as_unsupported(
    stage: Any, readings: Any, make: Make, modes: Any, mode: str, fits: bool
) -> None:
    static = Static(make=make, mac="02:00:00:00:00:07")
    await stage.look_at(readings.healthy(7, static=static, modes=modes, slow=Slow()))
    made = await stage.create("miner.power_mode.update", 7, params={"mode": mode})
    reasons = [skip["reason"] for skip in made["meta"]["skipped"]]
    assert reasons == ([] if fits else ["unsupported_mode"])


# --- events --------------------------------------------------------------------------------------


async def miner(stage: Any, number: int) -> dict[str, Any]:
    body = await stage.ask(
        "GET", f"{stage.at_farm}/miner/latest", params={"pageSize": "100"}, shape="ListMiners"
    )
    return next(each for each in body["data"] if each["id"] == stage.miners[number])


async def test_an_asset_update_moves_the_miner_in_the_books_and_back(stage: Any) -> None:
    made = await stage.create("miner.asset.update", 1, params={"status": "retired", "comment": "c"})
    assert (await miner(stage, 1))["ops_status"] == "retired"
    assert (await miner(stage, 1))["lifecycle_status"] == "retired"
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    assert task["created_at"] == task["queuing_at"] == task["pending_at"] == task["succeed_at"]
    assert task["result"]["evidence"] == {
        "before": {"asset_status": None, "ops_status": None},
        "after": {"asset_status": "retired", "ops_status": "retired"},
    }
    again = await stage.create("miner.asset.update", 1, params={"status": "retired"})
    assert again["meta"]["skipped"][0]["reason"] == "no_change"
    await stage.create("miner.asset.update", 1, params={"status": "on_rack"})
    assert (await miner(stage, 1))["ops_status"] is None


async def test_tags_are_added_and_removed_and_a_change_of_nothing_is_skipped(stage: Any) -> None:
    await stage.create("miner.tags.update", 1, 2, params={"add": ["a", "b"]})
    await stage.create("miner.tags.update", 2, params={"add": ["c"], "remove": ["a"]})
    assert (await miner(stage, 1))["tags"] == ["a", "b"]
    assert (await miner(stage, 2))["tags"] == ["b", "c"]
    made = await stage.create("miner.tags.update", 1, 2, params={"add": ["a"]})
    assert made["meta"]["summary"] == {"created_count": 1, "skipped_count": 1}


async def test_a_rack_location_is_set_cleared_and_left_alone(stage: Any) -> None:
    def update(number: int, rack: Any, position: Any) -> dict[str, Any]:
        return {"miner_id": stage.miners[number], "rack": rack, "position": position}

    name = "miner.rack_location.update"
    made = await stage.create(name, updates=[update(1, "R1", 4), update(2, "R1", 5)])
    shown = await stage.batch(made["data"][0]["batch_id"])
    assert {task["params"]["position"] for task in shown["tasks"]} == {4, 5}
    made = await stage.create(name, updates=[update(1, None, None), update(2, "R1", 5)])
    assert made["meta"]["summary"] == {"created_count": 1, "skipped_count": 1}
    assert (await miner(stage, 1))["rack"] is None
    assert (await miner(stage, 2))["position"] == 5


async def test_a_deleted_record_is_erased_and_its_miner_comes_back_as_a_new_one(
    stage: Any, readings: Any
) -> None:
    old = stage.miners[1]
    made = await stage.create("miner.record.delete", 1)
    assert made["meta"]["summary"]["created_count"] == 1
    assert (await stage.create("miner.record.delete", 1))["meta"]["skipped"][0][
        "reason"
    ] == "miner_not_found"
    stage.clock.forward(30)
    await stage.look_at(readings.healthy(1))
    assert stage.miners[1] != old
    assert (await miner(stage, 1))["hashrate"] == 100e12


async def test_the_record_of_a_deleted_asset_can_still_be_erased(stage: Any) -> None:
    await stage.create("miner.asset.delete", 1)
    made = await stage.create("miner.record.delete", 1)
    assert made["meta"]["summary"]["created_count"] == 1


# --- reading -------------------------------------------------------------------------------------


async def settled(stage: Any, *statuses: str) -> str:
    """A reboot batch with one task for each status; open ones stay as they were made."""
    made = await stage.create("miner.system.reboot", *range(1, len(statuses) + 1))
    batch_id: str = made["data"][0]["batch_id"]
    tasks = (await stage.batch(batch_id))["tasks"]
    for task, status in zip(tasks, statuses, strict=True):
        if status != "queuing":
            outcome = "done" if status == "succeed" else "not_done"
            error = {"code": "unreachable", "message": "switch it on"}
            await stage.settle(task["id"], status, {"outcome": outcome, "error": error})
    return batch_id


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("succeed", "succeed"), "succeed"),
        (("failed", "timed_out", "cancelled"), "failed"),
        (("succeed", "failed"), "partial_succeed"),
        (("succeed", "queuing"), "pending"),
        (("failed", "queuing"), "pending"),
    ],
)
async def test_the_status_of_a_batch_follows_from_its_tasks(
    stage: Any, statuses: tuple[str, ...], expected: str
) -> None:
    batch_id = await settled(stage, *statuses)
    shown = await stage.batch(batch_id)
    assert shown["status"] == shown["batch"]["status"] == expected
    assert shown["failed_count"] == statuses.count("failed")
    assert shown["timed_out_count"] == statuses.count("timed_out")
    [item] = (await stage.ask("GET", f"{stage.at_farm}/tasks/batches", shape="ListTaskBatches"))[
        "data"
    ]
    assert item["status"] == expected
    assert item["failed_count"] == sum(s in ("failed", "timed_out", "cancelled") for s in statuses)
    for word in ("pending", "succeed", "failed", "partial_succeed"):
        found = await stage.ask(
            "POST",
            f"{stage.at_farm}/tasks/search",
            json={"status": {"eq": word}},
            shape="SearchTaskBatches",
        )
        assert len(found["data"]) == found["pagination"]["total"] == (word == expected)
        others = await stage.ask(
            "POST", f"{stage.at_farm}/tasks/search", json={"status": {"ne": word}}
        )
        assert len(others["data"]) == (word != expected)


async def test_the_tasks_of_a_batch_are_paged_and_filtered(stage: Any) -> None:
    batch_id = await settled(stage, "succeed", "failed", "failed")
    url = f"{stage.at_farm}/tasks/batches/{batch_id}/tasks"

    async def ask(**params: str) -> Any:
        return await stage.ask("GET", url, params=params, shape="GetTaskBatchTasks")

    body = await ask(pageSize="2")
    assert len(body["data"]) == 2
    assert body["pagination"] == {
        "total": 3, "limit": 2, "offset": 0, "hasNext": True, "hasPrevious": False,
    }  # fmt: skip
    body = await ask(pageSize="2", page="2")
    assert len(body["data"]) == 1
    assert body["pagination"]["hasPrevious"] is True
    assert body["pagination"]["hasNext"] is False
    body = await ask(status="failed")
    assert len(body["data"]) == 2
    assert body["data"][0]["error"] == {"message": "switch it on", "code": "unreachable"}
    assert body["data"][0]["log_download_url"] is None
    assert "succeed_at" not in body["data"][0]


async def test_a_finished_file_is_offered_under_a_signed_link(stage: Any) -> None:
    made = await stage.create("miner.log.get", 1)
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    row = {
        "task_id": task["id"], "name": "log.tar", "farm_id": stage.farm, "size_bytes": 7,
        "sha256": "0" * 64, "created_cloud_s": 0.0, "completed_at": None,
    }  # fmt: skip
    async with stage.store.write() as connection:
        await connection.execute(task_files.insert(), [row])
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    assert task["log_download_url"] is None  # not yet whole
    async with stage.store.write() as connection:
        await connection.execute(task_files.update().values(completed_at=stage.clock.now()))
    [task] = (await stage.batch(made["data"][0]["batch_id"]))["tasks"]
    assert task["log_download_url"].startswith(f"http://files.test/files/{task['id']}/log.tar?")
    assert task["log_file_size"] == 7
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    [item] = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert item["downloadable"]["file_name"] == "log.tar"
    assert item["downloadable"]["file_path"] == task["log_download_url"]


# --- searching -----------------------------------------------------------------------------------


async def found(stage: Any, **body: Any) -> list[str]:
    answer = await stage.ask(
        "POST", f"{stage.at_farm}/tasks/search", json=body, shape="SearchTaskBatches"
    )
    return [batch["task_name"] for batch in answer["data"]]


async def test_batches_are_found_by_every_operator_newest_first(stage: Any) -> None:
    await stage.create("miner.log.get", 1)
    stage.clock.forward(10)
    headers = {"Authorization": f"Bearer {stage.user_key}"}
    await stage.ask(
        "POST",
        f"{stage.at_farm}/tasks/batches",
        json={"task_name": "miner.system.reboot", "miner_ids": [stage.miners[1]]},
        headers=headers,
        shape="CreateTaskBatch",
    )
    log, reboot = "miner.log.get", "miner.system.reboot"
    assert await found(stage) == [reboot, log]
    assert await found(stage, task_name={"eq": log}) == [log]
    assert await found(stage, task_name={"in": [log, reboot]}) == [reboot, log]
    assert await found(stage, task_name={"ne": log}) == [reboot]
    assert await found(stage, task_name={"nin": [log, reboot]}) == []
    assert await found(stage, actor_type={"eq": "user"}) == [reboot]
    assert await found(stage, actor_type={"eq": "api"}) == [log]
    assert await found(stage, actor_type={"eq": "automation"}) == []
    # Items show whole seconds, and are compared as shown: the clock stood at 12:00:00.5.
    first, second = "2026-11-21T12:00:00Z", "2026-11-21T13:00:10+01:00"
    assert await found(stage, created_at={"eq": first}) == [log]
    assert await found(stage, created_at={"eq": second}) == [reboot]
    assert await found(stage, created_at={"gt": first}) == [reboot]
    assert await found(stage, created_at={"gte": first}) == [reboot, log]
    assert await found(stage, created_at={"lt": second}) == [log]
    assert await found(stage, created_at={"lte": second}) == [reboot, log]
    assert await found(stage, created_at={"gt": first, "lt": second}) == []
    assert await found(stage, limit=1, page=2) == [log]
    body = await stage.ask(
        "GET", f"{stage.at_farm}/tasks/batches", params={"task_name": f"{log},{reboot}"}
    )
    assert len(body["data"]) == 2


async def test_the_documented_example_with_words_of_another_field_matches_nothing(
    stage: Any,
) -> None:
    """The reference's own example: filler words, and a page whose offset no 64-bit integer holds."""
    await stage.create("miner.log.get", 1)
    body = await stage.ask(
        "POST",
        f"{stage.at_farm}/tasks/search",
        json={
            "status": {"eq": "online", "in": ["online", "offline"]},
            "task_name": {"eq": "online", "in": ["online", "offline"]},
            "actor_type": {"eq": "user"},
            "created_at": {
                "eq": "2023-11-07T05:31:56Z", "gt": "2023-11-07T05:31:56Z", "gte": "2023-11-07T05:31:56Z",
                "lt": "2023-11-07T05:31:56Z", "lte": "2023-11-07T05:31:56Z",
            },
            "page": 4503599627370496,
            "limit": 5000,
        },
        shape="SearchTaskBatches",
    )  # fmt: skip
    assert body["data"] == []
    body = await stage.ask(
        "POST", f"{stage.at_farm}/tasks/search", json={"page": 4503599627370496, "limit": 5000}
    )
    assert body["data"] == []
    assert body["pagination"]["total"] == 1
    assert body["pagination"]["offset"] == 4503599627370495 * 5000
    assert body["pagination"]["hasPrevious"] is True


# --- cancel and retry ----------------------------------------------------------------------------


async def test_cancel_ends_what_waits_and_asks_for_what_an_agent_has(stage: Any) -> None:
    made = await stage.create("miner.system.reboot", 1, 2, 3)
    batch_id = made["data"][0]["batch_id"]
    tasks = (await stage.batch(batch_id))["tasks"]
    now = stage.clock.now()
    await stage.change_task(tasks[0]["id"], journal_id="j", handed_at=now)
    await stage.change_task(tasks[1]["id"], handed_at=now)  # came back from an agent gone offline
    ticket = stage.wake_ups.ticket(stage.agent, stage.farm)
    url = f"{stage.at_farm}/tasks/batches/{batch_id}/cancel"
    body = await stage.ask("POST", url)
    assert body["data"] == {
        "batch_id": batch_id,
        "status": "pending",
        "cancelled_count": 1,
        "cancel_requested_count": 2,
    }
    assert await stage.wake_ups.wait(stage.agent, ticket, 5.0)
    shown = await stage.batch(batch_id)
    assert shown["cancelled_count"] == 1
    [ended] = [task for task in shown["tasks"] if task["status"] == "cancelled"]
    assert ended["error"]["code"] == "cancelled"
    assert ended["result"]["outcome"] == "not_done"
    assert (await stage.ask("POST", url))["data"]["cancelled_count"] == 0


async def test_cancelling_what_has_ended_changes_nothing(stage: Any) -> None:
    batch_id = await settled(stage, "succeed", "failed")
    before = await stage.batch(batch_id)
    await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{batch_id}/cancel")
    assert await stage.batch(batch_id) == before


async def test_retry_makes_a_new_batch_of_what_failed(stage: Any) -> None:
    batch_id = await settled(stage, "succeed", "failed", "cancelled")
    failed = next(
        task for task in (await stage.batch(batch_id))["tasks"] if task["status"] == "failed"
    )
    url = f"{stage.at_farm}/tasks/batches/{batch_id}/retry"
    made = await stage.ask("POST", url, shape="CreateTaskBatch")
    assert made["data"][0]["task_count"] == 1
    shown = await stage.batch(made["data"][0]["batch_id"])
    assert shown["tasks"][0]["miner_id"] == failed["miner_id"]
    assert shown["metadata"] == {"retry_of": batch_id}
    await stage.ask("POST", url, status=409)  # the first retry is still open
    assert await stage.count("task_batches") == 2


async def test_parameters_of_an_earlier_version_that_are_not_taken_any_more_are_not_retried(
    stage: Any,
) -> None:
    made = await stage.create("miner.light.update", 1, params={"action": "on"})
    batch_id = made["data"][0]["batch_id"]
    async with stage.store.write() as connection:
        await connection.execute(task_batches.update().values(params={"action": "blink"}))
    answer = await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{batch_id}/retry", status=409)
    assert "not taken any more" in str(answer)


async def test_retry_leaves_out_a_one_shot_that_may_have_happened(stage: Any) -> None:
    batch_id = await settled(stage, "failed", "timed_out", "failed")
    tasks = (await stage.batch(batch_id))["tasks"]
    await stage.settle(tasks[0]["id"], "failed", {"outcome": "unknown"})
    await stage.settle(tasks[1]["id"], "timed_out", None)  # begun and never heard of again
    url = f"{stage.at_farm}/tasks/batches/{batch_id}/retry"
    made = await stage.ask("POST", url)
    assert made["meta"]["summary"] == {"created_count": 1, "skipped_count": 2}
    assert made["meta"]["skipped"][0]["reason"] == "outcome_unknown"
    await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{made['data'][0]['batch_id']}/cancel")
    made = await stage.ask("POST", url, json={"include_unknown": True})
    assert made["meta"]["summary"] == {"created_count": 3, "skipped_count": 0}


async def test_a_setting_of_unknown_outcome_is_retried_without_asking(stage: Any) -> None:
    made = await stage.create("miner.light.update", 1, params={"action": "on"})
    batch_id = made["data"][0]["batch_id"]
    [task] = (await stage.batch(batch_id))["tasks"]
    await stage.settle(task["id"], "failed", {"outcome": "unknown"})
    made = await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{batch_id}/retry")
    assert made["data"][0]["task_params"] == {"action": "on"}


async def test_retry_of_a_scan_goes_to_the_agents_that_failed(stage: Any) -> None:
    made = await stage.create("agent.scan.create", params={"ip_range": "10.0.0.0/24"})
    batch_id = made["data"][0]["batch_id"]
    url = f"{stage.at_farm}/tasks/batches/{batch_id}/retry"
    assert (await stage.ask("POST", url))["data"] == []
    [task] = (await stage.batch(batch_id))["tasks"]
    await stage.settle(task["id"], "failed", None)
    made = await stage.ask("POST", url)
    assert made["data"][0]["task_params"] == {"ip_range": "10.0.0.0/24"}


async def test_ten_full_batches_are_made_at_once(stage: Any, readings: Any) -> None:
    await stage.look_at(*(readings.healthy(number) for number in range(1, 101)))
    ids = [stage.miners[number] for number in range(1, 101)]
    answers = await asyncio.gather(
        *(
            stage.create("miner.log.get", miner_ids=ids)  # of those, each counts
            for _ in range(10)
        )
    )
    assert [answer["data"][0]["task_count"] for answer in answers] == [100] * 10


async def test_a_stalled_miner_gives_no_mode_skip(stage: Any, readings: Any) -> None:
    stage.clock.forward(1)
    await stage.look_at(readings.unreachable(1))
    made = await stage.create("miner.power_mode.update", 1, params={"mode": "normal"})
    assert made["meta"]["summary"]["created_count"] == 1
