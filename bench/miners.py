"""How long operators wait for the lists of a large farm: by page, by each filter alone, sorted, and all of it.

The database of the URL is migrated, and filled by readings as an agent would push them if its farm has fewer miners;
then it is served by this process and asked over loopback, so the figures hold everything but the network.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import sqlalchemy as sa
from aiohttp.test_utils import TestServer

from cloud.cli.miners import COLUMNS
from cloud.cli.sheets import written
from cloud.config import CloudSettings
from cloud.context import GROWTH, SESSIONS
from cloud.nonce.miners import query_of
from cloud.server import create_app
from cloud.store.access.admin import create_farm, create_key, create_workspace
from cloud.store.engine import Store
from cloud.store.growth import Growth
from cloud.store.ids import new_uuid
from cloud.store.miners import search
from cloud.store.miners.readings import apply_readings
from cloud.store.miners.references import ids_meant_by
from cloud.store.schema.migrate import migrate
from cloud.store.schema.rows import AgentRow, read_row
from cloud.store.schema.tables import agents, miners
from contract.clock import SystemClock, to_text
from contract.link import MinerReading, ReadingsRequest
from contract.miner import Board, Firmware, Make, Moving, Pool, PowerMode, Psu, Slow, Static
from contract.nonce.miners import MinerFilters
from contract.selection import parse_selection
from service.limits import settle_memory

MINERS: Final = 100_000
_PUSH: Final = 500  # readings in one request
_ROUNDS: Final = 20
_TH: Final = 1e12
_FIRST: Final = 10 << 24  # 10.0.0.0
_NAME: Final = "bench"
# One of each filter, and what people ask for most.
SELECTIONS: Final = (
    "make=whatsminer", "model=S21*", "model=S21 Pro", "firmware=stock", "firmware_version=2024*", "status=online",
    "status=offline", "status!=online", "health=overheated", "mode=sleep", "tags=hot", "tags!=hot", "hall=h1",
    "row=r2", "rack=A1*", "position=3", "name=m-7*", "ip=10.0.7.0/24", "mac=02:00:00:0*", "serial=SN000777",
    "serial=SN0077*", "agent=bench", "anomalies=temperature", "hashrate<90T", "power>3000", "temperature>=80",
    "efficiency>31", "uptime<1000", "hashrate_realization<80%", "power_limit>3000", "unstable=true",
    "ops_status=maintenance", "asset_status=transit",
)  # fmt: skip
_SORTS: Final = ("rack", "-hashrate", "-temperature", "name")


async def run(database: str | None, number: int) -> None:
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        url = database or f"sqlite+aiosqlite:///{folder}/cloud.db"
        migrate(url)
        store = Store.at(url)
        try:
            async with _served(store, Path(folder), number) as asked:
                settle_memory()  # as `serve` does it
                await _measure(asked, store)
        finally:
            await store.close()


class _Served(msgspec.Struct, frozen=True):
    """A cloud that is served, and one farm in it."""

    http: aiohttp.ClientSession
    at_farm: str
    farm_id: str
    miners: int

    async def get(self, path: str) -> Any:
        async with self.http.get(f"{self.at_farm}/{path}") as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        return msgspec.json.decode(raw)

    async def search(self, **body: Any) -> Any:
        async with self.http.post(f"{self.at_farm}/miner/search", json=body) as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        return msgspec.json.decode(raw)


@asynccontextmanager
async def _served(store: Store, folder: Path, number: int) -> AsyncIterator[_Served]:
    settings = CloudSettings(data=folder, farm_miners=10 * number, farm_miners_per_min=10 * number)
    clock = SystemClock()
    app = create_app(store, settings, clock)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    workspace_id, farm_id, agent = await _farm(store, clock.now())
    app[SESSIONS].heard(agent.id)
    await _fill(store, agent, app[GROWTH], number)
    _, key = await create_key(store, workspace_id, _NAME, clock.now())
    at_farm = str(server.make_url(f"/private-api/v1/{workspace_id}/farms/{farm_id}"))
    try:
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as http:
            yield _Served(http, at_farm, farm_id, number)
    finally:
        await server.close()


async def _farm(store: Store, now: datetime) -> tuple[str, str, AgentRow]:
    """The farm of an earlier run, or a new one."""
    async with store.read() as connection:
        found = await connection.execute(sa.select(agents).where(agents.c.name == _NAME))
        row = read_row(AgentRow, found)
    if row is not None:
        return row.workspace_id, row.farm_id, row
    workspace = await create_workspace(store, _NAME, now)
    farm = await create_farm(store, workspace["id"], _NAME, now)
    async with store.write() as connection:
        await connection.execute(
            agents.insert().values(
                id=new_uuid(), farm_id=farm["id"], workspace_id=workspace["id"], name=_NAME,
                created_at=now,
            )
        )  # fmt: skip
    return await _farm(store, now)


async def _fill(store: Store, agent: AgentRow, growth: Growth, number: int) -> None:
    async with store.read() as connection:
        query = sa.select(sa.func.count()).where(miners.c.farm_id == agent.farm_id)
        known = int(await connection.scalar(query) or 0)
    if known < number:
        seconds = await _push(store, agent, growth, range(known, number))
        _rate(f"new miners by readings, {number - known}", number - known, seconds)
        async with store.write() as connection:
            await connection.execute(_places(agent.farm_id))
    some = min(number, 20 * _PUSH)
    seconds = await _push(store, agent, growth, range(some), again=True)
    _rate(f"readings of known miners, {some}", some, seconds)


async def _push(
    store: Store, agent: AgentRow, growth: Growth, numbers: range, *, again: bool = False
) -> float:
    """Have these looked at, now; if it is `again`, one of a hundred does not answer. Gives the seconds it took."""
    now, took = datetime.now(UTC), 0.0
    for start in range(numbers.start, numbers.stop, _PUSH):
        some = range(start, min(start + _PUSH, numbers.stop))
        request = ReadingsRequest(
            run_id=new_uuid(),
            seq=1,
            readings=tuple(
                _reading(n, to_text(now), answers=not again or n % 100 != 99) for n in some
            ),
        )
        began = time.perf_counter()
        await apply_readings(store, agent, request, now, time.time(), growth)
        took += time.perf_counter() - began
    return took


def _places(farm_id: str) -> sa.Update:
    """Names and places by the address, as an operator would give them."""
    number = miners.c.ip_number - _FIRST
    word = sa.func.printf
    return (
        miners.update()
        .where(miners.c.farm_id == farm_id)
        .values(
            name=word("M-%d", number),
            hall=word("h%d", number / 16_384 % 8),
            row=word("r%d", number / 1024 % 16),
            rack=word("A%d", number / 32 % 32),
            position=number % 32,
            tags=sa.case((number % 10 == 0, sa.text('\'["hot","new"]\'')), else_=sa.text("'[]'")),
        )
    )


def _reading(number: int, at: str, *, answers: bool) -> MinerReading:
    """Of a miner whose three records take about 3 KB, as those of an Antminer with three boards and three pools do."""
    mac = ":".join(f"{0x020000000000 + number:012X}"[i : i + 2] for i in range(0, 12, 2))
    ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    if not answers:
        return MinerReading(
            at=at, ip=ip, mac=mac, ok=False, error="unreachable", interval_s=86_400.0
        )
    model = ("Antminer S19", "Antminer S21", "Antminer S21 Pro", "M50S_VH10")[number % 4]
    rate = (100 - number % 13) * _TH
    return MinerReading(
        at=at, ip=ip, mac=mac, interval_s=86_400.0, drivable=True, modes=("sleep", "low", "normal"),
        moving=Moving(
            hashrate_hs=rate, hashrate_5m_hs=rate, hashrate_30m_hs=rate, hashrate_avg_hs=rate,
            power_w=2900.0 + number % 200,
            temp_chip_c=60.0 + number % 40, temp_board_c=55.0, temp_inlet_c=25.0, temp_outlet_c=45.0,
            fan_rpm=(6000, 6010, 5990, 6020), uptime_s=number * 37.0 % 1e6, accepted=123_456, rejected=12, stale=3,
            hw_errors=4,
            boards=tuple(
                Board(index=i, serial=f"BRD{number:08d}{i}", hashrate_hs=rate / 3, hashrate_30m_hs=rate / 3,
                      hashrate_ideal_hs=34 * _TH, chips=110, chips_expected=110, frequency_hz=545e6,
                      temp_chip_c=60.0 + number % 40, temp_pcb_c=55.0, temp_inlet_c=31.0, temp_outlet_c=52.0,
                      hw_errors=1, state="ok")
                for i in range(3)
            ),
            pools=tuple(
                Pool(index=i, url=f"stratum+tcp://pool{i}.example.com:3333", user=f"farm.account.{number:06d}",
                     status="alive", active=i == 0, priority=i, accepted=123_456, rejected=12, stale=3,
                     difficulty=262_144.0, last_share_s=3.0)
                for i in range(3)
            ),
        ),
        slow=Slow(mode=PowerMode.SLEEP if number % 100 == 7 else PowerMode.NORMAL, mode_configured=PowerMode.NORMAL,
                  power_limit_w=3300.0),
        static=Static(
            make=Make.WHATSMINER if number % 4 == 3 else Make.ANTMINER, model=model, firmware=Firmware.STOCK,
            firmware_version="2024.01.15-release", mac=mac, serial=f"SN{number:06d}", hostname=f"miner-{number}",
            control_board="AMLogic", hashrate_ideal_hs=100 * _TH, chips_expected=330,
            psu=Psu(serial=f"PSU{number:08d}", model="APW121215f"),
        ),
    )  # fmt: skip


async def _measure(asked: _Served, store: Store) -> None:
    async def page(**body: Any) -> str:
        found = await asked.search(limit=50, **body)
        return f"{found['pagination']['total']} found"

    await _timed("list, first page of 50", page)
    await _timed("list, page 1000 of 50", lambda: page(page=1000))
    for text in SELECTIONS:
        body = parse_selection(text)
        await _timed(f"search {text}", lambda body=body: page(**body))
    for key in _SORTS:
        field = key.lstrip("-")
        order = [{"field": field, "direction": "desc" if key.startswith("-") else "asc"}]
        await _timed(f"sorted by {key}", lambda order=order: page(sort=order))

    async def stats() -> str:
        return f"{(await asked.get('miners/stats'))['data']['total']:.0f} counted"

    async def status() -> str:
        await asked.get("status")
        return "judged"

    async def dry_run() -> str:
        body = {
            "task_name": "miner.system.reboot",
            "params": {"force": True},
            "selection": parse_selection("model=S21*"),
            "dry_run": True,
        }
        async with asked.http.post(f"{asked.at_farm}/tasks/batches", json=body) as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        return f"{len(raw)} bytes"

    await _timed("dry run of a reboot, model=S21*", dry_run, rounds=3)
    await _timed("stats", stats)
    await _timed("status", status, rounds=5)

    async def every_id() -> str:
        filters = MinerFilters.model_validate(parse_selection("status!=offline"))
        async with store.read() as connection:
            now = datetime.now(UTC)
            found = await search.matching(connection, asked.farm_id, query_of(filters), now)
        return f"{len(found)} ids"

    async def many() -> str:
        return f"{len((await asked.search(limit=10_000))['data'])} items"

    async def sheet() -> str:
        """As `miner-cloud miners --csv` makes it."""
        rows, number = 0, 0
        while True:
            number += 1
            items = (await asked.search(limit=1000, page=number))["data"]
            cells = ([column(item) for column in COLUMNS.values()] for item in items)
            rows += sum(1 for _ in written(tuple(COLUMNS), cells)) - 1
            if len(items) < 1000:
                return f"{rows} rows"

    async def places() -> str:
        """As `miner-cloud import` shows them: of every miner, by address."""
        updates = [
            {"miner": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", "rack": f"B{n // 32 % 32}"}
            for n in range(asked.miners)
        ]
        data = io.BytesIO(msgspec.json.encode({"updates": updates, "dry_run": True}))
        async with asked.http.post(f"{asked.at_farm}/miners/places", data=data) as answer:
            raw = await answer.read()
            assert answer.status == 200, raw
        return f"{msgspec.json.decode(raw)['data']['changed_count']} would change"

    async def references() -> str:
        async with store.read() as connection:
            meant = await ids_meant_by(connection, asked.farm_id, ["SN000777", "m-778"])
        return f"{len(meant)} ids"

    await _timed("matching(), status!=offline", every_id)
    await _timed("what two miners are called -> their ids", references)
    await _timed("list, a page of 10,000", many, rounds=3)
    await _timed("sheet of all, by pages of 1000", sheet, rounds=1)
    await _timed("places of all, shown", places, rounds=1)


async def _timed(what: str, work: Callable[[], Awaitable[str]], rounds: int = _ROUNDS) -> None:
    """Print the middle and the worst of some rounds; and the time of the processor, which others do not lengthen."""
    found, took = "", []
    before = time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        found = await work()
        took.append(1000 * (time.perf_counter() - began))
    cpu = 1000 * (time.process_time() - before) / rounds
    took.sort()
    p50, p99 = took[len(took) // 2], took[min(len(took) - 1, int(0.99 * len(took)))]
    print(f"{what:<42} p50 {p50:8.1f}   p99 {p99:8.1f}   cpu {cpu:8.1f} ms   {found}", flush=True)


def _rate(what: str, number: int, seconds: float) -> None:
    print(f"{what:<45} {number / seconds:8.0f} a second", flush=True)
