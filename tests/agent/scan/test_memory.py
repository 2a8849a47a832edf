from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.config.miners import ScanSection
from agent.miners.inventory import Inventory
from agent.miners.site import Site, open_site
from agent.ports import AddressVerdict, FoundMiner, ScanProgress
from agent.scan.report.memory import RESUME_S, ScanMemory, ScanRows, named_ranges
from agent.scan.report.verdicts import Saying
from agent.scan.scanner import FarmScanner
from contract.link import NamedRange
from contract.ranges import parse_range
from tests.agent.onfarm import simulated
from tests.agent.scan.test_scanner import SECTION, add_up, net_of
from tests.virtual_time import VirtualClock
from tests.waiting import until


def over(site: Site, memory: ScanMemory, section: ScanSection = SECTION) -> FarmScanner:
    return FarmScanner(
        site.fleet,
        site.territory,
        section,
        site.scan_ports,
        VirtualClock(),
        look_timeout_s=10,
        memory=memory,
    )


async def test_what_is_other_than_at_the_last_scan_of_the_same_range_is_told(
    tmp_path: Path,
) -> None:
    async with simulated("antminer:3") as (farm, site, _):
        first, second, third = farm.miners
        net = (f"{net_of(farm)}.1-{net_of(farm)}.6",)
        async with ScanMemory(tmp_path / "scans.db") as memory:
            assert (await over(site, memory).scan(net)).changes is None, "nothing to compare with"
            same = (await over(site, memory).scan(net)).changes
            assert same is not None and len(same) == 0
            part = (await over(site, memory).scan((f"{net_of(farm)}.1-{net_of(farm)}.2",))).changes
            assert part is not None and len(part) == 0, "what was not scanned is not lost"
        await second.stop()
        async with ScanMemory(tmp_path / "scans.db") as memory:
            told = (await over(site, memory).scan(net)).changes
            assert told is not None
            (lost,) = told.lost
            assert (lost.ip, lost.mac) == (second.ip, second.mac)
            assert lost.now is AddressVerdict.REFUSED
            assert len(told) == 1
            again = (await over(site, memory).scan(net)).changes
            assert again is not None and len(again) == 0, "lost is told once"
        assert first.mac != third.mac


async def test_a_cut_scan_goes_on_where_it_stopped(tmp_path: Path) -> None:
    slow = ScanSection(connect_timeout_s=0.5, addresses_per_s=20)
    async with simulated("antminer:2") as (farm, site, config):
        net = f"{net_of(farm)}.1-{net_of(farm)}.60"
        async with ScanMemory(tmp_path / "scans.db") as memory:
            seen: list[ScanProgress] = []

            async def progress(now: ScanProgress) -> None:
                seen.append(now)

            scanner = over(site, memory, slow)
            task = asyncio.create_task(scanner.scan((net,), progress, manner="low", key="task-1"))
            await until(lambda: bool(seen) and seen[-1].done > 10 and seen[-1].found == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            cut = scanner.so_far()
            assert cut is not None and cut.not_asked > 0
        # a new process, which knows of no miner
        after = open_site(config, VirtualClock(), Inventory(None))
        async with ScanMemory(tmp_path / "scans.db") as memory:
            whole = await over(after, memory).scan((net,), manner="low", key="task-1")
            assert add_up(whole)
            assert (whole.found, whole.not_asked, whole.addresses) == (2, 0, 60)
            assert whole.new == 2, "they were new when it began"
            assert whole.connects <= 4 * (cut.not_asked + 2), "what was through is not asked again"
            assert any("goes on where it was cut" in each for each in whole.notes)
            assert len(after.fleet) == 2, "but miners, whom nobody knows here yet"
            afresh = await over(after, memory).scan((net,), key="task-1")
            assert afresh.notes == (), "it has ended by now"
            assert afresh.connects >= 60


@pytest.mark.slow
async def test_how_far_it_is_is_kept_on_the_way_for_a_crash_gives_no_notice(tmp_path: Path) -> None:
    slow = ScanSection(connect_timeout_s=0.5, addresses_per_s=20)
    async with simulated("antminer:1") as (farm, site, _):
        net = f"{net_of(farm)}.0/24"
        async with ScanMemory(tmp_path / "scans.db") as memory:
            task = asyncio.create_task(over(site, memory, slow).scan((net,), manner="low", key="a"))

            async def is_kept() -> bool:
                return await plan_of(memory) is not None

            await until(is_kept, within_s=30)
            async with ScanMemory(tmp_path / "scans.db") as after:
                killed = await after.cut("a", await plan_of(memory) or b"", VirtualClock().now())
            assert killed is not None
            assert [each.ip for each in killed.rows.miners] == [next(iter(farm.miners)).ip]
            assert 1.0 < killed.seconds < 10.0
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.mark.parametrize(
    "why", ["another key", "another range", "too old", "damaged", "damaged words", "damaged rows"]
)
async def test_a_cut_scan_is_not_taken_up_by_another(tmp_path: Path, why: str) -> None:
    slow = ScanSection(connect_timeout_s=0.5, addresses_per_s=20)
    async with simulated("antminer:1") as (farm, site, _):
        net = f"{net_of(farm)}.1-{net_of(farm)}.30"
        async with ScanMemory(tmp_path / "scans.db") as memory:
            task = asyncio.create_task(over(site, memory, slow).scan((net,), manner="low", key="a"))
            await until(lambda: len(site.fleet) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if why.startswith("damaged"):
                scan = await memory.cut("a", await plan_of(memory) or b"", VirtualClock().now())
                assert scan is not None
                stranger = FoundMiner(ip="10.9.8.7", make="antminer")
                damage: dict[str, Any] = {
                    "damaged": {"addresses": b"nonsense"},
                    "damaged words": {"sayings": msgspec.json.encode([Saying(None)] * 300)},
                    "damaged rows": {"rows": ScanRows(miners=(stranger,))},
                }
                await memory.keep("a", msgspec.structs.replace(scan, **damage[why]))
            if why == "too old":
                await asyncio.sleep(RESUME_S + 1)
            key = "b" if why == "another key" else "a"
            range_ = f"{net_of(farm)}.2-{net_of(farm)}.31" if why == "another range" else net
            told = await over(site, memory).scan((range_,), key=key)
        assert told.notes == ()
        assert add_up(told)


async def plan_of(memory: ScanMemory) -> bytes | None:
    rows = await memory._asked(lambda db: db.execute("SELECT plan FROM cut").fetchall(), [])
    return rows[0][0] if rows else None


async def test_a_scan_that_nobody_waits_for_gives_way_and_goes_on(tmp_path: Path) -> None:
    async with simulated("antminer:2") as (farm, site, _):
        slow = ScanSection(connect_timeout_s=0.5, addresses_per_s=20)
        scanner = over(site, ScanMemory(None), slow)
        net = net_of(farm)
        patient = asyncio.create_task(scanner.scan((f"{net}.1-{net}.14",), manner="low"))
        await until(lambda: scanner.so_far() is not None and len(site.fleet) > 0)
        asked = await scanner.scan((f"{net}.1-{net}.4",))
        assert not patient.done(), "the other one had its turn first"
        assert (asked.found, asked.addresses) == (2, 4)
        told = await patient
        assert add_up(told)
        assert (told.addresses, told.found, told.not_asked) == (14, 2, 0)


async def test_one_that_gave_way_and_is_cancelled_tells_what_it_had_found_itself() -> None:
    async with simulated("antminer:2") as (farm, site, _):
        slow = ScanSection(connect_timeout_s=0.5, addresses_per_s=20)
        scanner = over(site, ScanMemory(None), slow)
        net = net_of(farm)
        patient = asyncio.create_task(scanner.scan((f"{net}.1-{net}.60",), manner="low"))
        await until(lambda: len(site.fleet) > 0)
        has_begun = asyncio.Event()

        async def progress(_: ScanProgress) -> None:
            has_begun.set()

        other = asyncio.create_task(scanner.scan((f"{net}.101-{net}.200",), progress))
        await has_begun.wait()
        patient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await patient
        told = scanner.so_far()
        assert told is not None and add_up(told)
        assert (told.addresses, told.found) == (60, 2)
        assert told.not_asked > 0
        assert (await other).addresses == 100


async def test_a_damaged_file_costs_only_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "scans.db"
    path.write_bytes(b"nonsense" * 1000)
    async with ScanMemory(path) as memory:
        await memory.keep_named([NamedRange(id="1", name="hall", range="10.0.0.0/24")])
    assert path.with_suffix(".damaged").exists()
    assert [each.name for each in named_ranges(path)] == ["hall"]
    assert named_ranges(tmp_path / "none.db") == ()


async def test_damage_that_is_met_later_costs_only_what_was_in_it_too(tmp_path: Path) -> None:
    path = tmp_path / "scans.db"
    spans = (parse_range("10.0.0.0/16"),)
    found = [FoundMiner(ip=f"10.0.{number >> 8}.{number & 255}") for number in range(1, 3000)]
    at = VirtualClock().now()
    async with ScanMemory(path) as memory:
        await memory.end(None, spans, found, [], at)
        await memory.keep_named([NamedRange(id="1", name="hall", range="10.0.0.0/24")])
    pages = bytearray(path.read_bytes())
    pages[8 * 4096 :] = b"\xa5" * (len(pages) - 8 * 4096)
    path.write_bytes(pages)
    path.with_name("scans.db-wal").write_bytes(b"what is left of it")
    async with ScanMemory(path) as memory:
        assert not (await memory.last(spans)).seen
        await memory.end(None, spans, found[:5], [], at)
        assert len((await memory.last(spans)).seen) == 5
    async with ScanMemory(path) as memory:
        assert len((await memory.last(spans)).seen) == 5
    assert path.with_suffix(".damaged").exists()


async def test_what_belongs_to_another_is_read_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "scans.db"
    async with ScanMemory(path) as memory:
        await memory.keep_named([NamedRange(id="1", name="hall", range="10.0.0.0/24")])
        async with ScanMemory(path, read_only=True) as guest:
            await guest.keep_named([])
            assert [each.id for each in await guest.named()] == ["1"]
