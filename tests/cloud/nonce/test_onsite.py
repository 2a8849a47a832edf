"""Tasks that arose on site, as operators see them: in the published shapes, created by the system."""

from __future__ import annotations

import uuid
from typing import Any

from cloud.store.ids import secret_hash
from cloud.store.schema import tables
from contract.clock import to_text

TOKEN = "agt_test"
POOL = {"url": "stratum+tcp://p:1", "user": "u"}


async def tell(stage: Any, state: str, **more: Any) -> str:
    """The farm's agent reports one event of a new task; give its id."""
    async with stage.store.write() as connection:
        await connection.execute(
            tables.agents.update()
            .where(tables.agents.c.id == stage.agent)
            .values(token_hash=secret_hash(TOKEN), journal_id="j1")
        )
    now, result = to_text(stage.clock.now()), more.pop("result", None)
    arose = {
        "name": "miner.light.update",
        "params": {"action": "on"},
        "miner": {"mac": "02:00:00:00:00:01", "last_ip": "10.0.0.1"},
        "origin": "rigmonitor",
        "accepted_at": now,
    } | more
    stage.seq += 1
    event = {
        "task_id": str(uuid.uuid4()), "epoch": 0, "seq": stage.seq, "state": state, "at": now,
        "result": result, "arose": arose,
        "logs": [{"at": now, "level": "info", "message": "Wished for on site."}],
    }  # fmt: skip
    body = {"journal_id": "j1", "events": [event]}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    reply = await stage.ask("POST", f"{stage.url}/link/v1/reports", json=body, headers=headers)
    assert reply["acks"][0]["state"] == "ok"
    return str(event["task_id"])


def done() -> dict[str, Any]:
    return {"outcome": "done", "verified": True, "evidence": {"before": {}, "after": {}}}


async def test_its_batch_is_listed_found_by_its_actor_and_says_who_wished_for_it(
    stage: Any,
) -> None:
    await stage.create("miner.light.update", 2, params={"action": "on"})
    await tell(stage, "succeed", result=done())
    listed = await stage.ask("GET", f"{stage.at_farm}/tasks/batches", shape="ListTaskBatches")
    assert listed["pagination"]["total"] == 2
    wanted = {"actor_type": {"eq": "automation"}}
    url = f"{stage.at_farm}/tasks/search"
    found = await stage.ask("POST", url, json=wanted, shape="SearchTaskBatches")
    (batch,) = found["data"]
    assert batch["created_by"] == {
        "type": "system",
        "id": "rigmonitor-system",
        "name": "Mining Rig Monitor",
        "avatar": None,
        "metadata": {"agentId": stage.agent, "origin": "rigmonitor"},
    }
    assert batch["metadata"] == {"origin": "rigmonitor"}
    assert (batch["task_name"], batch["status"]) == ("miner.light.update", "succeed")


async def test_its_task_is_shown_with_its_batch_and_with_its_miner(stage: Any) -> None:
    task_id = await tell(stage, "succeed", result=done(), params={"action": "off"})
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    shown = await stage.ask("GET", url, shape="ListMinerTasks")
    (task,) = shown["data"]
    assert (task["id"], task["name"], task["status"]) == (task_id, "miner.light.update", "succeed")
    assert task["payload"] == {"action": "off"}
    assert task["logs"][0]["message"] == "Wished for on site."
    assert task["miner"]["id"] == stage.miners[1]
    batch = await stage.batch(task["batchId"])
    assert [each["id"] for each in batch["tasks"]] == [task_id]
    assert batch["created_by"]["type"] == "system"


async def test_it_counts_for_what_is_skipped_as_no_change(stage: Any) -> None:
    await tell(stage, "pending", name="miner.power_mode.update", params={"mode": "low"})
    made = await stage.create("miner.power_mode.update", 1, params={"mode": "normal"})
    assert made["meta"]["summary"] == {"created_count": 1, "skipped_count": 0}  # one is under way


async def test_a_password_in_it_is_masked_like_any_other(stage: Any) -> None:
    pools = [POOL | {"password": "hunter2"}]
    task_id = await tell(stage, "pending", name="miner.pool.update", params={"pools": pools})
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    (task,) = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert (task["id"], task["payload"]["pools"][0]["password"]) == (task_id, "***")


async def test_one_that_failed_can_be_retried_from_the_cloud(stage: Any) -> None:
    error = {"code": "unreachable", "message": "Nobody answers."}
    result = {"outcome": "not_done", "verified": True, "evidence": {}, "error": error}
    params = {"pools": [POOL]}
    await tell(stage, "failed", result=result, name="miner.pool.update", params=params)
    listed = await stage.ask("GET", f"{stage.at_farm}/tasks/batches")
    (batch,) = listed["data"]
    url = f"{stage.at_farm}/tasks/batches/{batch['batch_id']}/retry"
    made = (await stage.ask("POST", url, json={}))["data"]
    again = await stage.batch(made[0]["batch_id"])
    assert again["created_by"]["type"] == "apikey"
    (task,) = again["tasks"]
    assert (task["miner_id"], task["params"]) == (stage.miners[1], params)
