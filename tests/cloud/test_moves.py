"""A whole agent between its cloud and a farm whose miners change addresses while it runs: each keeps its id, and all that
is known of it.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.config.file import Config
from agent.daemon import Daemon
from cloud.store.engine import sqlite_url
from cloud.store.schema.migrate import migrate
from contract.clock import SystemClock, to_text
from contract.task import TaskName
from simulator.farm import Farm
from tests.agent.onfarm import config_for
from tests.cloud.on_site import Desk, enrolled, running, serving
from tests.waiting import until

_block = itertools.count()
MIX = {"antminer/s21": 0.6, "whatsminer/m50s": 0.25, "iceriver/ks3m": 0.15}
INTERVAL_S = {100: 2.0, 1000: 15.0}


@dataclass
class Stage:
    """A cloud with an operator, an agent, and the miners."""

    farm: Farm
    desk: Desk
    config: Config
    daemon: Daemon | None = None
    rows: dict[str, Any] = field(default_factory=dict)  # by id, as the operator sees them

    async def look(self) -> dict[str, Any]:
        rows = await self.desk.ask("GET", "miner/latest?pageSize=10000")
        self.rows = {row["id"]: row for row in rows}
        return self.rows

    async def shown(self, holds: Callable[[dict[str, Any]], bool], within_s: float) -> float:
        """Wait until this holds of all that the operator sees; gives after how long, in seconds."""
        began = time.monotonic()

        async def does() -> bool:
            return holds(await self.look())

        await until(does, within_s=within_s, every_s=0.25)
        return time.monotonic() - began

    def places(self) -> dict[tuple[str, str], str]:
        """Which id the operator sees at which MAC and address."""
        return {(row["mac"], row["ip"]): row["id"] for row in self.rows.values()}

    async def scan(self) -> None:
        """Have the agent look where the miners are, and wait until it has."""
        ip_range = f"{self.farm.miners[0].ip}-{self.farm.miners[-1].ip}"
        order = {"task_name": TaskName.SCAN.value, "params": {"ip_range": ip_range}}
        (batch,) = await self.desk.ask("POST", "tasks/batches", json=order)

        async def has_ended() -> bool:
            row = await self.desk.ask("GET", f"tasks/batches/{batch['batch_id']}")
            return bool(row["status"] != "pending")

        await until(has_ended, within_s=120.0, every_s=0.1)

    async def history(self, miner_id: str) -> list[str]:
        """The tasks of a miner."""
        return [each["id"] for each in await self.desk.ask("GET", f"miners/{miner_id}/tasks")]


def net_of_own() -> str:
    """The first address of a /21 that no other test has, in this worker or another."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return f"127.{220 + worker % 20}.{8 * (next(_block) % 31)}.1"


@asynccontextmanager
async def stage_of(count: int, folder: Path) -> AsyncIterator[Stage]:
    """Everything but the agent. The miners stand in the first addresses of a /21, which is the range of the agent."""
    at_cloud, state = folder / "cloud", folder / "agent"
    at_cloud.mkdir()
    state.mkdir()
    migrate(sqlite_url(at_cloud))
    specs = ",".join(f"{spec}:{round(share * count)}" for spec, share in MIX.items())
    async with (
        await Farm.start(specs, base=net_of_own(), time_scale=100.0) as farm,
        serving(at_cloud) as (store, base),
        aiohttp.ClientSession() as http,
    ):
        desk = await enrolled(store, base, http, state)
        telemetry = {"interval_s": INTERVAL_S[count], "min_interval_s": 0.5, "batch_wait_s": 0.2}
        config = config_for(
            farm,
            state={"dir": str(state)},
            cloud={"url": base},
            telemetry=telemetry,
            scan={"at_start": False},
        )
        first = farm.miners[0].ip.rpartition(".")[0]
        miners = config.miners.model_copy(update={"ranges": (f"{first}.0/21",)})
        yield Stage(farm, desk, config.model_copy(update={"miners": miners}))


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
async def test_miners_that_change_addresses_keep_their_ids_and_their_history(
    count: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with stage_of(count, tmp_path) as stage:
        farm, desk = stage.farm, stage.desk
        devices: list[Any] = farm.miners

        def is_true(rows: dict[str, Any]) -> bool:
            """Each miner is shown where it is, by a look that was answered there."""
            told = {(row["mac"], row["ip"]): row["last_check_succeed"] for row in rows.values()}
            return all(told.get((each.mac, each.ip)) for each in devices)

        async with running(stage.config):
            await stage.scan()
            await stage.shown(is_true, 120.0)
            ids = {mac: miner_id for (mac, _), miner_id in stage.places().items()}
            assert set(ids) == {each.mac for each in devices}
            names = {miner_id: f"miner {number}" for number, miner_id in enumerate(ids.values())}
            await desk.ask(
                "POST",
                "miners/places",
                json={"updates": [{"miner": i, "name": name} for i, name in names.items()]},
            )
            light = {"task_name": TaskName.LIGHT.value, "params": {"action": "on"}}
            moved_ids = [*ids.values()][: count // 10]
            await desk.ask("POST", "tasks/batches", json=light | {"miner_ids": moved_ids})
            await until(lambda: sum(each.light for each in devices) == len(moved_ids))
            histories = {each: await stage.history(each) for each in moved_ids}
            assert all(histories.values())

            # A twentieth is given other addresses, and two change places, while nobody says so.
            first = devices[0].ip.rpartition(".")[0]
            third = int(first.rpartition(".")[2])
            moved = farm.renumber(count // 20, first=f"{first.rpartition('.')[0]}.{third + 4}.77")
            one, other = [each for each in devices if each.mac not in moved][:2]
            farm.swap(one, other)
            seconds = await stage.shown(is_true, 60.0)
            record_property(
                "figures",
                f"{count} miners, {len(moved)} renumbered, 2 swapped: shown after {seconds:.1f} s",
            )
            assert seconds <= 30.0
            assert {mac: miner_id for (mac, _), miner_id in stage.places().items()} == ids
            assert len(stage.rows) == count
            assert {row["unstable_reason"] for row in stage.rows.values()} == {None}
            assert {miner_id: row["name"] for miner_id, row in stage.rows.items()} == names
            assert {each: await stage.history(each) for each in moved_ids} == histories

            # One is flashed with a copy of another's image, and tells its MAC: whose it is stays who it was.
            real, false = [each for each in devices if each.mac not in moved][2:4]
            false.clone_mac(real)
            false.power_cycle()
            of_both = {(real.mac, real.ip), (real.mac, false.ip)}

            def is_doubled(rows: dict[str, Any]) -> bool:
                told = {
                    (row["mac"], row["ip"])
                    for row in rows.values()
                    if row["unstable_reason"] == "duplicate_mac"
                }
                return told == of_both

            await stage.shown(is_doubled, 60.0)
            assert stage.places()[real.mac, real.ip] == ids[real.mac]
            second = stage.places()[real.mac, false.ip]
            assert second not in ids.values()
            assert stage.places()[false.mac, false.ip] == ids[false.mac]  # where it was seen last
            assert len(stage.rows) == count + 1
        before = stage.places()
        began = to_text(SystemClock().now())
        async with running(stage.config):  # an agent that starts again knows all of it

            def is_told(rows: dict[str, Any]) -> bool:
                looks = [row["last_updated_at"] for row in rows.values() if row["mac"] != false.mac]
                return all(at >= began for at in looks)

            await stage.shown(is_told, 120.0)
            assert is_doubled(stage.rows)
            assert stage.places() == before
