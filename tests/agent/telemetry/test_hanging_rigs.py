"""Rigs that keep an agent waiting, beside miners and rigs that answer: those are looked at as if the others were not."""

from __future__ import annotations

import asyncio
import random
import threading
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from agent.config.miners import TelemetrySection
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import from_text
from contract.errors import ErrorCode
from contract.link import MinerReading
from simulator.farm import Farm
from tests.agent.onfarm import MemorySink, config_for, free_base
from tests.agent.telemetry.rigs_that_hang import Doors, farm_of
from tests.virtual_time import loop_clock

INTERVAL_S = 30.0
FAULTS = {
    "floods a look": "files_unread",
    "holds a file": "files_unread",
    "lingers": "program_unread",
}
THREADS = 40  # most that a loop has of its own, whatever is asked of it
MINERS = 3
SECTION = TelemetrySection(interval_s=INTERVAL_S, workers=64, batch_wait_s=0.0)


class Busy(msgspec.Struct, frozen=True):
    """What an agent and its farm hold at one time."""

    tasks: int
    threads: int
    connections: int


@pytest.mark.parametrize(
    ("healthy", "hanging", "minutes"),
    [(5, 10, 4), pytest.param(50, 50, 8, marks=pytest.mark.slow)],
)
async def test_the_others_keep_their_interval_and_those_that_hang_are_told_by_name(
    healthy: int, hanging: int, minutes: int, tmp_path: Path
) -> None:
    clock, doors = loop_clock(), Doors()
    net = free_base().rpartition(".")[0]
    async with (
        await Farm.start(f"antminer/s21:{MINERS}", base=free_base(), time_scale=100.0) as farm,
        farm_of(healthy, hanging, net=net, folder=tmp_path, doors=doors) as (rigs, kind_of),
    ):
        site = open_site(config_for(farm, rigs=rigs), clock, Inventory(None))
        sink = MemorySink()
        buffer = ReadingBuffer(sink, None, SECTION, clock, run_id="r")
        poller = Poller(
            site.fleet,
            buffer,
            SECTION,
            clock,
            timeout_s=site.look_timeout_s,
            rng=random.Random(3),
        )
        site.fleet.restore()
        for miner in farm.miners:
            await site.fleet.look_at(miner.ip)
        parts = [asyncio.create_task(each) for each in (buffer.run(), poller.run())]
        busy: list[Busy] = []
        try:
            for _ in range(minutes):
                await asyncio.sleep(60.0)
                busy.append(
                    Busy(
                        tasks=len(asyncio.all_tasks()),
                        threads=threading.active_count(),
                        connections=sum(doors.open.values()),
                    )
                )
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await site.rigs.close()
            await buffer.close()
    seen: dict[str, list[MinerReading]] = {}
    for request in sink.requests:
        for each in request.readings:
            seen.setdefault(each.ip, []).append(each)
    assert poller.stats.skipped == 0
    assert set(seen) == {entry["host"] for entry in rigs} | {each.ip for each in farm.miners}
    for ip in seen.keys() - kind_of.keys():
        _keeps_its_interval(seen[ip], looks=minutes * 2)
    for ip, kind in kind_of.items():
        first = from_text(seen[ip][0].at) - doors.first[ip]
        assert first.total_seconds() <= site.look_timeout_s, kind
        _is_named(kind, seen[ip])
    assert max(doors.most.values()) == 1
    assert max(each.connections for each in busy) <= healthy + hanging
    settled, *later = busy[1:]
    assert max(each.tasks for each in later) <= settled.tasks + MINERS
    assert max(each.threads for each in busy) <= THREADS


def _keeps_its_interval(told: list[MinerReading], *, looks: int) -> None:
    assert all(each.ok and each.error is None for each in told)
    assert len(told) >= looks - 1
    for one, other in pairwise(from_text(each.at) for each in told):
        assert (other - one).total_seconds() == pytest.approx(INTERVAL_S, abs=1.0)


def _is_named(kind: str, told: list[MinerReading]) -> None:
    """It is an error, at every look; or what it does tell is a reading, and what it does not, a fault of its."""
    errors = [each.error for each in told]
    if kind == "chatters":  # each time that it was let in again
        assert errors.count(ErrorCode.MALFORMED_REPLY) >= len(errors) // 2
    elif kind in FAULTS:
        assert set(errors) == {None}
        slow = told[0].slow
        assert slow is not None
        assert FAULTS[kind] in {fault.code for fault in slow.faults}
    else:
        assert set(errors) <= {ErrorCode.UNREACHABLE, ErrorCode.MALFORMED_REPLY}
