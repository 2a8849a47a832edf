"""A cloud that is killed in the middle of an update of agents goes on where it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from tests.cloud.updates.fleet import DONE, Played
from tests.warm import Life, started


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[tuple[str, Life]]:
    process = await started("cloud.cli", "serve", "--data", str(data), "--port", "0", "--json")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield json.loads(await process.stdout.readline())["url"], process
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_next_ones_turn_comes_once_although_the_cloud_died_with_the_report_before(
    tmp_path: Path, empty_database: Path, http: aiohttp.ClientSession
) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(empty_database.read_bytes())
    store, now = Store.at(sqlite_url(tmp_path)), datetime.now(UTC)
    workspace = await admin.create_workspace(store, "W", now)
    _, key = await admin.create_key(store, workspace["id"], "K", now)
    codes = []
    for number in range(3):
        farm = await admin.create_farm(store, workspace["id"], f"farm-{number}", now)
        code, _ = await admin.create_enroll_code(store, farm["id"], None, now, hours=1)
        codes.append(code)
    await store.close()
    headers, path = {"x-api-key": key}, f"/private-api/v1/{workspace['id']}/updates"
    agents: list[Played] = []
    async with serving(tmp_path) as (url, process):
        for code in codes:
            body = {"code": code, "hostname": "pi", "version": "v0.2.0", "platform": "Linux"}
            async with http.post(f"{url}/link/v1/enroll", json=body) as response:
                made = await response.json()
            agent = Played(url, made["token"], made["agent_id"], made["farm_id"], http)
            await agent.beat()
            await agent.ask()
            agents.append(agent)
        order = {"expect_count": 3, "first": agents[1].agent_id}
        async with http.post(url + path, json=order, headers=headers) as response:
            group_id = (await response.json())["meta"]["group_id"]
        agents[1].held += (await agents[1].claim(wait_s=15.0))["tasks"]
        await agents[1].tell("pending", datetime.now(UTC))
        await agents[1].tell("succeed", datetime.now(UTC), DONE)
        process.kill()
        await process.wait()
    async with serving(tmp_path) as (url, _):
        for agent in agents:
            agent.base = url
            assert await agent.ask() == []
        waiting = [
            asyncio.create_task(agent.claim(wait_s=15.0, last_seq=agent.seq))
            for agent in (agents[0], agents[2])
        ]
        done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert [len(each.result()["tasks"]) for each in done] == [1]
        for each in pending:  # it still waits for its turn
            each.cancel()
        async with http.get(f"{url}{path}/{group_id}", headers=headers) as response:
            update = (await response.json())["data"]["update"]
        counted = (update["state"], update["succeed_count"], update["held_count"])
        assert counted == ("going", 1, 1)
