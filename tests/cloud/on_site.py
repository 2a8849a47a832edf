"""A whole agent and its cloud in one process: the cloud served, the agent enrolled and run, an operator who asks."""

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
from contract.clock import Clock, SystemClock
from service.notify import Notifier
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


async def enrolled(store: Store, base: str, http: aiohttp.ClientSession, state: Path) -> Desk:
    """A workspace with one farm, whose agent has its token in the folder `state`; gives its operator."""
    now = SystemClock().now()
    workspace = await admin.create_workspace(store, "W", now)
    farm = await admin.create_farm(store, workspace["id"], "F", now)
    _, key = await admin.create_key(store, workspace["id"], "K", now)
    code, _ = await admin.create_enroll_code(store, farm["id"], None, now, hours=1)
    body = {"code": code, "hostname": "pi", "version": "v", "platform": "Linux"}
    async with http.post(f"{base}/link/v1/enroll", json=body) as answer:
        (state / "token").write_text((await answer.json())["token"])
    (state / "token").chmod(0o600)
    return Desk(http, base, key, farm)
