"""A bug of ours with one miner: told whole to the log, and all others are served on. What is cancelled ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from structlog.testing import capture_logs

from agent.config.rigmonitor import RigMonitorSection
from agent.sinks.rigmonitor.client import MonitorClient
from agent.sinks.rigmonitor.expectations import Expectations
from agent.sinks.rigmonitor.machines import ApiCode, MonitorMachine
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.reports import BACKOFF_MOST_S, Reports
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Board, Identity, Make, Moving
from contract.rigmonitor.asic import Switch
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server
from tests.virtual_time import VirtualClock, run_virtually

ODD, WELL = "127.9.9.1", "127.9.9.2"
EVERY_S = 10.0


class BugError(Exception):
    """Nothing expects it."""


class Client(MonitorClient):
    """Has a bug in each question while it is told so."""

    has_bug = False

    async def expected_bulk(self, codes: tuple[ApiCode, ...]) -> Mapping[str, Any]:
        if self.has_bug:
            raise BugError
        return await super().expected_bulk(codes)


class Desk:
    """Two miners known by their addresses, their monitor, and a bug that strikes one of them."""

    def __init__(self, server: StrictServer) -> None:
        self.clock = VirtualClock()
        self.monitored = tuple(
            MonitorMachine(key=ip, code=ApiCode(f"code of {ip}")) for ip in (ODD, WELL)
        )
        self.machines = {one.key: server.add(one.code.text) for one in self.monitored}
        self.newest = Newest([ODD, WELL], self.clock)
        self.client = Client(server.url, ca_file=None, timeout_s=5.0, at_once=2)
        self.has_bug = True
        self.considered: list[str] = []
        rng, notes = random.Random(1), Notes()
        self.reports = Reports(
            self.client,
            RigMonitorSection(
                url=server.url, log_every_s=EVERY_S, default_power_w=3400, default_coin_name="Kaspa"
            ),
            self.newest,
            notes,
            self.clock,
            rng,
            identity_at=self._identity_at,
        )
        self.expectations = Expectations(
            self.client,
            self.monitored,
            self.reports,
            notes,
            self.clock,
            rng,
            every_s=EVERY_S,
            consider=self._consider,
        )

    async def look(self) -> None:
        """Both are read again and again."""
        while True:
            for ip in (ODD, WELL):
                self.newest.take(
                    MinerReading(
                        at=to_text(self.clock.now()),
                        ip=ip,
                        moving=Moving(
                            hashrate_5m_hs=1e13,
                            uptime_s=100.0,
                            fan_rpm=(5000,),
                            boards=(Board(index=0, temp_inlet_c=50.0),),
                        ),
                        interval_s=EVERY_S,
                    )
                )
            await self.clock.sleep(EVERY_S)

    def _identity_at(self, ip: str) -> Identity:
        if self.has_bug and ip == ODD:
            raise BugError
        return Identity(make=Make.ICERIVER, model="KS5L", firmware_version="ICM168_ks5L_miner")

    async def _consider(
        self, one: MonitorMachine, _light: Switch | None, _asic: Switch | None
    ) -> None:
        if self.has_bug and one.key == ODD:
            raise BugError
        self.considered.append(one.key)


def at_the_desk(script: Callable[[Desk, StrictServer], Awaitable[None]]) -> list[Any]:
    """What was logged as a bug of ours meanwhile."""

    async def run() -> None:
        async with strict_server() as server:
            desk = Desk(server)
            looking = asyncio.create_task(desk.look())
            try:
                await script(desk, server)
            finally:
                looking.cancel()
                await desk.client.close()

    with capture_logs() as said:
        run_virtually(run())
    return [each for each in said if each["event"] == "rigmonitor.bug"]


async def ended(*running: asyncio.Task[None]) -> None:
    """Cancels them; each ends so, and by nothing else."""
    for task in running:
        assert not task.done()
        task.cancel()
    await asyncio.wait(running)
    assert all(task.cancelled() for task in running)


def test_a_bug_with_one_miner_is_logged_whole_and_ends_nobody_s_reports() -> None:
    async def script(desk: Desk, server: StrictServer) -> None:
        running = [asyncio.create_task(desk.reports.run(one)) for one in desk.monitored]
        await desk.clock.sleep(300)
        assert len(desk.machines[WELL].logs) > 20
        assert desk.machines[ODD].logs == []
        desk.has_bug = False
        await desk.clock.sleep(2 * BACKOFF_MOST_S)
        assert desk.machines[ODD].logs
        await ended(*running)

    said = at_the_desk(script)
    assert 2 <= len(said) <= 4  # once in two minutes
    for entry in said:
        assert (entry["log_level"], entry["exc_info"], entry["miner"]) == ("error", True, ODD)


def test_a_bug_with_one_miner_is_logged_whole_and_the_wishes_for_others_are_heard() -> None:
    async def script(desk: Desk, server: StrictServer) -> None:
        polling = asyncio.create_task(desk.expectations.run())
        await desk.clock.sleep(60)
        assert len(desk.considered) >= 4
        assert set(desk.considered) == {WELL}
        await ended(polling)

    said = at_the_desk(script)
    assert len(said) >= 4
    for entry in said:
        assert (entry["log_level"], entry["exc_info"], entry["miner"]) == ("error", True, ODD)


def test_a_bug_in_a_poll_is_logged_whole_and_the_next_poll_comes() -> None:
    async def script(desk: Desk, server: StrictServer) -> None:
        desk.has_bug, desk.client.has_bug = False, True
        polling = asyncio.create_task(desk.expectations.run())
        await desk.clock.sleep(60)
        assert desk.considered == []
        desk.client.has_bug = False
        await desk.clock.sleep(60)
        assert set(desk.considered) == {ODD, WELL}
        await ended(polling)

    said = at_the_desk(script)
    assert len(said) >= 4
    for entry in said:
        assert (entry["log_level"], entry["exc_info"], "miner" in entry) == ("error", True, False)


def test_what_is_cancelled_in_the_middle_of_a_call_ends_as_cancelled() -> None:
    async def script(desk: Desk, server: StrictServer) -> None:
        desk.has_bug = False
        server.mood = "hanging"
        running = [asyncio.create_task(desk.reports.run(one)) for one in desk.monitored]
        running.append(asyncio.create_task(desk.expectations.run()))
        while len(server.most_at_once) < len(running):  # each is in a call of its own
            await desk.clock.sleep(0.5)
        await ended(*running)

    assert at_the_desk(script) == []
