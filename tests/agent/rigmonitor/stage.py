"""A simulated farm, a task path and the monitor's client over it: all of an agent but its cloud."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.file import Config
from agent.journal import Journal
from agent.limits.policy import policy_of
from agent.local.orders import _NoCloud
from agent.miners.inventory import Inventory
from agent.miners.site import Site, open_site
from agent.ports import Downloader, TaskSource
from agent.scan.scanner import FarmScanner
from agent.sinks.rigmonitor.sink import RigMonitor
from agent.tasks.path import TaskPath
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import Clock
from simulator.farm import Farm
from tests.agent.onfarm import MemorySink, config_for, free_base
from tests.virtual_time import loop_clock


class NoFiles:
    """No task of these tests fetches firmware."""

    async def fetch(self, *_: Any, **__: Any) -> Path:
        raise AssertionError("nothing is fetched here")


@dataclass
class Agent:
    """One process of the agent."""

    site: Site
    path: TaskPath
    telemetry: Poller
    monitor: RigMonitor
    journal: Journal
    journal_path: Path

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Every task its journal knows, oldest first."""
        with contextlib.closing(sqlite3.connect(self.journal_path)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM tasks ORDER BY accepted_at")]


@asynccontextmanager
async def farm_of(specs: str, *, time_scale: float = 200.0, **more: Any) -> AsyncIterator[Farm]:
    farm = await Farm.start(specs, base=free_base(), time_scale=time_scale, **more)
    try:
        yield farm
    finally:
        await farm.stop()


def codes_for(farm: Farm, folder: Path) -> tuple[Path, dict[str, str]]:
    """A file with a code for each miner; and the codes by address."""
    codes = {device.ip: f"code-of-{device.ip}" for device in farm.miners}
    path = folder / "codes"
    path.write_text(
        "# of the web page\n\n"
        + "\n".join(f"{device.mac.lower()} {codes[device.ip]}" for device in farm.miners)
    )
    path.chmod(0o600)
    return path, codes


def monitor_config(farm: Farm, folder: Path, url: str, **more: Any) -> Config:
    codes, _ = codes_for(farm, folder)
    pace = more.pop("device_pace", 200.0)
    telemetry = more.pop("telemetry", {"interval_s": 1.0, "min_interval_s": 0.2})
    sections = {key: more.pop(key) for key in ("policy", "limits") if key in more}
    config = config_for(
        farm,
        state={"dir": str(folder)},
        telemetry={"workers": 16, "batch_wait_s": 0.0} | telemetry,
        rigmonitor={
            "url": url,
            "codes_file": str(codes),
            "log_every_s": 1.0,
            "expected_every_s": 1.0,
            "power_gap_s": 0.0,
            "default_power_w": 3300,
        }
        | more,
        **sections,
    )
    miners = config.miners.model_copy(
        update={"device_pace": pace, "v3_port": farm.ports.get("v3", 4433)}
    )
    return config.model_copy(update={"miners": miners})


@asynccontextmanager
async def agent_on(
    farm: Farm,
    config: Config,
    clock: Clock | None = None,
    *,
    seed: int = 1,
    source: TaskSource | None = None,
    downloader: Downloader | None = None,
) -> AsyncIterator[Agent]:
    """Runs until left. The farm is scanned first. `source`: a cloud, where there is one."""
    clock = clock or loop_clock()
    rng = random.Random(seed)
    state = config.state.dir
    site = open_site(config, clock, Inventory(state / "inventory.db"))
    await site.inventory.open()
    journal = Journal(state / "journal.db", clock, ballast_bytes=0)
    monitor: RigMonitor | None = None

    def tell(reading: Any) -> None:
        if monitor is not None:
            monitor.take(reading)

    buffer = ReadingBuffer(
        MemorySink(), None, config.telemetry, clock, run_id="r", on_reading=tell, rng=rng
    )
    telemetry = Poller(
        site.fleet, buffer, config.telemetry, clock, timeout_s=site.look_timeout_s, rng=rng
    )
    scanner = FarmScanner(
        site.fleet,
        site.territory,
        config.scan,
        site.scan_ports,
        clock,
        buffer=buffer,
        telemetry=telemetry,
        look_timeout_s=site.look_timeout_s,
    )
    path = TaskPath(
        journal,
        source or _NoCloud(),
        site.fleet,
        scanner,
        downloader or NoFiles(),
        policy_of(config),
        clock,
        state,
    )
    monitor = RigMonitor(config, path, site.fleet, clock, rng=rng)
    agent = Agent(site, path, telemetry, monitor, journal, journal_path=state / "journal.db")
    running = asyncio.create_task(path.run(), name="taskpath")
    await path.ready()
    parts = [
        asyncio.create_task(each.run(), name=type(each).__name__)
        for each in (buffer, telemetry, monitor)
    ]
    try:
        for device in farm.miners:
            await site.fleet.look_at(device.ip)
        yield agent
        for part in parts:
            assert not part.done(), part
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        path.stop()
        await running
        await buffer.close()
        await site.inventory.close()


def switched(farm: Farm, ip: str, *actions: str) -> list[str]:
    """What was really done to a miner, in order."""
    return [
        entry["action"]
        for entry in farm.ledger.of(ip=ip, phase="applied")
        if not actions or entry["action"] in actions
    ]
