"""Rigs that are enrolled, among the miners of a site: who they are, that no scan meets them, and what is kept of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.file import Config, ConfigError, parse
from agent.config.miners import TelemetrySection
from agent.miners.inventory import Inventory
from agent.miners.rigs import rigs_of
from agent.miners.site import Site, open_site
from agent.scan.scanner import FarmScanner
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.errors import (
    AuthFailedError,
    BadParamsError,
    MinerError,
    PolicyRefusedError,
    UnreachableError,
    WrongDeviceError,
)
from contract.link import MinerReading, MinerRef
from contract.miner import Firmware, Identity, Make
from drivers.base import Depth, Timing
from drivers.stranger import Stranger
from simulator.farm import Farm
from tests.agent.onfarm import MemorySink, free_base
from tests.agent.rigs import entry_of
from tests.virtual_time import loop_clock
from tests.waiting import until

SECTION = TelemetrySection(
    interval_s=5.0, min_interval_s=1.0, workers=4, batch_wait_s=0.0, slow_every_polls=2
)
ASIC = Identity(make=Make.ANTMINER, firmware=Firmware.STOCK, mac="02:11:22:33:44:55", drivable=True)


@asynccontextmanager
async def rigs(*keys: str, base: str | None = None) -> AsyncIterator[tuple[Farm, list[Any]]]:
    farm = await Farm.start([f"rig/{key}" for key in keys], base=base or free_base())
    try:
        yield farm, list(farm.miners)
    finally:
        await farm.stop()


def config_of(*found: Any, **sections: Any) -> Config:
    miners = {"allowed": ["10.0.0.0/8"], "read_timeout_s": 5.0} | sections.pop("miners", {})
    return parse({"miners": miners, "rigs": [entry_of(each) for each in found], **sections})


def site_of(config: Config, inventory: Inventory | None = None) -> Site:
    return open_site(config, loop_clock(), Inventory(None) if inventory is None else inventory)


@asynccontextmanager
async def polled(site: Site) -> AsyncIterator[MemorySink]:
    """The miners of this site are looked at until the block ends."""
    sink = MemorySink()
    buffer = ReadingBuffer(
        sink, None, SECTION, loop_clock(), run_id="r", on_keys=site.fleet.learn_ids
    )
    poller = Poller(
        site.fleet,
        buffer,
        SECTION,
        loop_clock(),
        timeout_s=site.look_timeout_s,
        rng=random.Random(1),
    )
    site.fleet.restore()
    parts = [asyncio.create_task(each) for each in (poller.run(), buffer.run())]
    try:
        yield sink
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


async def told_of(sink: MemorySink, count: int = 1) -> list[MinerReading]:
    await until(lambda: len(sink.readings) >= count)
    return sink.readings


async def test_an_enrolled_rig_is_looked_at_and_told_of_like_any_miner() -> None:
    async with rigs("6xrtx3080-trex", "xmrig-cpu") as (_, (cards, cpu)):
        site = site_of(config_of(cards, cpu))
        async with polled(site) as sink:
            await until(
                lambda: {each.ip for each in sink.readings if each.static} == {cards.ip, cpu.ip}
            )
        by_ip = {each.ip: each for each in sink.readings if each.static}
        assert {ip: each.mac for ip, each in by_ip.items()} == {
            cards.ip: cards.mac,
            cpu.ip: cpu.mac,
        }
        static = by_ip[cards.ip].static
        assert (static.make, static.model) == (Make.RIG, "RTX 3080 x6")
        assert static.serial == cards.describe()["machine_id"]
        assert by_ip[cpu.ip].static.model == "Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz"
        record = site.inventory.by_key(cards.mac)
        assert record is not None
        assert (record.ip, record.miner_id) == (cards.ip, f"id-{cards.mac}")


async def test_a_key_that_is_open_to_everybody_is_the_trouble_of_its_rig_alone() -> None:
    async with rigs("xmrig-cpu", "xmrig-cpu") as (_, (open_one, other)):
        config = config_of(open_one, other)
        Path(entry_of(open_one)["key_file"]).chmod(0o644)
        site = site_of(config)
        async with polled(site) as sink:
            await until(lambda: {each.ip for each in sink.readings} == {open_one.ip, other.ip})
        of_open, of_other = (
            next(each for each in sink.readings if each.ip == rig.ip) for rig in (open_one, other)
        )
        assert (of_open.ok, of_open.error) == (False, "auth_failed")
        assert of_other.ok
        assert of_other.moving is not None
        with pytest.raises(AuthFailedError, match="chmod o-rwx") as info:
            await site.fleet.look_at(open_one.ip)
        assert site.rigs.unusable == [f"rig {open_one.key}-{open_one.ip}: {info.value}"]


async def test_a_task_finds_a_rig_by_its_mac() -> None:
    async with rigs("xmrig-cpu") as (_, (rig,)):
        site = site_of(config_of(rig))
        site.fleet.restore()
        driver = await site.fleet.driver_for(
            MinerRef(id="a", mac=rig.mac, last_ip=rig.ip), max_age_s=60
        )
        assert (driver.make, driver.identity.mac) == ("rig", rig.mac)
        with pytest.raises(WrongDeviceError, match=rig.mac):
            await site.fleet.driver_for(
                MinerRef(id="b", mac=ASIC.mac, last_ip=rig.ip), max_age_s=60
            )


async def test_no_scan_asks_a_rig_and_none_is_widened_by_one() -> None:
    async with rigs("8xrx6800-trm") as (_, (rig,)):
        net = rig.ip.rpartition(".")[0]
        alone = site_of(config_of(miners={"ranges": [f"{net}.1-{net}.4"]}))
        site = site_of(config_of(rig, miners={"ranges": [f"{net}.1-{net}.4"]}))
        assert site.scan_ports == alone.scan_ports
        spans = site.territory.select((), max_addresses=100)
        assert rig.ip not in [ip for span in spans for ip in span]
        assert sum(map(len, spans)) == 3
        with pytest.raises(BadParamsError, match="is a rig's"):
            site.territory.select([rig.ip], max_addresses=100)
        rig.tapped = True
        scanner = FarmScanner(
            site.fleet, site.territory, config_of().scan, site.scan_ports, loop_clock()
        )
        summary = await scanner.scan(())
        assert (summary.addresses, summary.skipped, summary.found) == (4, 1, 0)
        assert rig.wire_log == []


async def test_a_rig_needs_no_range_of_its_own_and_lends_none_to_others() -> None:
    async with rigs("xmrig-cpu") as (_, (rig,)):
        site = site_of(config_of(rig))
        driver, is_new = await site.fleet.look_at(rig.ip)
        assert not isinstance(driver, Stranger)
        assert is_new
        with pytest.raises(PolicyRefusedError):
            await site.fleet.look_at(rig.ip.rpartition(".")[0] + ".77")


async def test_another_host_key_is_a_wrong_device_for_whoever_asks() -> None:
    async with rigs("6xrtx3080-trex") as (_, (rig,)):
        site = site_of(config_of(rig))
        await site.fleet.look_at(rig.ip)
        rig.faults.add("changes_host_key")
        driver: Any = site.fleet.at(rig.ip)
        await driver.rig_wire.reach.close()
        rig.tapped = True
        with pytest.raises(WrongDeviceError):
            await site.fleet.look_at(rig.ip)
        with pytest.raises(WrongDeviceError):
            await site.fleet.driver_for(MinerRef(id="a", mac=rig.mac), max_age_s=-1)
        assert site.fleet.at(rig.ip) is driver
        async with polled(site_of(config_of(rig), site.inventory)) as sink:
            (first, *_) = await told_of(sink)
        assert (first.ok, first.error, first.mac) == (False, "wrong_device", rig.mac)
        assert rig.wire_log == []


async def test_a_card_that_is_gone_is_missed_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    async with rigs("6xrtx3080-trex") as (_, (rig,)):
        for fault, expected in ((None, set()), ("gpu_falls_off", {"gpu_lost"})):
            if fault is not None:
                rig.faults.add(fault, gpus=[1], variant="gone")
                rig.faults.add("no_api")  # so that no program names it
            inventory = Inventory(path)
            await inventory.open()
            async with polled(site_of(config_of(rig), inventory)) as sink:
                await until(lambda: any(each.slow for each in sink.readings))
            slow = next(each.slow for each in sink.readings if each.slow)
            assert {each.code for each in slow.faults} - {"program_away"} == expected
            static = next(each.static for each in sink.readings if each.static)
            assert static.model == "RTX 3080 x6"
            await inventory.close()


async def test_a_rig_at_another_address_is_the_same_one_with_the_same_cards() -> None:
    inventory = Inventory(None)
    async with rigs("8xrx6800-trm", "8xrx6800-trm") as (_, (rig, other)):
        other.faults.add("changes_mac", mac=rig.mac)
        async with polled(site_of(config_of(rig), inventory)) as sink:
            await until(lambda: any(each.slow for each in sink.readings))
        cards = inventory.cards(rig.mac)
        assert len(cards) == 8
        other.faults.add("gpu_falls_off", gpus=[3], variant="gone")
        other.faults.add("no_api")
        site = site_of(config_of(other), inventory)
        driver: Any = (await site.fleet.look_at(other.ip))[0]
        assert driver.seen == cards
        record = inventory.by_key(rig.mac)
        assert record is not None
        assert (record.ip, record.miner_id) == (other.ip, f"id-{rig.mac}")


async def test_where_a_rig_is_enrolled_nobody_else_is_met(tmp_path: Path) -> None:
    """An AntMiner had that address before, and may have it again."""
    inventory = Inventory(None)
    async with rigs("xmrig-cpu") as (_, (rig,)):
        entry = entry_of(rig)
        inventory.seen(rig.ip, ASIC, loop_clock().now())
        site = site_of(config_of(rig), inventory)
        site.fleet.restore()
        driver = site.fleet.at(rig.ip)
        assert not isinstance(driver, Stranger)
        assert driver.make == "rig"
        assert site.fleet.members.mac_at(rig.ip) is None
        assert (await site.fleet.look_at(rig.ip))[0] is driver
        with pytest.raises(WrongDeviceError, match=rig.mac):
            await site.fleet.driver_for(MinerRef(id="b", mac=ASIC.mac), max_age_s=60)
        async with await Farm.start("antminer/s9", base=free_base()) as farm:
            await no_miner_is_met(farm, entry)


async def no_miner_is_met(farm: Farm, entry: dict[str, Any]) -> None:
    miner: Any = farm.miners[0]
    at_its_address = entry | {"host": miner.ip, "port": miner.http_port}
    site = site_of(parse({"miners": {"http_port": miner.http_port}, "rigs": [at_its_address]}))
    farm.tap(True)
    with pytest.raises(UnreachableError):
        await site.fleet.look_at(miner.ip)
    assert not any(b"GET" in each.data for each in miner.wire_log)


async def test_a_rig_enrolled_at_two_addresses_is_read_and_not_written_to() -> None:
    async with rigs("xmrig-cpu", "xmrig-cpu") as (_, (one, other)):
        other.faults.add("changes_mac", mac=one.mac)
        site = site_of(config_of(one, other))
        site.fleet.restore()
        for rig in (one, other):
            driver, _ = await site.fleet.look_at(rig.ip)
            assert not isinstance(driver, Stranger)
            assert (await driver.read(Depth.FULL)).mac == one.mac
        with pytest.raises(WrongDeviceError, match="is shown at"):
            await site.fleet.driver_for(MinerRef(id="a", mac=one.mac, last_ip=one.ip), max_age_s=60)
        one.faults.add("dead")
        for _ in range(2):
            with pytest.raises(MinerError):
                await site.fleet.look_at(one.ip)
            await asyncio.sleep(700)
        assert site.fleet.at(one.ip) is not None  # it stays enrolled


async def test_a_rig_that_is_enrolled_no_more_is_looked_at_no_more(tmp_path: Path) -> None:
    inventory = Inventory(None)
    async with rigs("xmrig-cpu") as (_, (rig,)):
        await site_of(config_of(rig), inventory).fleet.look_at(rig.ip)
        site = site_of(config_of(), inventory)
        site.fleet.restore()
        assert len(site.fleet) == 0


async def test_the_host_of_the_agent_is_a_rig_like_any_other() -> None:
    async with rigs("8xrx6800-trm", base="127.0.0.1") as (_, (rig,)):
        programs = entry_of(rig)["programs"]
        here = {"name": "here", "reach": "local", "root": str(rig.folder), "programs": programs}
        site = site_of(parse({"rigs": [here]}))
        (address,) = site.rigs
        driver, _ = await site.fleet.look_at(address)
        assert not isinstance(driver, Stranger)
        assert (driver.identity.mac, driver.identity.model) == (rig.mac, "RX 6800 x8")
        reading = await driver.read(Depth.FULL)
        assert reading.moving.hashrate_hs
        assert reading.slow is not None
        assert reading.slow.faults == ()


def test_a_local_rig_has_the_address_of_this_host() -> None:
    local = {"name": "here", "reach": "local"}
    config = parse({"rigs": [local]})

    def at(address: str | None) -> list[str]:
        return [*rigs_of(config, loop_clock_of_none(), Timing(), address_here=lambda: address)]

    assert at("10.1.2.3") == ["10.1.2.3"]
    assert at(None) == ["127.0.0.1"]


def test_a_rig_in_the_network_that_is_this_host_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    key.chmod(0o600)
    there = {"name": "there", "reach": "ssh", "host": "10.1.2.3", "user": "u", "key_file": str(key)}
    there["host_key"] = (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKvSxsxFkdOjfyNN1RaFDfVVWdpOdpz3CMAv1QVpy3oG"
    )
    config = parse({"rigs": [there, {"name": "here", "reach": "local"}]})
    with pytest.raises(ConfigError, match="'there' and 'here' are both at"):
        rigs_of(config, loop_clock_of_none(), Timing(), address_here=lambda: "10.1.2.3")


def loop_clock_of_none() -> Any:
    """Nothing is asked of it."""
    return None
