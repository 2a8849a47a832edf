"""A whole agent between its cloud, a monitor and a miner: maintenance is told, kept, and outlives cloud and process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from agent.config.file import Config
from agent.daemon import Daemon
from cloud.config import CloudSettings
from cloud.server import create_app, create_runner
from cloud.store.access import admin
from cloud.store.engine import Store, sqlite_url
from cloud.store.schema.migrate import migrate
from contract.clock import Clock, SystemClock
from service.notify import Notifier
from tests.agent.rigmonitor.stage import codes_for, farm_of, monitor_config, switched
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server
from tests.waiting import until


@asynccontextmanager
async def serving(
    folder: Path, port: int = 0, *, clock: Clock | None = None
) -> AsyncIterator[tuple[Store, str]]:
    """A cloud on the host's clock, or another, until left; and its address."""
    store = Store.at(sqlite_url(folder))
    runner = create_runner(create_app(store, CloudSettings(data=folder), clock or SystemClock()))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield store, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
        await store.close()


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Daemon]:
    daemon = Daemon(config, SystemClock(), Notifier({}))
    task = asyncio.create_task(daemon.run())
    try:
        yield daemon
    finally:
        daemon.stop()
        await task


class Desk:
    """An operator of that cloud."""

    def __init__(self, http: aiohttp.ClientSession, base: str, key: str, farm: dict[str, Any]):
        self._http, self._key = http, key
        self._farm = f"{base}/private-api/v1/{farm['workspace_id']}/farms/{farm['id']}"

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        headers = {"x-api-key": self._key}
        async with self._http.request(
            method, f"{self._farm}/{path}", headers=headers, **more
        ) as answer:
            body = await answer.json()
            assert answer.status == 200, body
            return body["data"]

    async def miner_id(self) -> str:
        found: list[Any] = []

        async def is_listed() -> bool:
            found[:] = await self.ask("GET", "miner/latest")
            return bool(found)

        await until(is_listed)
        return str(found[0]["id"])

    async def put(self, miner_id: str, status: str) -> None:
        name, params = "miner.asset.update", {"status": status}
        body = {"task_name": name, "miner_ids": [miner_id], "params": params}
        await self.ask("POST", "tasks/batches", json=body)


async def asked_again(server: StrictServer) -> None:
    """Until the monitor has told its wishes a few times more."""
    before = server.replies["expected_status", 200]
    await until(lambda: server.replies["expected_status", 200] > before + 4)


async def test_wishes_wait_through_a_cloud_that_is_away_and_a_restart_of_the_agent(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "cloud", tmp_path / "agent"
    folder.mkdir()
    state.mkdir()
    migrate(sqlite_url(folder))
    async with (
        farm_of("antminer/s21:1") as farm,
        strict_server() as server,
        aiohttp.ClientSession() as http,
    ):
        (device,) = farm.miners
        (code,) = codes_for(farm, state)[1].values()
        machine = server.add(code)
        config = monitor_config(farm, state, server.url)
        async with serving(folder) as (store, base):
            now = SystemClock().now()
            workspace = await admin.create_workspace(store, "W", now)
            place = await admin.create_farm(store, workspace["id"], "F", now)
            _, key = await admin.create_key(store, workspace["id"], "K", now)
            enrol, _ = await admin.create_enroll_code(store, place["id"], None, now, hours=1)
            body = {"code": enrol, "hostname": "pi", "version": "v", "platform": "Linux"}
            async with http.post(f"{base}/link/v1/enroll", json=body) as answer:
                token = (await answer.json())["token"]
            (state / "token").write_text(token)
            (state / "token").chmod(0o600)
            cloud = config.cloud.model_copy(update={"url": base})
            health = config.health.model_copy(update={"heartbeat_s": 1.0})
            config = config.model_copy(update={"cloud": cloud, "health": health})
            desk = Desk(http, base, key, place)
            async with running(config) as daemon:
                miner_id = await desk.miner_id()
                await desk.put(miner_id, "maintenance")
                await until(lambda: daemon._path.maintenance.keys == {device.mac})
        machine.asic, machine.light = "off", "on"  # the cloud is gone by now
        async with running(config):
            await asked_again(server)
            assert switched(farm, device.ip) == []
            async with serving(folder, int(base.rpartition(":")[2])):
                await desk.put(miner_id, "on_rack")
                await until(lambda: device.state == "sleeping" and device.light)
        assert len(switched(farm, device.ip)) == 2
        assert server.faults == []
