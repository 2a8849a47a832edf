"""A cloud with a library, and an agent with miners in memory, which fetches over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.config.firmware import FirmwareSection
from agent.firmware.download import WebDownloader
from agent.firmware.servers import FileServers
from agent.journal import Journal
from agent.link.client import CloudLink
from agent.tasks.path import TaskPath
from cloud.context import WAKE_UPS
from contract.clock import SystemClock
from tests.agent.farm import FakeFarm
from tests.agent.policies import policy_with
from tests.cloud.conftest import AgentClient, Cloud
from tests.cloud.firmware.shelf import DATA, IMAGE, SHA, Shelf, miner, shelf_of
from tests.waiting import until

PATIENCE_S = 20.0


class Fetching(WebDownloader):
    """Keeps the addresses that were asked for."""

    def __init__(self, base: str) -> None:
        super().__init__(FileServers(FirmwareSection(), cloud_url=base), idle_timeout_s=2.0)
        self.asked: list[str] = []

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        self.asked.append(url)
        return await super().fetch(url, folder, cap_bytes=cap_bytes, sha256=sha256)


class Agent:
    """One process of an agent, after another in the same state folder."""

    def __init__(self, cloud: Cloud, client: AgentClient, folder: Path, farm: FakeFarm) -> None:
        self.files = Fetching(cloud.base)
        self._wake = partial(cloud.app[WAKE_UPS].wake, client.agent_id)
        self.link = CloudLink(cloud.base, client.token)
        clock = SystemClock()
        journal = Journal(folder / "journal.db", clock, ballast_bytes=4096)
        policy = policy_with(stop_within_s=1.0, power_ons_per_10_s=10_000)
        self.path = TaskPath(journal, self.link, farm, farm, self.files, policy, clock, folder)
        self._run = asyncio.create_task(self.path.run())

    async def stop(self) -> None:
        self.path.stop()
        await asyncio.wait_for(asyncio.shield(self._run), PATIENCE_S)
        await self._hang_up()

    async def _hang_up(self) -> None:
        await self.link.close()
        self._wake()  # the cloud notices that nobody waits any more


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Of the agent; the cloud has the folder around it."""
    folder = tmp_path / "agent"
    folder.mkdir()
    return folder


@asynccontextmanager
async def running(
    cloud: Cloud, client: AgentClient, folder: Path, farm: FakeFarm
) -> AsyncIterator[Agent]:
    agent = Agent(cloud, client, folder, farm)
    try:
        yield agent
    finally:
        await agent.stop()


async def farm_of(cloud: Cloud, client: AgentClient, count: int) -> tuple[FakeFarm, list[str]]:
    """Miners in memory, and their ids in the cloud."""
    farm = FakeFarm(count)
    ids = [
        await miner(cloud, client.agent_id, id=each.ref.id, mac=each.ref.mac)
        for each in farm.miners
    ]
    return farm, ids


async def ended(cloud: Cloud, shelf: Shelf, *miner_ids: str, **params: Any) -> list[dict[str, Any]]:
    """The tasks of an order, once all of them have ended."""
    made = await shelf.order(*miner_ids, **params)
    return await at_end(shelf, made["data"][0]["batch_id"])


async def at_end(shelf: Shelf, batch_id: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            batch = await shelf.tasks_of(batch_id)
            if batch["status"] != "pending":
                found: list[dict[str, Any]] = batch["tasks"]
                return found


async def test_fifty_tasks_on_one_image_are_one_download_and_the_next_batch_is_none(
    cloud: Cloud, state: Path
):
    shelf, client = shelf_of(cloud), await cloud.agent()
    await shelf.add()
    farm, ids = await farm_of(cloud, client, 50)
    async with running(cloud, client, state, farm) as agent:
        tasks = await ended(cloud, shelf, *ids)
        assert [each["status"] for each in tasks] == ["succeed"] * 50
        assert len(agent.files.asked) == 1
        (kept,) = (state / "firmware").glob("*/*")
        assert kept.read_bytes() == DATA
        await ended(cloud, shelf, ids[0])
        assert len(agent.files.asked) == 1
    async with running(cloud, client, state, farm) as agent:  # the next process has it, too
        await ended(cloud, shelf, ids[1])
        assert agent.files.asked == []
        # What lies on the disk is read whole before each use.
        kept.write_bytes(DATA[:-1] + b"!")
        await ended(cloud, shelf, ids[2])
        assert len(agent.files.asked) == 1
        (again,) = (state / "firmware").glob("*/*")
        assert hashlib.sha256(again.read_bytes()).hexdigest() == SHA
    assert [each.ledger.count("FirmwareUpdate") for each in farm.miners] == [2, 2, 2] + [1] * 47


async def test_what_the_cloud_does_not_give_flashes_nobody(cloud: Cloud, state: Path):
    shelf, client = shelf_of(cloud), await cloud.agent()
    await shelf.add()
    farm, ids = await farm_of(cloud, client, 3)
    async with running(cloud, client, state, farm):
        shelf.file().write_bytes(DATA[:-1] + b"!")
        tasks = await ended(cloud, shelf, *ids)
    assert [each["status"] for each in tasks] == ["failed"] * 3
    (error,) = {(each["error"]["code"], each["error"]["message"]) for each in tasks}
    assert error[0] == "bad_firmware"
    assert "is not given by its server" in error[1]
    assert "sig=" not in error[1]
    assert [each.ledger for each in farm.miners] == [[], [], []]


class Relay:
    """Between an agent and its cloud. Of an image only the first bytes come through, while it `holds`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.holds = True
        self.held = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        first = await reader.read(65_536)
        back.write(first)
        is_held = self.holds and first.startswith(b"GET /firmware/")
        answers = asyncio.create_task(self._pass(there, writer, most=100_000 if is_held else None))
        try:
            while data := await reader.read(65_536):
                back.write(data)
        except ConnectionError:
            pass  # killed
        finally:
            answers.cancel()
            back.close()
            writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, most: int | None
    ) -> None:
        passed = 0
        while data := await reader.read(50_000):
            writer.write(data)
            passed += len(data)
            if most is not None and passed > most:
                self.held.set()
                return
        writer.close()


async def test_an_agent_that_is_killed_during_the_download_flashes_once(cloud: Cloud, state: Path):
    shelf, client = shelf_of(cloud), await cloud.agent()
    await shelf.add()
    _, ids = await farm_of(cloud, client, 1)
    relay = Relay(int(cloud.base.rpartition(":")[2]))
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def life() -> asyncio.subprocess.Process:
        words = (sys.executable, "-m", "tests.cloud.firmware.life", url, client.token, state)
        return await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)

    made = await shelf.order(*ids)
    process = await life()
    async with asyncio.timeout(PATIENCE_S):
        await relay.held.wait()
    await until(lambda: any(each.stat().st_size for each in state.glob("work/*/*")))
    process.kill()
    await process.wait()
    assert not (state / "book").exists()
    relay.holds = False
    process = await life()
    (task,) = await at_end(shelf, made["data"][0]["batch_id"])
    process.kill()
    await process.wait()
    cloud.app[WAKE_UPS].wake(client.agent_id)  # it notices that nobody waits any more
    assert task["status"] == "succeed"
    assert (state / "book").read_text() == "FirmwareUpdate\n"
    assert list((state / "work").iterdir()) == []
    (kept,) = (state / "firmware").glob("*/*")
    assert kept.read_bytes() == DATA
    server.close()


@pytest.mark.parametrize("url", [None, "https://a.test/b.bmu"])
async def test_a_name_of_the_library_is_refused_by_an_agent_itself(
    cloud: Cloud, state: Path, url: str | None
):
    client = await cloud.agent()
    farm, _ = await farm_of(cloud, client, 1)
    async with running(cloud, client, state, farm) as agent:
        params = {"firmware": IMAGE["name"]} | ({} if url is None else {"firmware_url": url})
        wish = agent.path.submit_local(
            "miner.firmware.update", params, farm.miners[0].ref, "onsite"
        )
        if url is not None:
            with pytest.raises(ValueError, match="give one of firmware_url and firmware"):
                await wish
            return
        result = await wish
    assert (result["outcome"], result["error"]["code"]) == ("not_done", "bad_params")
    assert "order it there, or give firmware_url" in result["error"]["message"]
