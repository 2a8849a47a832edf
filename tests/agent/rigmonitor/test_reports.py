"""What one miner's record becomes when the monitor, or the address, is not what it was: one report at a time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.config.rigmonitor import RigMonitorSection
from agent.sinks.rigmonitor.client import MonitorClient
from agent.sinks.rigmonitor.machines import ApiCode, MonitorMachine
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.reports import REFUSED_WAIT_S, Reports
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Board, Identity, Make, Moving
from tests.agent.clock import SettableClock
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server

MAC, OTHER = "02:11:22:33:44:55", "02:11:22:33:44:66"
IP = "127.9.9.2"


class Desk:
    """The reports of one miner to a strict server."""

    def __init__(self, server: StrictServer) -> None:
        self.clock = SettableClock()
        self.one = MonitorMachine(key=MAC, code=ApiCode("code-1"))
        self.machine = server.add("code-1")
        self.newest = Newest([MAC], self.clock)
        self.notes = Notes()
        self.client = MonitorClient(server.url, ca_file=None, timeout_s=5.0, at_once=2)
        self.identity = Identity(
            make=Make.ICERIVER, model="KS5L", firmware_version="ICM168_ks5L_miner", mac=MAC
        )
        self.reports = Reports(
            self.client,
            RigMonitorSection(url=server.url, default_power_w=3400, default_coin_name="Kaspa"),
            self.newest,
            self.notes,
            self.clock,
            random.Random(1),
            identity_at=lambda _ip: self.identity,
        )

    async def report(self) -> None:
        self.newest.take(
            MinerReading(
                at=to_text(self.clock.now()),
                ip=IP,
                mac=MAC,
                moving=Moving(
                    hashrate_5m_hs=1e13,
                    uptime_s=100.0,
                    fan_rpm=(5000,),
                    boards=(Board(index=0, temp_inlet_c=50.0),),
                ),
                interval_s=30.0,
            )
        )
        await self.reports._report(self.one)


@asynccontextmanager
async def desk() -> AsyncIterator[tuple[Desk, StrictServer]]:
    async with strict_server() as server:
        found = Desk(server)
        try:
            yield found, server
        finally:
            await found.client.close()


async def test_a_spec_lost_to_a_proxy_in_between_is_told_again_later() -> None:
    async with desk() as (at, server):
        server.mood = "moved"
        await at.report()
        server.mood = "well"
        await at.report()
        assert len(at.machine.logs) == 1
        assert at.machine.specs == []  # not at once: it may refuse for long
        await at.clock.advance(REFUSED_WAIT_S + 1)
        await at.report()
        assert len(at.machine.specs) == 1
        assert at.notes.state == "ok"
        await at.report()
        assert len(at.machine.specs) == 1


async def test_the_spec_of_another_miner_at_the_address_is_not_told_as_its_own() -> None:
    async with desk() as (at, _):
        own = at.identity
        at.identity = Identity(
            make=Make.ANTMINER, model="S21", firmware_version="Fri Dec 29", mac=OTHER
        )
        await at.report()
        assert at.machine.specs == []
        at.identity = own
        await at.report()
        assert [spec["model"] for spec in at.machine.specs] == ["Ice River KS5L"]
