"""A real cloud on loopback over real SQLite, with a clock the test moves."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa
from aiohttp import web

from cloud.config import CloudSettings
from cloud.context import FILES, SESSIONS, SWEEPER, TIME, WAKE_UPS
from cloud.http.listener import CloudListener
from cloud.link.sessions import Session
from cloud.server import create_app, create_runner
from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME, Store, rows, sqlite_url
from cloud.store.ids import new_miner_id, new_uuid
from cloud.store.schema.migrate import migrate
from cloud.store.schema.tables import metadata, miners, task_batches, tasks
from cloud.sweeper import Sweeper
from contract.clock import BootTime, to_text
from contract.task import BY_AGENTS, SPECS, TaskName


class HandClock:
    """Moves only when told; waiting on it ends when it has moved far enough."""

    def __init__(self) -> None:
        self.boot_id = "one boot"
        self._mono = 1000.0
        self._now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self._now

    def mono(self) -> float:
        return self._mono

    def boot(self) -> BootTime:
        return BootTime(self.boot_id, self._mono)

    async def sleep(self, seconds: float) -> None:
        until = self._mono + seconds
        while self._mono < until:
            await self._moved.wait()

    def move(self, seconds: float) -> None:
        self._mono += seconds
        self._now += timedelta(seconds=seconds)
        self._moved.set()
        self._moved = asyncio.Event()

    def step(self, days: float) -> None:
        """Somebody sets the clock on the wall; no time passes."""
        self._now += timedelta(days=days)


@dataclass
class AgentClient:
    """Speaks the link API as any agent would, by hand."""

    base: str
    token: str
    agent_id: str
    farm_id: str
    http: aiohttp.ClientSession
    journal_id: str = "journal-1"
    seq: int = 0

    async def call(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}"} | kwargs.pop("headers", {})
        url = f"{self.base}/link/v1/{path}"
        async with self.http.request(method, url, headers=headers, **kwargs) as response:
            return response.status, await response.json()

    async def claim(self, *, room: int = 100, wait_s: float = 0.0, **more: Any) -> Any:
        body = {
            "journal_id": self.journal_id,
            "last_seq": self.seq,
            "room": room,
            "wait_s": wait_s,
            "knows": BY_AGENTS,
        }
        status, answer = await self.call("POST", "claims", json=body | more)
        assert status == 200, answer
        return answer

    def event(self, task: Any, state: str, at: datetime | str, **more: Any) -> dict[str, Any]:
        self.seq += 1
        return {
            "task_id": task["task_id"],
            "epoch": task["epoch"],
            "seq": self.seq,
            "state": state,
            "at": at if isinstance(at, str) else to_text(at),
        } | more

    async def report(
        self, *events: dict[str, Any], journal_id: str | None = None
    ) -> tuple[int, Any]:
        body = {"journal_id": journal_id or self.journal_id, "events": list(events)}
        return await self.call("POST", "reports", json=body)


@dataclass
class Cloud:
    base: str
    store: Store
    app: web.Application
    clock: HandClock
    settings: CloudSettings
    http: aiohttp.ClientSession
    workspace_id: str
    farm_id: str
    key: str
    sweeper: Sweeper
    _made: int = field(default=0)

    async def agent(self, farm_id: str | None = None, agent_id: str | None = None) -> AgentClient:
        farm = farm_id or self.farm_id
        code, _ = await admin.create_enroll_code(
            self.store, farm, agent_id, self.clock.now(), hours=1
        )
        body = {"code": code, "hostname": "pi", "version": "v0.1.0", "platform": "Linux"}
        async with self.http.post(f"{self.base}/link/v1/enroll", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        return AgentClient(self.base, answer["token"], answer["agent_id"], farm, self.http)

    async def miner(self, agent_id: str | None, ip: str = "127.1.0.1", **more: Any) -> str:
        self._made += 1
        mac = f"02:00:00:00:{self._made // 256:02X}:{self._made % 256:02X}"
        row = {
            "id": new_miner_id(),
            "farm_id": self.farm_id,
            "workspace_id": self.workspace_id,
            "agent_id": agent_id,
            "identity": mac,
            "mac": mac,
            "ip": ip,
            "make": "Bitmain",
            "created_at": self.clock.now(),
            "updated_at": self.clock.now(),
        } | more
        async with self.store.write() as connection:
            await connection.execute(miners.insert().values(**row))
        return str(row["id"])

    async def miner_for(self, name: TaskName, agent_id: str | None, **more: Any) -> str:
        """A miner that takes such a task."""
        limited = {"make": "MicroBT"} if name is TaskName.POWER_LIMIT else {}
        return await self.miner(agent_id, drivable=True, **limited, **more)

    async def queue(
        self,
        name: TaskName,
        agent_id: str | None,
        *,
        miner_id: str | None = None,
        count: int = 1,
        ttl_s: float = 86_400,
        params: dict[str, Any] | None = None,
    ) -> list[str]:
        """Tasks as the operator's API makes them: stored in one transaction, then the agent is woken."""
        now = self.clock.now()
        batch_id = new_uuid()
        common = {"farm_id": self.farm_id, "workspace_id": self.workspace_id, "created_at": now}
        batch = {
            "id": batch_id,
            "task_name": name,
            "params": params,
            "task_count": count,
            "actor_type": "system",
            "actor_id": "test",
            "actor_metadata": {},
        }
        made = [
            {
                "id": new_uuid(),
                "batch_id": batch_id,
                "miner_id": miner_id,
                "agent_id": agent_id,
                "name": name,
                "kind": SPECS[name].kind,
                "params": params or {},
                "status": "created" if agent_id is None else "queuing",
                "queuing_at": None if agent_id is None else now,
                "queue_expires_cloud_s": self.app[TIME].now() + ttl_s,
                "limit_s": SPECS[name].limit_s,
            }
            | common
            for _ in range(count)
        ]
        async with self.store.write() as connection:
            await connection.execute(task_batches.insert().values(**batch, **common))
            await connection.execute(tasks.insert(), made)
        if agent_id is None:
            self.app[WAKE_UPS].wake_farm(self.farm_id)
        else:
            self.app[WAKE_UPS].wake(agent_id)
        return [str(row["id"]) for row in made]

    @property
    def app_sessions(self) -> dict[str, Session]:
        return self.app[SESSIONS]._sessions

    async def ask_cancel(self, task_id: str) -> None:
        """As the operator's API does for a task that an agent holds."""
        async with self.store.write() as connection:
            await connection.execute(
                tasks.update()
                .where(tasks.c.id == task_id)
                .values(cancel_requested_at=self.clock.now())
            )
        agent_id = (await self.task(task_id))["agent_id"]
        self.app[WAKE_UPS].wake(agent_id)

    async def count_tasks(self, **where: Any) -> int:
        query = sa.select(sa.func.count()).select_from(tasks)
        for name, value in where.items():
            query = query.where(tasks.c[name] == value)
        async with self.store.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def changes(self) -> int:
        """A number that moves with every commit to the database."""
        with sqlite3.connect(self.settings.data / DATABASE_NAME) as connection:
            rows_of = [
                connection.execute(f"select * from {table.name}").fetchall()
                for table in metadata.sorted_tables
            ]
        connection.close()
        return hash(repr(rows_of))

    async def task(self, task_id: str) -> dict[str, Any]:
        async with self.store.read() as connection:
            found = rows(await connection.execute(tasks.select().where(tasks.c.id == task_id)))
        return found[0]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; every test gets a copy."""
    folder = tmp_path_factory.mktemp("database")
    migrate(sqlite_url(folder))
    return folder / DATABASE_NAME


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def settings(tmp_path: Path) -> CloudSettings:
    return CloudSettings(data=tmp_path, operator_body_bytes=1024 * 1024)


@pytest.fixture
async def cloud(
    empty_database: Path, clock: HandClock, settings: CloudSettings
) -> AsyncIterator[Cloud]:
    shutil.copy(empty_database, settings.data / DATABASE_NAME)
    store = Store.at(sqlite_url(settings.data))
    app = create_app(store, settings, clock)
    runner = create_runner(app)
    await runner.setup()
    listener = CloudListener(runner, "127.0.0.1", 0, settings, most=settings.connections_max)
    await listener.start()
    base = f"http://127.0.0.1:{listener.port}"
    app[FILES].base_url = base
    workspace = await admin.create_workspace(store, "W", clock.now())
    farm = await admin.create_farm(store, workspace["id"], "F", clock.now())
    _, key = await admin.create_key(store, workspace["id"], "K", clock.now())
    async with aiohttp.ClientSession() as http:
        yield Cloud(
            base, store, app, clock, settings, http, workspace["id"], farm["id"], key, app[SWEEPER]
        )
    await runner.cleanup()
    await store.close()


def done(**evidence: Any) -> dict[str, Any]:
    """A result of a task that did what it should."""
    return {"outcome": "done", "verified": True, "evidence": evidence}


def body_of(message: Any) -> bytes:
    """A link message as JSON."""
    return msgspec.json.encode(message)
