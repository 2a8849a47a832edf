"""Farms of one agent each, played over the link API, and the operator who orders their update."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud.config import CloudSettings
from cloud.context import SWEEPER
from cloud.http.listener import CloudListener
from cloud.server import create_app, create_runner
from cloud.store.access import admin
from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from contract.roles import Role
from tests.cloud.conftest import AgentClient, Cloud

OLD, NEW = "a" * 64, "b" * 64
BEFORE = {"version": "0.2.0", "release_sha256": OLD}
AFTER = {"version": "0.3.0", "release_sha256": NEW}
DONE = {"outcome": "done", "verified": True, "evidence": {"before": BEFORE, "after": AFTER}}
BACK = {
    "outcome": "not_done",
    "verified": True,
    "evidence": {"before": BEFORE, "after": BEFORE},
    "error": {"code": "not_verified", "message": "It did not reach its cloud within 300 s"},
}
UNKNOWN = {
    "outcome": "unknown",
    "verified": False,
    "evidence": {},
    "error": {"code": "internal", "message": "Nobody knows which release runs"},
}


@dataclass
class Played(AgentClient):
    """An agent that is asked to update itself. `held`: what it was given and has not ended."""

    name: str = ""
    version: str = "v0.2.0"
    release: str | None = OLD
    notices: tuple[str, ...] = ()
    held: list[Any] = field(default_factory=list)
    told: list[dict[str, Any]] = field(
        default_factory=list
    )  # all its events, as its journal keeps them

    async def beat(self) -> None:
        body = {"version": self.version, "uptime_s": 1.0, "host": {"hostname": self.name}}
        body |= {"release": self.release, "notices": self.notices}
        status, answer = await self.call("POST", "heartbeat", json=body)
        assert status == 200, answer

    async def ask(self) -> list[Any]:
        """What it is newly given; what its cloud has lost of its outcomes is told once more."""
        given = await self._claim()
        if given["heard_seq"] < self.seq:
            late = [event for event in self.told if event["seq"] > given["heard_seq"]]
            await self.report(*late)
            again = await self._claim()
            given["tasks"] += again["tasks"]
            given["cancel"] += again["cancel"]
        known = {task["task_id"] for task in self.held}
        new = [task for task in given["tasks"] if task["task_id"] not in known]
        self.held += new
        self.called_off = given["cancel"]
        return new

    called_off: list[str] = field(default_factory=list)

    async def _claim(self) -> Any:
        held = [{"task_id": each["task_id"], "epoch": each["epoch"]} for each in self.held]
        return await self.claim(open=held, told_seq=self.seq)

    async def tell(self, state: str, at: Any, result: Mapping[str, Any] | None = None) -> None:
        """Of the one task that it holds."""
        [task] = self.held
        more: dict[str, Any] = {} if result is None else {"result": result}
        event = self.event(task, state, at, begin_id="b1", **more)
        self.told.append(event)
        if result is not None:
            self.held.clear()
        status, answer = await self.report(event)
        assert status == 200, answer


@dataclass
class Fleet:
    """The operator of a workspace and its agents, by name."""

    cloud: Cloud
    agents: dict[str, Played]

    @property
    def path(self) -> str:
        return f"/private-api/v1/{self.cloud.workspace_id}/updates"

    async def ask(
        self, method: str, path: str, body: Any = None, *, status: int = 200, key: str = ""
    ) -> Any:
        headers = {"x-api-key": key or self.cloud.key}
        url = self.cloud.base + path
        async with self.cloud.http.request(method, url, json=body, headers=headers) as response:
            answer = await response.json()
            assert response.status == status, answer
        return answer

    async def order(self, *, status: int = 200, **body: Any) -> Any:
        body = {"expect_count": len(self.agents), **body}
        return await self.ask("POST", self.path, body, status=status)

    async def ordered(self, **body: Any) -> str:
        """The id of an order."""
        return str((await self.order(**body))["meta"]["group_id"])

    async def plan(self, **body: Any) -> Any:
        return (await self.ask("POST", self.path, {"dry_run": True, **body}))["data"]

    async def shown(self, group_id: str) -> Any:
        return (await self.ask("GET", f"{self.path}/{group_id}"))["data"]

    async def state(self, group_id: str) -> tuple[str, str]:
        update = (await self.shown(group_id))["update"]
        return update["state"], update["message"]

    async def statuses(self, group_id: str) -> dict[str, str]:
        return {each["name"]: each["status"] for each in (await self.shown(group_id))["agents"]}

    async def beat(self) -> None:
        for each in self.agents.values():
            await each.beat()

    async def pass_time(self, seconds: float) -> None:
        """So slowly that those who are there stay online."""
        while seconds > 0:
            self.cloud.clock.move(min(seconds, 45.0))
            await self.beat()
            seconds -= 45.0

    async def turn(self) -> set[str]:
        """The cloud looks, and all agents ask: who was given a task by that."""
        await self.cloud.sweeper.sweep()
        return {name for name, each in self.agents.items() if await each.ask()}

    async def end(self, name: str, state: str, result: Mapping[str, Any]) -> None:
        """That agent begins what it was given, and comes to this end."""
        now = self.cloud.clock.now()
        await self.agents[name].tell("pending", now)
        await self.agents[name].tell(state, now, result)

    async def key_of(self, role: Role) -> str:
        _, key = await admin.create_key(
            self.cloud.store, self.cloud.workspace_id, role, self.cloud.clock.now(), role=role
        )
        return key


async def fleet_of(cloud: Cloud, number: int) -> Fleet:
    """Farms with an agent each, `pi-1` and so on, all of them online and with a release."""
    fleet = Fleet(cloud, {})
    for index in range(1, number + 1):
        name, now = f"pi-{index}", cloud.clock.now()
        farm = await admin.create_farm(cloud.store, cloud.workspace_id, f"farm-{index}", now)
        row = await admin.create_agent(cloud.store, farm["id"], name, now)
        made = await cloud.agent(farm["id"], row["id"])
        played = Played(made.base, made.token, made.agent_id, made.farm_id, made.http, name=name)
        cloud.clock.move(0.001)  # so that they are of different age
        await played.beat()
        await played.ask()
        fleet.agents[name] = played
    return fleet


def copied(cloud: Cloud, where: Path) -> Path:
    """A copy of its database as it is now."""
    where.mkdir()
    for path in cloud.settings.data.glob(f"{DATABASE_NAME}*"):
        shutil.copy(path, where)
    return where


@asynccontextmanager
async def served_from(fleet: Fleet, data: Path) -> AsyncIterator[Fleet]:
    """The same agents and another cloud, which begins with the database in that folder."""
    old = fleet.cloud
    store, settings = Store.at(sqlite_url(data)), CloudSettings(data=data)
    app = create_app(store, settings, old.clock)
    runner = create_runner(app)
    await runner.setup()
    listener = CloudListener(runner, "127.0.0.1", 0, settings, most=settings.connections_max)
    await listener.start()
    base = f"http://127.0.0.1:{listener.port}"
    cloud = Cloud(
        base, store, app, old.clock, settings, old.http, old.workspace_id, old.farm_id, old.key,
        app[SWEEPER],
    )  # fmt: skip
    for each in fleet.agents.values():
        each.base = base
    yield Fleet(cloud, fleet.agents)
    await runner.cleanup()
    await store.close()
