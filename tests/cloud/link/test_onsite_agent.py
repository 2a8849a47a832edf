"""An agent's tasks of the site against the real cloud: shown there once, whatever breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from agent.journal import Journal
from agent.link.client import CloudLink
from agent.ports import CloudError
from agent.tasks.path import TaskPath
from cloud.store.engine import rows
from cloud.store.schema.tables import task_batches, task_logs, tasks
from cloud.store.tasks.files import find_file
from contract.clock import SystemClock
from contract.link import ReportReply, ReportRequest
from contract.miner import Make
from contract.task import TaskName
from tests.agent.farm import FakeFarm
from tests.agent.policies import policy_with
from tests.cloud.conftest import AgentClient, Cloud
from tests.cloud.link.test_begins import forget

PATIENCE_S = 15.0


class Link(CloudLink):
    """Keeps what was sent; `before` and `after` each report something may go wrong."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.sent: list[bytes] = []
        self.before: Callable[[], Any] | None = None
        self.after: Callable[[], Any] | None = None

    async def report(self, request: ReportRequest) -> ReportReply:
        if self.before is not None:
            await self.before()
        self.sent.append(msgspec.json.encode(request))
        reply = await super().report(request)
        if self.after is not None:
            await self.after()
        return reply


class Agent:
    """An agent's process: its task path, on miners in memory, with the cloud of the test."""

    def __init__(self, cloud: Cloud, token: str, folder: Path, farm: FakeFarm) -> None:
        clock = SystemClock()
        self.farm = farm
        self.link = Link(cloud.base, token)
        self.journal = Journal(folder / "journal.db", clock, ballast_bytes=4096)
        policy = policy_with(stop_within_s=1.0)
        self.path = TaskPath(self.journal, self.link, farm, farm, farm, policy, clock, folder)
        self._run: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        return self._run is not None and not self._run.done()

    async def start(self) -> None:
        self._run = asyncio.create_task(self.path.run())
        async with asyncio.timeout(PATIENCE_S):
            await self.path.ready()

    async def stop(self) -> None:
        assert self._run is not None
        self.path.stop()
        await asyncio.wait_for(asyncio.shield(self._run), PATIENCE_S)
        await self.link.close()

    async def die(self) -> None:
        """End as a crash does: nothing is finished, nothing more is written."""
        assert self._run is not None
        self._run.cancel()
        await asyncio.wait({self._run})
        await self.link.close()

    async def wish(
        self, name: TaskName = TaskName.LIGHT, params: Any = None, origin: str = "onsite"
    ) -> dict[str, Any]:
        ref = msgspec.structs.replace(
            self.farm.miners[1].ref, last_ip="127.1.0.1", make=Make.ANTMINER
        )
        given = {"action": "on"} if params is None else params
        return await self.path.submit_local(name, given, ref, origin)


@asynccontextmanager
async def running(
    cloud: Cloud, client: AgentClient, folder: Path, farm: FakeFarm | None = None
) -> AsyncIterator[Agent]:
    agent = Agent(cloud, client.token, folder, farm or FakeFarm())
    await agent.start()
    try:
        yield agent
    finally:
        if agent.runs:
            await agent.stop()


async def all_tasks(cloud: Cloud) -> list[dict[str, Any]]:
    async with cloud.store.read() as connection:
        return rows(await connection.execute(tasks.select()))


async def shown(cloud: Cloud, status: str, count: int = 1) -> list[dict[str, Any]]:
    """The cloud's tasks, once there are so many and all have this status."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await all_tasks(cloud)
            if len(found) == count and {each["status"] for each in found} == {status}:
                return found


async def told(agent: Agent) -> None:
    """Wait until nothing is left to be told."""
    async with asyncio.timeout(PATIENCE_S):
        while await agent.journal.depth():
            pass  # each look is a turn of the journal's thread


async def batches(cloud: Cloud) -> list[dict[str, Any]]:
    async with cloud.store.read() as connection:
        return rows(await connection.execute(task_batches.select()))


async def forever() -> None:
    await asyncio.Event().wait()


async def test_what_is_done_on_site_is_shown_in_the_cloud_with_its_proof(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    async with running(cloud, client, tmp_path) as agent:
        result = await agent.wish()
        (row,) = await shown(cloud, "succeed")
        assert (row["id"], row["name"]) == (result["task_id"], "miner.light.update")
        assert row["result"]["evidence"] == result["evidence"]
        (batch,) = await batches(cloud)
        assert (batch["actor_type"], batch["metadata"]) == ("system", {"origin": "onsite"})
        await told(agent)


async def test_a_wish_of_the_monitor_has_a_name_of_the_closed_list_and_says_whose_it_is(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    async with running(cloud, client, tmp_path) as agent:
        await agent.wish(TaskName.MINING, {"action": "off"}, "rigmonitor")
        assert agent.farm.miners[1].ledger == ["Suspend"]
        await told(agent)
        (row,) = await all_tasks(cloud)
        assert (row["name"], row["params"]) == ("miner.mining.update", {"action": "off"})
        (batch,) = await batches(cloud)
        assert (batch["actor_id"], batch["actor_name"]) == (
            "rigmonitor-system",
            "Mining Rig Monitor",
        )
        async with cloud.store.read() as connection:
            first = await connection.scalar(sa.select(task_logs.c.message).limit(1))
        assert "rigmonitor" in str(first)


async def test_its_password_stays_on_site(cloud: Cloud, tmp_path: Path):
    client = await cloud.agent()
    pool = {"url": "stratum+tcp://p:1", "user": "w", "password": "hunter2"}
    async with running(cloud, client, tmp_path) as agent:
        miner = agent.farm.miners[1]
        miner.gate["write"] = asyncio.Event()
        wish = asyncio.create_task(agent.wish(TaskName.POOLS, {"pools": [pool]}))
        (row,) = await shown(cloud, "pending")
        assert row["params"] == {"pools": [pool | {"password": "***"}]}
        miner.gate["write"].set()
        assert (await wish)["status"] == "succeed"
        await shown(cloud, "succeed")
        await told(agent)
        assert agent.link.sent
        assert not any(b"hunter2" in body for body in agent.link.sent)


async def test_a_crash_between_outcome_and_report_costs_nothing(cloud: Cloud, tmp_path: Path):
    client = await cloud.agent()
    farm = FakeFarm()
    async with running(cloud, client, tmp_path, farm) as agent:
        agent.link.before = forever
        result = await agent.wish()
        assert await all_tasks(cloud) == []
        await agent.die()
    async with running(cloud, client, tmp_path, farm) as agent:
        (row,) = await shown(cloud, "succeed")
        assert (row["id"], row["late"]) == (result["task_id"], None)
        await told(agent)
    assert len(await all_tasks(cloud)) == len(await batches(cloud)) == 1
    assert farm.miners[1].ledger == ["Light"]


async def test_a_crash_between_report_and_its_answer_tells_it_twice_and_shows_it_once(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    farm = FakeFarm()
    async with running(cloud, client, tmp_path, farm) as agent:
        agent.link.after = forever
        await agent.wish()
        async with asyncio.timeout(PATIENCE_S):
            while not await all_tasks(cloud):  # as far as the one report told that got through
                pass
        await agent.die()
    async with running(cloud, client, tmp_path, farm) as agent:
        (row,) = await shown(cloud, "succeed")
        await told(agent)
        assert row["late"] is None
    assert len(await batches(cloud)) == 1


async def test_a_reboot_begun_before_a_crash_is_looked_at_and_its_end_is_told(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    farm = FakeFarm()
    farm.miners[1].gate["verify"] = asyncio.Event()
    async with running(cloud, client, tmp_path, farm) as agent:
        wish = asyncio.create_task(agent.wish(TaskName.REBOOT, {"force": True}))
        await shown(cloud, "pending")
        await agent.die()
        wish.cancel()
    farm.miners[1].gate.clear()
    async with running(cloud, client, tmp_path, farm):
        await shown(cloud, "succeed")
    assert farm.miners[1].ledger == ["Reboot"]


async def test_what_was_done_while_the_cloud_was_away_is_told_when_it_is_back(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    async with running(cloud, client, tmp_path) as agent:
        back = asyncio.Event()

        async def away() -> None:
            if not back.is_set():
                raise CloudError("no route to the cloud", retry=True)

        agent.link.before = away
        for action in ("on", "off", "on"):
            assert (await agent.wish(params={"action": action}))["status"] == "succeed"
        assert await all_tasks(cloud) == []
        back.set()
        await shown(cloud, "succeed", 3)
        await told(agent)


async def test_the_operator_cancels_what_waits_on_site(cloud: Cloud, tmp_path: Path):
    client = await cloud.agent()
    async with running(cloud, client, tmp_path) as agent:
        miner = agent.farm.miners[1]
        miner.gate["plan"] = asyncio.Event()
        first = asyncio.create_task(agent.wish())
        second = asyncio.create_task(agent.wish(params={"action": "off"}))
        found = await shown(cloud, "queuing", 2)
        (waiting,) = [each for each in found if each["params"] == {"action": "off"}]
        await cloud.ask_cancel(waiting["id"])
        ended = await asyncio.wait_for(second, PATIENCE_S)
        assert (ended["status"], ended["outcome"]) == ("cancelled", "not_done")
        miner.gate["plan"].set()
        assert (await asyncio.wait_for(first, PATIENCE_S))["status"] == "succeed"
        await told(agent)
    statuses = {each["id"]: each["status"] for each in await all_tasks(cloud)}
    assert statuses == {waiting["id"]: "cancelled", ended_id(found, waiting): "succeed"}
    assert miner.ledger == ["Light"]


def ended_id(found: list[dict[str, Any]], other: dict[str, Any]) -> str:
    (rest,) = [each["id"] for each in found if each is not other]
    return str(rest)


@pytest.mark.parametrize("name", [TaskName.SCAN, TaskName.LOG])
async def test_looks_are_shown_too_and_a_log_stays_on_its_host(
    cloud: Cloud, tmp_path: Path, name: TaskName
):
    client = await cloud.agent()
    async with running(cloud, client, tmp_path) as agent:
        result = await agent.wish(name, {})
        (row,) = await shown(cloud, "succeed")
        assert row["result"]["evidence"] == result["evidence"]
        if name is TaskName.LOG:
            assert Path(row["result"]["file"]["path"]).is_relative_to(tmp_path)
        await told(agent)


async def test_tasks_of_the_cloud_and_of_the_site_go_side_by_side(cloud: Cloud, tmp_path: Path):
    client = await cloud.agent()
    mac = FakeFarm().miners[0].ref.mac
    miner_id = await cloud.miner(client.agent_id, mac=mac, identity=mac)
    farm = FakeFarm()
    farm.miners[0].ref = msgspec.structs.replace(farm.miners[0].ref, id=miner_id)
    async with running(cloud, client, tmp_path, farm) as agent:
        await cloud.queue(TaskName.LOG, client.agent_id, miner_id=miner_id, count=5)
        for action in ("on", "off"):
            await agent.wish(params={"action": action})
        found = await shown(cloud, "succeed", 7)
        await told(agent)
    assert sorted(each["epoch"] for each in found) == [0, 0, 1, 1, 1, 1, 1]


async def test_a_log_that_a_database_put_back_does_not_expect_is_brought_once_it_was_told(
    cloud: Cloud, tmp_path: Path
):
    client = await cloud.agent()
    miner_id = await cloud.miner(client.agent_id)
    async with running(cloud, client, tmp_path) as agent:
        miner = agent.farm.miners[1]
        miner.ref = msgspec.structs.replace(miner.ref, id=miner_id)
        miner.gate["log"] = asyncio.Event()
        (task_id,) = await cloud.queue(TaskName.LOG, client.agent_id, miner_id=miner_id)
        await shown(cloud, "pending")
        await forget(cloud, task_id)
        miner.gate["log"].set()
        (row,) = await shown(cloud, "succeed")
        assert row["id"] == task_id
        record = await find_file(cloud.store, task_id, "miner.log")
        assert record is not None and record.sha256 == row["result"]["file"]["sha256"]
        assert record.completed_at is not None
