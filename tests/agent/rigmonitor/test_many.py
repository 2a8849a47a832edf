"""Many miners and a server that is slow: what waits for its turn is told as it is then, not as it was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.config.file import parse
from agent.limits.policy import Policy
from agent.sinks.rigmonitor.sink import RigMonitor
from contract.clock import Clock, to_text
from contract.link import MinerReading, MinerRef
from contract.miner import (
    Algorithm,
    Endpoint,
    Firmware,
    Identity,
    Make,
    Moving,
    PowerMode,
    Slow,
    Static,
)
from drivers.base import Driver, Timing
from drivers.registry import open_driver
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server
from tests.virtual_time import VirtualClock, run_virtually
from tests.waiting import until


def known(number: int, clock: Clock) -> Driver:
    """A miner as the fleet knows it; nobody talks to it here."""
    identity = Identity(
        make=Make.ANTMINER,
        model="S21",
        firmware=Firmware.STOCK,
        firmware_version="1",
        mac=f"02:00:00:00:{number // 256:02X}:{number % 256:02X}",
    )
    return open_driver(
        Endpoint(host=f"10.0.{number // 250}.{number % 250 + 1}"),
        identity,
        clock=clock,
        timing=Timing(),
        credentials=lambda _identity: None,
    )


class Nobody:
    """A task path that is never asked: no wish differs from what is."""

    policy = Policy()

    def is_busy(self, miner: MinerRef) -> bool:
        return False

    def in_maintenance(self, miner: MinerRef) -> bool:
        return False

    async def submit_local(self, *_: Any) -> dict[str, Any]:
        raise AssertionError("nothing was to be switched")


class Crowd:
    """So many miners, their monitor, and its client."""

    def __init__(self, number: int, folder: Path, server: StrictServer, **settings: Any) -> None:
        self.clock = VirtualClock()
        drivers = (known(each, self.clock) for each in range(number))
        self.miners = {each.endpoint.host: each for each in drivers}
        table = folder / "codes"
        table.write_text(
            "\n".join(f"{m.identity.mac} code-{n}" for n, m in enumerate(self.miners.values()))
        )
        table.chmod(0o600)
        self.machines = [server.add(f"code-{n}") for n in range(number)]
        section = {"url": server.url, "codes_file": str(table), "default_power_w": 3000}
        config = parse({"state": {"dir": str(folder)}, "rigmonitor": section | settings})
        self.monitor = RigMonitor(config, Nobody(), self, self.clock)

    def at(self, ip: str) -> Driver | None:
        return self.miners.get(ip)

    def rig(self, name: str) -> Driver | None:
        raise AssertionError(name)

    async def learn_awake_modes(self, modes: Mapping[str, PowerMode]) -> None:
        assert not modes

    def look(self, rate_hs: float) -> None:
        """Every miner was read just now."""
        for ip, miner in self.miners.items():
            self.monitor.take(
                MinerReading(
                    at=to_text(self.clock.now()),
                    ip=ip,
                    mac=miner.identity.mac,
                    interval_s=30.0,
                    moving=Moving(
                        hashrate_hs=rate_hs,
                        hashrate_5m_hs=rate_hs,
                        uptime_s=1e5,
                        fan_rpm=(5000,),
                        temp_board_c=60.0,
                    ),
                    slow=Slow(mode=PowerMode.NORMAL, light_on=False),
                    static=Static(
                        make=Make.ANTMINER, firmware_version="1", algorithm=Algorithm.SHA256
                    ),
                )
            )


@asynccontextmanager
async def crowd(
    number: int, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Crowd, StrictServer]]:
    async with strict_server() as server:
        made = Crowd(number, folder, server, **settings)
        running = asyncio.create_task(made.monitor.run())
        try:
            yield made, server
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


def test_what_waited_behind_a_server_that_hung_is_told_as_it_is_now(tmp_path: Path) -> None:
    slow = {"requests_at_once": 1, "request_timeout_s": 2.0, "expected_every_s": 600.0}

    async def script() -> None:
        async with crowd(6, tmp_path, **slow) as (it, server):
            server.mood = "hanging"
            it.look(1e12)
            await until(lambda: server.most_at_once, within_s=20)
            await it.clock.sleep(5.5)  # all of them stand in the row by now, one by one given up
            it.look(2e12)
            server.mood = "well"
            await until(lambda: sum(map(bool, (m.logs for m in it.machines))) >= 2, within_s=20)
            told = {log["hashrate_5_min"] for m in it.machines for log in m.logs}
            assert told == {2000.0}
            assert max(server.most_at_once.values()) == 1

    run_virtually(script())


def test_more_miners_than_fit_one_call_are_all_reported_and_asked_about(tmp_path: Path) -> None:
    async def script() -> None:
        async with crowd(703, tmp_path, expected_every_s=3.0) as (it, server):
            it.look(1e12)
            await until(lambda: all(m.logs for m in it.machines), within_s=90)
            await until(lambda: len(server.bulk_sizes) >= 2, within_s=60)
            assert server.bulk_sizes[:2] == [500, 203]
            assert server.faults == []
            assert it.monitor.state == "ok"

    run_virtually(script())
