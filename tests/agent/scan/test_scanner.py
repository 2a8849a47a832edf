from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack

import pytest

from agent.config.miners import ScanSection, TelemetrySection
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.ports import (
    AddressVerdict,
    FoundMiner,
    OtherAddresses,
    ScanProgress,
    ScanRow,
    ScanSummary,
)
from agent.scan.autoscan import AutoScan
from agent.scan.scanner import FarmScanner
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.clock import SystemClock
from contract.errors import BadParamsError
from tests.agent.onfarm import MemorySink, free_base, simulated
from tests.agent.scan.test_sweep import doors_in_memory
from tests.virtual_time import VirtualClock, loop_clock
from tests.waiting import until

CLOCK = SystemClock()  # of a sweep: its thread waits in earnest
SECTION = ScanSection(connect_timeout_s=0.5, addresses_per_s=100_000)


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
    """Each address is in one count, and in one row."""
    parts = (summary.silent, summary.refused, summary.unknown, summary.failed, summary.found)
    whole = sum(parts) + summary.skipped + summary.not_asked
    rows = len(summary.miners) + sum(each.addresses for each in summary.others)
    return whole == rows == summary.addresses


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
        odd = one_of(summary, f"{net}.20")
        assert odd.verdict in (AddressVerdict.UNKNOWN, AddressVerdict.FAILED)
        assert odd.ports == (site.ports.rpc_port,)
        refused = [each for each in summary.others if each.verdict is AddressVerdict.REFUSED]
        assert [each.range for each in refused] == [f"{net}.8-{net}.19", f"{net}.21-{net}.40"]
        assert add_up(summary)
        truth = {each.ip: each.mac for each in farm.miners if not each.foreign}
        told = {row.ip: row.mac for row in summary.miners if row.firmware == "stock"}
        assert told == truth
        assert all({"mac", "model"} <= {*row.evidence} for row in summary.miners if row.ip in truth)
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


async def test_a_bug_at_one_miner_does_not_end_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulated("antminer:1,iceriver:1") as (farm, site, config):
        section = TelemetrySection(batch_wait_s=60.0)
        buffer = ReadingBuffer(MemorySink(), None, section, VirtualClock(), run_id="r")
        for each in farm.miners:
            await site.fleet.look_at(each.ip)
        ip = farm.miners[0].ip

        async def fails(*_: object) -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(type(site.fleet.at(ip)), "read", fails)
        summary = await scanner_over(site, buffer=buffer).scan(config.miners.ranges)
        assert add_up(summary)
        assert summary.found == 2
        assert {row.ip: row.note for row in summary.miners}[ip] == "internal: KeyError"
        await buffer.close()


@pytest.mark.slow
async def test_of_a_network_that_answers_everywhere_hardly_anything_waits_in_memory() -> None:
    async with simulated("antminer:1") as (farm, site, _):
        net, port = net_of(farm), site.ports.rpc_port
        before = doors_in_memory()
        with ExitStack() as silent:
            for number in range(20, 220):
                silent.enter_context(socket.create_server((f"{net}.{number}", port)))
            narrow = {"identify_at_once": 2, "sockets_max": 64}
            section = SECTION.model_copy(update=narrow)
            scanner = FarmScanner(
                site.fleet, site.territory, section, site.scan_ports, VirtualClock()
            )
            held: list[int] = []

            async def progress(now: ScanProgress) -> None:
                if now.done >= 30 and len(held) < 40:
                    held.append(doors_in_memory() - before)

            told = await scanner.scan((f"{net}.1-{net}.230",), progress)
        assert add_up(told)
        assert (told.found, told.failed) == (1, 200)
        assert 0 < max(held) < 60


async def test_progress_is_told_with_its_rows_and_ends_at_the_whole() -> None:
    async with simulated("antminer:2") as (farm, site, _):
        told: list[tuple[int, int]] = []
        rows: list[ScanRow] = []

        async def progress(now: ScanProgress) -> None:
            told.append((now.done, now.total))
            rows.extend(now.rows)

        net = net_of(farm)
        summary = await scanner_over(site).scan((f"{net}.0/24",), progress)
    assert told[0][1] == 254
    assert told[-1] == (254, 254)
    assert sorted(told) == told
    assert sorted(each.ip for each in rows) == [each.ip for each in summary.miners]
    assert summary.first_pass_s is not None and summary.first_pass_s <= summary.seconds
    assert summary.connects >= 254


async def test_one_odd_host_does_not_hold_up_the_others() -> None:
    async with simulated("antminer:5") as (farm, site, config):
        odd = list(farm.miners)[2]
        odd.faults.add("hangs")
        summary = await scanner_over(site).scan(config.miners.ranges)
    assert summary.found == 4
    assert summary.failed + summary.unknown == 1
    assert one_of(summary, odd.ip).note
    assert add_up(summary)


async def test_what_is_denied_or_a_rigs_is_skipped_and_said_so() -> None:
    async with simulated("antminer:3") as (farm, _, config):
        first, second, third = (each.ip for each in farm.miners)
        miners = config.miners.model_copy(update={"denied": (second,)})
        site = open_site(
            config.model_copy(update={"miners": miners}), VirtualClock(), Inventory(None)
        )
        summary = await scanner_over(site).scan(config.miners.ranges)
    assert [each.ip for each in summary.miners] == [first, third]
    assert (summary.skipped, summary.addresses) == (1, 3)
    assert one_of(summary, second).note == "denied by [miners] denied"
    assert add_up(summary)


def one_of(summary: ScanSummary, ip: str) -> OtherAddresses:
    (found,) = (each for each in summary.others if each.range == ip)
    return found


async def test_hosts_that_accept_and_say_nothing_hold_up_no_miner() -> None:
    mute_net = free_base().rpartition(".")[0]
    async with simulated("antminer:2") as (_, site, config):
        port = site.ports.rpc_port
        mute = [socket.create_server((f"{mute_net}.{n}", port)) for n in range(1, 6)]
        section = SECTION.model_copy(update={"identify_at_once": 1})
        scanner = FarmScanner(
            site.fleet, site.territory, section, site.scan_ports, loop_clock(), look_timeout_s=60
        )
        clock, at = loop_clock(), dict[str, float]()

        async def progress(now: ScanProgress) -> None:
            at.update({each.ip: clock.mono() for each in now.rows if isinstance(each, FoundMiner)})

        began = clock.mono()
        summary = await scanner.scan(
            (f"{mute_net}.1-{mute_net}.5", *config.miners.ranges), progress
        )
        for each in mute:
            each.close()
    assert (summary.found, summary.failed, len(at)) == (2, 5, 2)
    # Each of the silent ones holds out for two questions of 2 s.
    assert max(at.values()) - began < 3.9
    assert summary.seconds < 12.0


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
            ScanSection(addresses_per_s=10),
            site.scan_ports,
            VirtualClock(),
        )
        scan = asyncio.create_task(slow.scan((f"{net}.0/24",), manner="low"))
        await until(lambda: len(site.fleet) == 1)
        began = CLOCK.mono()
        scan.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scan
        assert CLOCK.mono() - began < 2
        summary = slow.so_far()
    assert summary is not None and add_up(summary)
    assert (summary.found, summary.addresses) == (1, 254)
    assert summary.not_asked > 0


class Counting:
    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.manners: list[tuple[str, str | None]] = []

    def so_far(self) -> ScanSummary | None:
        return None

    async def scan(self, ranges, progress=None, *, manner="default", key=None) -> ScanSummary:
        self.asked.append(ranges)
        self.manners.append((manner, key))
        return ScanSummary(
            addresses=0, silent=0, refused=0, unknown=0, failed=0, found=0, new=0, seconds=0
        )


async def test_at_start_somebody_may_wait_on_schedule_nobody_does() -> None:
    scanner = Counting()
    auto = AutoScan(scanner, ScanSection(every_s=3600.0), ("10.0.0.0/24",), VirtualClock())
    task = asyncio.create_task(auto.run())
    await until(lambda: len(scanner.manners) == 3, within_s=20_000)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scanner.manners == [("default", "auto"), ("low", "auto"), ("low", "auto")]


async def test_ranges_are_scanned_at_start_and_those_of_the_cloud_once_they_are_named() -> None:
    scanner = Counting()
    auto = AutoScan(scanner, ScanSection(), ("10.0.0.0/24",), VirtualClock())
    task = asyncio.create_task(auto.run())
    await until(lambda: scanner.asked)
    auto.follow(("10.0.1.0/24", "10.0.2.0/24"), None)
    await until(lambda: len(scanner.asked) == 2)
    auto.follow(("10.0.2.0/24",), 1.0)
    assert auto._every_s == 60.0  # never more often than that
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scanner.asked == [("10.0.0.0/24",), ("10.0.1.0/24", "10.0.2.0/24")]
    assert set(scanner.manners) == {("default", "auto")}


async def test_without_a_scan_at_start_nothing_is_scanned_before_its_time() -> None:
    scanner = Counting()
    section = ScanSection(at_start=False, every_s=3600.0)
    auto = AutoScan(scanner, section, (), VirtualClock())
    task = asyncio.create_task(auto.run())
    auto.follow(("10.0.1.0/24",), None)
    await until(lambda: scanner.asked, within_s=20_000)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert scanner.manners == [("low", "auto")]


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
    (row,) = (each for each in summary.miners if each.ip == busy)
    assert row.note is not None and row.note.startswith("busy")
    assert add_up(summary)
