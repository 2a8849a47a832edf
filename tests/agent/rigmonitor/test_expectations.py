"""How the monitor is asked what it expects of very many machines."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from agent.config.rigmonitor import RigMonitorSection
from agent.sinks.rigmonitor.client import MonitorClient
from agent.sinks.rigmonitor.expectations import Expectations
from agent.sinks.rigmonitor.machines import ApiCode, MonitorMachine
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.reports import Reports
from contract.rigmonitor.asic import BULK_CALLS_PER_S, BULK_MAX, Switch
from tests.agent.rigmonitor.strict_server import strict_server
from tests.virtual_time import VirtualClock


async def test_parts_of_a_long_list_are_asked_for_at_a_pace_that_leaves_room_for_others() -> None:
    clock, rng, notes = VirtualClock(), random.Random(1), Notes()
    asked_mono: list[float] = []

    class Client(MonitorClient):
        async def expected_bulk(self, codes: tuple[ApiCode, ...]) -> Any:
            asked_mono.append(clock.mono())
            return await super().expected_bulk(codes)

    monitored = tuple(
        MonitorMachine(key=f"key {n}", code=ApiCode(f"code {n}")) for n in range(3 * BULK_MAX + 1)
    )
    considered: list[MonitorMachine] = []

    async def consider(one: MonitorMachine, _light: Switch | None, _asic: Switch | None) -> None:
        considered.append(one)

    async with strict_server() as server:
        client = Client(server.url, ca_file=None, timeout_s=5.0, at_once=2)
        newest = Newest([one.key for one in monitored], clock)
        section = RigMonitorSection(url=server.url)
        reports = Reports(client, section, newest, notes, clock, rng, identity_at=lambda _ip: None)
        expectations = Expectations(
            client, monitored, reports, notes, clock, rng, every_s=10.0, consider=consider
        )
        await expectations.poll()
        await client.close()
        assert server.bulk_sizes == [BULK_MAX] * 3 + [1]
    assert considered == list(monitored)
    assert all(late - early >= 2 / BULK_CALLS_PER_S for early, late in pairwise(asked_mono))
