"""A cloud on loopback with a real database, a farm of six miners seen by one agent, and a neighbour's workspace."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cloud.config import CloudSettings
from cloud.context import FILES, GROWTH, SESSIONS, TIME, WAKE_UPS
from cloud.link.files import Files
from cloud.link.sessions import Sessions
from cloud.link.wake_ups import WakeUps
from cloud.server import create_app
from cloud.store.cloud_time import CloudTime
from cloud.store.engine import DATABASE_NAME, Store, sqlite_url
from cloud.store.growth import Growth
from cloud.store.ids import new_api_key, new_uuid, new_workspace_id, secret_hash
from cloud.store.miners.readings import apply_readings
from cloud.store.schema import tables
from cloud.store.schema.migrate import migrate
from cloud.store.schema.rows import AgentRow
from contract.clock import BootTime, to_text
from contract.link import MinerReading, ReadingsRequest
from contract.miner import (
    Board,
    BoardState,
    Firmware,
    Make,
    MinerFault,
    Moving,
    Pool,
    PowerMode,
    Psu,
    Slow,
    Static,
)
from contract.task import TaskName

TH = 1e12


class HeldClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
        self.passed = 0.0

    def now(self) -> datetime:
        return self.at

    def mono(self) -> float:
        return self.passed

    def boot(self) -> BootTime:
        return BootTime("one boot", self.passed)

    async def sleep(self, seconds: float) -> None:
        """Time passes only by `forward`: whoever waits for it waits until cancelled."""
        await asyncio.Event().wait()

    def forward(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.passed += seconds


def look(number: int, **changes: Any) -> MinerReading:
    """What an agent says of miner `number`: a healthy AntMiner, but for the changes."""
    mac = f"02:00:00:00:00:{number:02X}"
    base: dict[str, Any] = {
        "ip": f"10.0.0.{number}",
        "mac": mac,
        "interval_s": 30.0,
        "drivable": True,
        "moving": Moving(
            hashrate_hs=100 * TH,
            power_w=3000.0,
            temp_chip_c=70.0,
            uptime_s=86_400.0,
            fan_rpm=(6000, 6000),
            boards=(
                Board(index=0, serial=f"BOARD{number}", hashrate_hs=100 * TH, chips=110,
                      chips_expected=110, frequency_hz=500e6, state=BoardState.OK),
            ),
            pools=(Pool(index=0, url="stratum+tcp://pool.test:3333", user="farm.1", status="alive", active=True),),
        ),
        "slow": Slow(mode=PowerMode.NORMAL, mode_configured=PowerMode.NORMAL),
        "static": Static(
            make=Make.ANTMINER, model="Antminer S19", firmware=Firmware.STOCK, firmware_version="2024.01",
            mac=mac, serial=f"SN{number}", hashrate_ideal_hs=100 * TH, chips_expected=110,
            psu=Psu(serial=f"PSU{number}", model="APW12"),
        ),
    }  # fmt: skip
    return MinerReading(at="", **base | changes)


def dead(number: int) -> MinerReading:
    return MinerReading(
        at="",
        ip=f"10.0.0.{number}",
        mac=f"02:00:00:00:00:{number:02X}",
        ok=False,
        error="no route",
        interval_s=30.0,
    )


def refused(number: int) -> MinerReading:
    """It answers, but does not take the password, without which nothing of it can be read."""
    return msgspec.structs.replace(dead(number), error="auth_failed")


@dataclass
class Stage:
    """Talks to the cloud as an operator; checks every answer against the published shapes."""

    store: Store
    clock: HeldClock
    url: str
    http: aiohttp.ClientSession
    operations: dict[str, Any] | None
    files: Files
    growth: Growth
    wake_ups: WakeUps
    sessions: Sessions
    time: CloudTime
    app: web.Application
    workspace: str = ""
    other_workspace: str = ""
    farm: str = ""
    other_farm: str = ""
    agent: str = ""
    key: str = ""
    user_key: str = ""
    miners: dict[int, str] = field(default_factory=dict)
    seq: int = 0

    @property
    def base(self) -> str:
        return f"{self.url}/private-api/v1/{self.workspace}"

    @property
    def at_farm(self) -> str:
        return f"{self.base}/farms/{self.farm}"

    async def ask(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        status: int = 200,
        shape: str | None = None,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        headers = {"x-api-key": self.key} if headers is None else headers
        async with self.http.request(method, url, json=json, headers=headers, **more) as answer:
            body = await answer.json()
            assert answer.status == status, (answer.status, body)
            assert answer.content_type == "application/json"
        if status >= 400:
            assert set(body) == {"statusCode", "message", "error"}, body
            assert body["statusCode"] == status
        elif shape is not None and self.operations is not None:
            jsonschema.Draft202012Validator(self.operations[shape]["output"]).validate(body)
        return body

    async def create(self, task_name: str, *numbers: int, **body: Any) -> Any:
        """CreateTaskBatch on some of the farm's miners."""
        ids = {"miner_ids": [self.miners[number] for number in numbers]} if numbers else {}
        return await self.ask(
            "POST",
            f"{self.at_farm}/tasks/batches",
            json={"task_name": task_name, **ids, **body},
            shape="CreateTaskBatch",
        )

    async def batch(self, batch_id: str) -> Any:
        url = f"{self.at_farm}/tasks/batches/{batch_id}"
        body = await self.ask("GET", url, shape="GetTaskBatch")
        if self.operations is not None:
            flat = self.operations["GetTaskBatchFlat"]["output"]
            jsonschema.Draft202012Validator(flat).validate(body)
        return body["data"]

    async def look_at(self, *readings: MinerReading, age_s: float = 0.0) -> None:
        """The agent pushes readings taken `age_s` ago."""
        at = to_text(self.clock.now() - timedelta(seconds=age_s))
        self.seq += 1
        request = ReadingsRequest(
            run_id="run",
            seq=self.seq,
            readings=tuple(
                MinerReading(**{n: getattr(each, n) for n in each.__struct_fields__} | {"at": at})
                for each in readings
            ),
        )
        agent = AgentRow(**await self.stored_agent())
        reply = await apply_readings(
            self.store, agent, request, self.clock.now(), self.clock.passed, self.growth
        )
        for key in reply.miners:
            self.miners[int(key.ip.rpartition(".")[2])] = key.id

    async def change_task(self, task_id: str, **values: Any) -> None:
        async with self.store.write() as connection:
            await connection.execute(
                tables.tasks.update().where(tables.tasks.c.id == task_id).values(**values)
            )

    async def settle(self, task_id: str, status: str, result: dict[str, Any] | None) -> None:
        """What the link does when an agent reports the end of a task."""
        now = self.clock.now()
        await self.change_task(
            task_id, status=status, result=result, pending_at=now, ended_at=now, handed_at=now,
            **{f"{status}_at": now},
        )  # fmt: skip

    async def token(self) -> str:
        """For the agent, so that it can speak for itself."""
        token = "a token of the agent"
        await self.change_agent(token_hash=secret_hash(token))
        return token

    async def change_agent(self, **values: Any) -> None:
        async with self.store.write() as connection:
            await connection.execute(
                tables.agents.update().where(tables.agents.c.id == self.agent).values(**values)
            )

    async def stored_agent(self) -> Any:
        async with self.store.read() as connection:
            query = tables.agents.select().where(tables.agents.c.id == self.agent)
            return (await connection.execute(query)).mappings().one()

    async def count(self, table: str) -> int:
        async with self.store.read() as connection:
            rows = await connection.execute(tables.metadata.tables[table].select())
            return len(rows.all())


@pytest.fixture(scope="session")
def operations() -> Iterator[dict[str, Any] | None]:
    folder = Path(os.environ.get("MINER_AGENT_PROTOCOLS", "../shared/protocols"))
    path = folder / "nonce-operations.json"
    if path.exists():
        published = json.loads(path.read_text("utf-8"))
        meta = published["CreateTaskBatch"]["output"]["properties"]["meta"]
        reason = meta["properties"]["skipped"]["items"]["properties"]["reason"]
        # ours
        reason["enum"] += ["auth_failed", "agent_offline", "outcome_unknown", "before_unknown"]
        reason["enum"] += ["unsupported_model", "unsupported_agent"]
        for words in _task_names(published):
            words += [name for name in TaskName if name not in words]
        yield published
        return
    assert os.environ.get("MINER_AGENT_REQUIRE_ALL") != "1", f"{path} is missing"
    yield None


def _task_names(shapes: Any) -> Iterator[list[str]]:
    """The lists of all task names in published shapes; those of ours stand in none."""
    if isinstance(shapes, dict):
        words = shapes.get("enum", [])
        if TaskName.LIGHT in words:
            yield words
        shapes = list(shapes.values())
    if isinstance(shapes, list):
        for each in shapes:
            yield from _task_names(each)


@pytest.fixture
def published(operations: dict[str, Any] | None) -> dict[str, Any]:
    """The published shapes; a test that is about nothing else is skipped where they are not at hand."""
    if operations is None:
        pytest.skip("nonce-operations.json is not here: set MINER_AGENT_PROTOCOLS")
    return operations


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database as `serve` makes it, to be copied: migrating again for each test is slow."""
    folder = tmp_path_factory.mktemp("migrated")
    migrate(sqlite_url(folder))
    return folder / DATABASE_NAME


@pytest.fixture
async def stage(
    tmp_path: Path, migrated: Path, operations: dict[str, Any] | None
) -> AsyncIterator[Stage]:
    clock = HeldClock()
    shutil.copy(migrated, tmp_path / DATABASE_NAME)
    store = Store.at(sqlite_url(tmp_path))
    settings = CloudSettings(data=tmp_path, public_url="http://files.test")
    app = create_app(store, settings, clock)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    async with aiohttp.ClientSession() as http:
        made = Stage(
            store=store,
            clock=clock,
            url=str(server.make_url("")).rstrip("/"),
            http=http,
            operations=operations,
            files=app[FILES],
            growth=app[GROWTH],
            wake_ups=app[WAKE_UPS],
            sessions=app[SESSIONS],
            time=app[TIME],
            app=app,
        )
        await _furnish(made)
        app[SESSIONS].heard(made.agent)
        await made.look_at(*(look(number) for number in range(1, 6)))
        yield made
    await server.close()
    await store.close()


async def _furnish(stage: Stage) -> None:
    now = stage.clock.now()
    stage.workspace, stage.other_workspace = new_workspace_id(), new_workspace_id()
    stage.farm, stage.other_farm, stage.agent = new_uuid(), new_uuid(), new_uuid()
    stage.key, stage.user_key = new_api_key(), new_api_key()
    async with stage.store.write() as connection:
        for workspace, farm in (
            (stage.workspace, stage.farm),
            (stage.other_workspace, stage.other_farm),
        ):
            await connection.execute(
                tables.workspaces.insert().values(id=workspace, name="w", created_at=now)
            )
            await connection.execute(
                tables.farms.insert().values(
                    id=farm, workspace_id=workspace, name="North", location="Hall 1",
                    created_at=now, updated_at=now,
                )
            )  # fmt: skip
        for secret, actor in ((stage.key, "apikey"), (stage.user_key, "user")):
            await connection.execute(
                tables.api_keys.insert().values(
                    id=f"key_{actor}", workspace_id=stage.workspace, name=actor, prefix=secret[:12],
                    key_hash=secret_hash(secret), actor_type=actor, actor_id=f"{actor}_1",
                    actor_name="Jo", actor_metadata={"keyPrefix": secret[:12]}, created_at=now,
                )
            )  # fmt: skip
        await connection.execute(
            tables.agents.insert().values(
                id=stage.agent, farm_id=stage.farm, workspace_id=stage.workspace, name="pi",
                token_hash="0" * 64, version="v0.1.0", uptime_s=12.5, last_online_at=now, created_at=now,
                host={
                    "platform": "Linux", "os": "Linux-6.1", "cpu_count": 4, "uptime": 12.5,
                    "timestamp": 1.0, "load_average": [0.1, 0.2, 0.3], "ip": "10.0.0.250", "hostname": "pi",
                    "memory": dict.fromkeys(
                        ("total", "free", "used", "swap_total", "swap_free", "swap_used"), 1
                    ),
                },
            )
        )  # fmt: skip


@pytest.fixture
def readings() -> Any:
    """Makers of readings, for tests that need other miners than the five healthy ones."""

    class Readings:
        healthy = staticmethod(look)
        unreachable = staticmethod(dead)
        refused = staticmethod(refused)
        fault = MinerFault

    return Readings
