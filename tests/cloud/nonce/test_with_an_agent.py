"""The operator's side and the agent's side of one task meet."""

from __future__ import annotations

import asyncio
from typing import Any

from cloud.store.ids import secret_hash
from cloud.store.schema import tables
from contract.clock import to_text

TOKEN = "agt_test"


class Agent:
    """The agent's end of the link, by hand."""

    def __init__(self, stage: Any) -> None:
        self.stage, self.seq = stage, 0

    async def enrol(self) -> None:
        async with self.stage.store.write() as connection:
            await connection.execute(
                tables.agents.update().values(token_hash=secret_hash(TOKEN), journal_id="j1")
            )

    async def post(self, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self.stage.url}/link/v1/{path}"
        return await self.stage.ask("POST", url, json=body, headers=headers)

    async def claim(self, wait_s: float = 0.0, open_ids: tuple[str, ...] = ()) -> Any:
        held = [{"task_id": id_, "epoch": 1} for id_ in open_ids]
        body = {"journal_id": "j1", "last_seq": self.seq, "wait_s": wait_s, "open": held}
        return await self.post("claims", body)

    async def tell(self, task_id: str, state: str, **more: Any) -> None:
        self.seq += 1
        at = to_text(self.stage.clock.now())
        event = {"task_id": task_id, "epoch": 1, "seq": self.seq, "state": state, "at": at, **more}
        reply = await self.post("reports", {"journal_id": "j1", "events": [event]})
        assert reply["acks"][0]["state"] == "ok"


async def test_a_created_task_is_claimed_at_once_and_its_proof_comes_back(stage: Any) -> None:
    agent = Agent(stage)
    await agent.enrol()
    polling = asyncio.create_task(agent.claim(wait_s=15.0))
    made = await stage.create("miner.light.update", 1, params={"mode": "on"})
    async with asyncio.timeout(10):
        [task] = (await polling)["tasks"]
    assert task["params"] == {"action": "on"}
    assert task["miner"]["mac"] == "02:00:00:00:00:01"
    batch_id = made["data"][0]["batch_id"]
    assert task["batch_id"] == batch_id
    await agent.tell(task["task_id"], "queuing")
    stage.clock.forward(1)
    await agent.tell(task["task_id"], "pending")
    assert (await stage.batch(batch_id))["pending_count"] == 1
    stage.clock.forward(1)
    result = {"outcome": "done", "verified": True, "evidence": {"signal": "blink"}}
    line = {"at": to_text(stage.clock.now()), "level": "info", "message": "the light is on"}
    await agent.tell(task["task_id"], "succeed", result=result, logs=[line])
    shown = await stage.batch(batch_id)
    assert shown["status"] == "succeed"
    assert shown["tasks"][0]["result"] == result
    assert shown["tasks"][0]["succeed_at"] == "2026-11-21T12:00:02Z"
    url = f"{stage.at_farm}/miners/{stage.miners[1]}/tasks"
    [item] = (await stage.ask("GET", url, shape="ListMinerTasks"))["data"]
    assert item["logs"] == [
        {"timestamp": "2026-11-21T12:00:02Z", "level": "info", "message": "the light is on"}
    ]
    assert item["pendingAt"] == "2026-11-21T12:00:01Z"


async def test_a_cancel_reaches_the_agent_that_holds_the_task_and_the_agent_decides(
    stage: Any,
) -> None:
    agent = Agent(stage)
    await agent.enrol()
    made = await stage.create("miner.system.reboot", 1)
    batch_id = made["data"][0]["batch_id"]
    [task] = (await agent.claim())["tasks"]
    await stage.ask("POST", f"{stage.at_farm}/tasks/batches/{batch_id}/cancel")
    assert (await agent.claim(open_ids=(task["task_id"],)))["cancel"] == [task["task_id"]]
    await agent.tell(task["task_id"], "pending")
    await agent.tell(task["task_id"], "succeed", result={"outcome": "done", "verified": True})
    assert (await stage.batch(batch_id))["status"] == "succeed"


async def test_a_scan_is_handed_out_to_the_agent_as_a_whole(stage: Any) -> None:
    agent = Agent(stage)
    await agent.enrol()
    await stage.create("agent.scan.create", params={"ip_range": "10.0.0.0/24"})
    [task] = (await agent.claim())["tasks"]
    assert task["miner"] is None
    assert task["params"] == {"ip_range": "10.0.0.0/24"}
