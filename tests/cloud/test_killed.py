"""A cloud that is killed in the middle of a large order, or right after the report that a canary waited for."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from cloud.store.ids import new_miner_id
from cloud.store.schema.migrate import migrate
from cloud.store.schema.tables import miners
from contract.clock import to_text
from tests.waiting import until
from tests.warm import Life, started

MANY = 1000
LIGHT: dict[str, Any] = {"task_name": "miner.light.update", "params": {"action": "on"}}
ALL = {"all": True}


@dataclass
class Site:
    data: Path
    path: str
    key: str
    code: str
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[tuple[str, Life]]:
        words = ("serve", "--data", str(self.data), "--port", "0", "--json")
        process = await started("cloud.cli", *words)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                yield json.loads(await process.stdout.readline())["url"], process
        finally:
            process.kill()
            await process.wait()

    async def ask(self, method: str, url: str, body: Any = None) -> Any:
        headers = {"x-api-key": self.key}
        async with self.http.request(method, url, json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.data / DATABASE_NAME)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def is_writing(self) -> bool:
        """Whether somebody is in a transaction that writes."""
        with closing(sqlite3.connect(self.data / DATABASE_NAME, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.rollback()
            return False


@pytest.fixture
async def site(tmp_path: Path, empty_database: Path) -> AsyncIterator[Site]:
    (tmp_path / DATABASE_NAME).write_bytes(empty_database.read_bytes())
    migrate(sqlite_url(tmp_path))
    store, now = Store.at(sqlite_url(tmp_path)), datetime.now(UTC)
    workspace = await admin.create_workspace(store, "W", now)
    farm = await admin.create_farm(store, workspace["id"], "F", now)
    _, key = await admin.create_key(store, workspace["id"], "K", now)
    code, _ = await admin.create_enroll_code(store, farm["id"], None, now, hours=1)
    rows = [
        {
            "id": new_miner_id(),
            "farm_id": farm["id"],
            "workspace_id": workspace["id"],
            "identity": f"02:00:00:00:{number >> 8:02X}:{number & 255:02X}",
            "mac": f"02:00:00:00:{number >> 8:02X}:{number & 255:02X}",
            "ip": f"10.0.{number >> 8}.{number & 255}",
            "make": "Bitmain",
            "created_at": now,
            "updated_at": now,
        }
        for number in range(MANY)
    ]
    async with store.write() as connection:
        await connection.execute(miners.insert(), rows)
    await store.close()
    path = f"/private-api/v1/{workspace['id']}/farms/{farm['id']}/tasks"
    async with aiohttp.ClientSession() as http:
        yield Site(tmp_path, path, key, code, http)


async def test_a_cloud_killed_while_it_makes_a_thousand_tasks_has_made_all_or_none(
    site: Site,
) -> None:
    body = {**LIGHT, "selection": ALL, "expect_count": MANY, "canary": 3}
    async with site.serving() as (url, process):
        asking = asyncio.create_task(site.ask("POST", f"{url}{site.path}/batches", body))
        await until(site.is_writing, every_s=0.002)
        process.kill()
        await process.wait()
        with pytest.raises(aiohttp.ClientError):
            await asking
    made = (site.count("tasks"), site.count("task_groups"))
    assert made in ((0, 0), (MANY, 1))
    async with site.serving() as (url, _):
        again = await site.ask("POST", f"{url}{site.path}/batches", body)
    assert again["meta"]["summary"]["created_count"] == MANY - made[0]
    assert (site.count("tasks"), site.count("task_groups")) == (MANY, 1)
    assert site.count("tasks WHERE held") == MANY - 3


async def test_what_waits_for_a_canary_is_let_go_once_although_the_cloud_died_with_its_last_report(
    site: Site,
) -> None:
    async with site.serving() as (url, process):
        enroll = {"code": site.code, "hostname": "pi", "version": "v", "platform": "Linux"}
        enrolled = await site.ask("POST", f"{url}/link/v1/enroll", enroll)
        token = {"Authorization": f"Bearer {enrolled['token']}"}

        async def link(base: str, what: str, body: Any) -> Any:
            address = f"{base}/link/v1/{what}"
            async with site.http.post(address, json=body, headers=token) as response:
                assert response.status == 200, await response.text()
                return await response.json()

        claim = {"journal_id": "j", "last_seq": 0, "room": 2000, "wait_s": 0.0}
        body = {**LIGHT, "selection": ALL, "expect_count": MANY, "canary": 2}
        made = await site.ask("POST", f"{url}{site.path}/batches", body)
        first = (await link(url, "claims", claim))["tasks"]
        assert len(first) == 2
        result = {"outcome": "done", "verified": True, "evidence": {}}
        events = [
            {
                "task_id": task["task_id"],
                "epoch": task["epoch"],
                "seq": seq,
                "state": "succeed",
                "at": to_text(datetime.now(UTC)),
                "result": result,
            }
            for seq, task in enumerate(first, 1)
        ]
        await link(url, "reports", {"journal_id": "j", "events": events})
        process.kill()
        await process.wait()
    async with site.serving() as (url, _):
        claim |= {"last_seq": 2, "told_seq": 2, "wait_s": 15.0}
        rest: list[str] = []
        while len(rest) < MANY - 2:
            held = [{"task_id": each, "epoch": 1} for each in rest]
            found = (await link(url, "claims", claim | {"open": held}))["tasks"]
            rest += [task["task_id"] for task in found]
        assert len(set(rest)) == len(rest) == MANY - 2
        group = f"{url}{site.path}/groups/{made['meta']['group_id']}"
        told = (await site.ask("GET", group))["data"]
        assert told["canary"]["state"] == "proven"
        assert told["group"]["held_count"] == 0
