from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from agent.config.miners import ScanSection, TelemetrySection
from agent.ports import ScanSummary
from agent.scan.autoscan import AutoScan
from agent.scan.scanner import FarmScanner, Knock, Sweep
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import SystemClock
from contract.errors import BadParamsError
from tests.agent.onfarm import MemorySink, free_base, simulated
from tests.virtual_time import VirtualClock
from tests.waiting import until

CLOCK = SystemClock()  # of a sweep: its thread waits in earnest
SECTION = ScanSection(connect_timeout_s=0.5, connects_per_s=100_000)


def scanner_over(site, **more) -> FarmScanner:
    return FarmScanner(
        site.fleet,
        site.territory,
        SECTION,
        site.scan_ports,
        VirtualClock(),
        look_timeout_s=10,
        **more,
    )


def net_of(farm) -> str:
    return next(iter(farm.miners)).ip.rpartition(".")[0]


def add_up(summary: ScanSummary) -> bool:
    parts = (summary.silent, summary.refused, summary.unknown, summary.failed, summary.found)
    return sum(parts) == summary.addresses


async def test_every_address_is_in_exactly_one_count() -> None:
    async with simulated("antminer:6,foreign/braiins:1") as (farm, site, _):
        net = net_of(farm)
        stranger = socket.create_server((f"{net}.20", site.ports.rpc_port))

        def gibberish() -> None:
            while True:
                try:
                    talk, _ = stranger.accept()
                except OSError:
                    return
                talk.close()

        thread = threading.Thread(target=gibberish, daemon=True)
        thread.start()
        try:
            summary = await scanner_over(site).scan((f"{net}.1-{net}.40",))
        finally:
            stranger.shutdown(socket.SHUT_RDWR)
            stranger.close()
            thread.join()
        assert summary.addresses == 40
        assert (summary.found, summary.new, summary.refused) == (7, 7, 32)
        assert summary.unknown + summary.failed == 1
        assert any(f"{net}.20" in note for note in summary.notes)
        assert add_up(summary)
        truth = {each.ip: each.mac for each in farm.miners if not each.foreign}
        told = {row["ip"]: row["mac"] for row in summary.miners if row["firmware"] == "stock"}
        assert told == truth
        again = await scanner_over(site).scan((f"{net}.1-{net}.7",))
        assert (again.found, again.new) == (7, 0)


async def test_hits_reach_the_cloud_at_once_and_join_telemetry() -> None:
    async with simulated("antminer:4") as (farm, site, config):
        sink = MemorySink()
        section = TelemetrySection(batch_wait_s=60.0, interval_s=3600.0)
        buffer = ReadingBuffer(sink, None, section, VirtualClock(), run_id="r")
        telemetry = Poller(site.fleet, buffer, section, VirtualClock(), timeout_s=5)
        sending = asyncio.create_task(buffer.run())
        scanner = scanner_over(site, buffer=buffer, telemetry=telemetry)
        await scanner.scan(config.miners.ranges)
        await until(lambda: len(sink.readings) == 4, within_s=5)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await buffer.close()
        for each in sink.readings:
            assert each.ok
            assert each.static.model
            assert each.slow is not None
            assert each.moving.hashrate_hs
            assert each.drivable
            assert "sleep" in each.modes
            assert each.interval_s == 3600.0
        assert set(telemetry._plans) == {each.ip for each in farm.miners}


async def test_a_host_without_a_miners_port_counts_as_refused_once() -> None:
    section = ScanSection(connect_timeout_s=0.3, connects_per_s=100_000, sockets_max=600)
    knocks: list[Knock] = []
    sweep = Sweep((f"127.0.0.{n}" for n in range(2, 250)), (9, 7), section, CLOCK, knocks.append)
    began = CLOCK.mono()
    await asyncio.to_thread(sweep.run)
    assert CLOCK.mono() - began < 5
    assert len(knocks) == 248
    assert all(each.refused and not each.open_ports for each in knocks)


async def test_a_host_that_does_not_answer_a_connect_is_silent() -> None:
    ip = free_base()
    full = socket.socket()
    full.bind((ip, 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = []
    for _ in range(4):  # the queue of a listener that accepts nobody drops further connects
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((ip, port))
        fillers.append(filler)
    knocks: list[Knock] = []
    section = ScanSection(connect_timeout_s=0.3)
    await asyncio.to_thread(Sweep([ip], (port,), section, CLOCK, knocks.append).run)
    for each in (*fillers, full):
        each.close()
    assert knocks == [Knock(ip, (), refused=False)]


async def test_the_pace_and_the_width_are_kept() -> None:
    section = ScanSection(connect_timeout_s=0.3, connects_per_s=500, sockets_max=10)
    knocks: list[Knock] = []
    sweep = Sweep((f"127.0.1.{n}" for n in range(1, 101)), (9,), section, CLOCK, knocks.append)
    began = CLOCK.mono()
    await asyncio.to_thread(sweep.run)
    assert CLOCK.mono() - began >= 100 / 500 * 0.9
    assert len(knocks) == 100


async def test_a_scan_sends_not_one_byte_to_closed_or_foreign_hosts_before_identification() -> None:
    ip = free_base()
    server = socket.create_server((ip, 0))
    server.settimeout(5)
    knocks: list[Knock] = []
    section = ScanSection(connect_timeout_s=0.3)
    port = server.getsockname()[1]
    await asyncio.to_thread(Sweep([ip], (port,), section, CLOCK, knocks.append).run)
    talk, _ = server.accept()
    talk.settimeout(5)
    assert talk.recv(100) == b""
    talk.close()
    server.close()
    assert knocks == [Knock(ip, (port,), refused=False)]


async def test_progress_is_told_and_ends_at_the_whole() -> None:
    async with simulated("antminer:2") as (farm, site, _):
        told: list[tuple[int, int]] = []

        async def progress(done: int, total: int) -> None:
            told.append((done, total))

        net = net_of(farm)
        await scanner_over(site).scan((f"{net}.0/24",), progress)
    assert told[0] == (0, 254)
    assert told[-1] == (254, 254)
    assert sorted(told) == told


async def test_one_odd_host_does_not_hold_up_the_others() -> None:
    async with simulated("antminer:5") as (farm, site, config):
        odd = list(farm.miners)[2]
        odd.faults.add("hangs")
        summary = await scanner_over(site).scan(config.miners.ranges)
    assert summary.found == 4
    assert summary.failed + summary.unknown == 1
    assert any(odd.ip in note for note in summary.notes)
    assert add_up(summary)


async def test_what_policy_forbids_is_refused() -> None:
    async with simulated("antminer:1") as (_, site, _config):
        scanner = scanner_over(site)
        with pytest.raises(BadParamsError, match="outside"):
            await scanner.scan(("8.8.8.0/24",))
        with pytest.raises(BadParamsError, match="more than"):
            await scanner.scan(("127.0.0.0/8",))


async def test_a_cancelled_scan_leaves_nothing_behind() -> None:
    async with simulated("antminer:1") as (farm, site, _):
        net = net_of(farm)
        slow = FarmScanner(
            site.fleet,
            site.territory,
            ScanSection(connects_per_s=10),
            site.scan_ports,
            VirtualClock(),
        )
        scan = asyncio.create_task(slow.scan((f"{net}.0/24",)))
        await until(lambda: len(site.fleet) == 1)
        began = CLOCK.mono()
        scan.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scan
        assert CLOCK.mono() - began < 2


class Counting:
    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    async def scan(self, ranges, progress=None) -> ScanSummary:
        self.asked.append(ranges)
        return ScanSummary(
            addresses=0, silent=0, refused=0, unknown=0, failed=0, found=0, new=0, seconds=0
        )


async def test_ranges_are_scanned_at_start_and_the_cloud_may_add_some() -> None:
    scanner = Counting()
    auto = AutoScan(scanner, ScanSection(), ("10.0.0.0/24",), VirtualClock())
    task = asyncio.create_task(auto.run())
    await until(lambda: scanner.asked)
    auto.follow(("10.0.1.0/24",), None)
    assert auto._ranges == ("10.0.0.0/24", "10.0.1.0/24")
    auto.follow((), 1.0)
    assert auto._every_s == 60.0  # never more often than that
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scanner.asked == [("10.0.0.0/24",)]


async def test_a_miner_that_is_busy_with_a_task_is_shown_as_last_seen() -> None:
    async with simulated("antminer:2") as (farm, site, config):
        await scanner_over(site).scan(config.miners.ranges)
        busy = next(iter(farm.miners)).ip
        site.fleet.at(busy).wire.quiet_for(3600.0)
        scanner = FarmScanner(
            site.fleet, site.territory, SECTION, site.scan_ports, VirtualClock(), look_timeout_s=1.0
        )
        summary = await scanner.scan(config.miners.ranges)
    assert summary.found == 2
    assert any(note.startswith(f"{busy}: busy") for note in summary.notes)
    assert add_up(summary)
