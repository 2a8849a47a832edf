"""Looking for miners that are not where they were, on simulated ones."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from agent.miners.inventory import Inventory
from agent.miners.missing import AGAIN_S, AT_MOST_S, AT_ONE_MOST, GATHER_S
from agent.miners.site import Site, open_site
from agent.scan.first_ports import first_port
from agent.scan.hunt import REST_S, Hunt
from contract.ranges import parse_range
from simulator.farm import Farm
from tests.agent.onfarm import config_for, free_base
from tests.virtual_time import loop_clock
from tests.waiting import until


@dataclass
class Stage:
    """A farm, a site that met all its miners, and a hunt that runs."""

    farm: Farm
    site: Site
    hunt: Hunt
    net: str
    met: list[str]

    def lose(self, *addresses: str) -> None:
        """A look at each of these found nobody."""
        for ip in addresses:
            self.site.fleet.members.note_silence(ip)

    async def found(self, device: Any, within_s: float = 30.0) -> None:
        await until(
            lambda: self.site.fleet.members.mac_at(device.ip) == device.mac, within_s=within_s
        )


@asynccontextmanager
async def hunting(
    specs: str,
    *,
    ranges: str = "{net}.1-{net}.60",
    macs: Callable[[], Mapping[str, str]] = dict,
    **miners: Any,
) -> AsyncIterator[Stage]:
    """`ranges` and further keys of `[miners]`, with {net} for the first three numbers of the farm's addresses; `macs`
    reads the neighbour table.
    """
    farm = await Farm.start(specs, base=free_base(), time_scale=100.0)
    net = str(farm.miners[0].ip).rpartition(".")[0]
    config = config_for(farm)
    section = config.miners.model_copy(
        update={
            key: tuple(each.format(net=net) for each in texts.split(","))
            for key, texts in ({"ranges": ranges} | miners).items()
        }
    )
    site = open_site(config.model_copy(update={"miners": section}), loop_clock(), Inventory(None))

    met: list[str] = []
    hunt = Hunt(
        site.fleet,
        site.territory,
        config.scan,
        site.scan_ports,
        partial(first_port, ports=site.ports),
        loop_clock(),
        look_timeout_s=site.look_timeout_s,
        on_met=met.append,
        macs=macs,
    )
    for device in farm.miners:
        await site.fleet.look_at(device.ip)
    running = asyncio.create_task(hunt.run())
    try:
        yield Stage(farm, site, hunt, net, met)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await farm.stop()


@pytest.mark.parametrize(
    "spec", ["antminer/s21", "whatsminer/m50s", "whatsminer/m60s", "iceriver/ks3m"]
)
async def test_one_that_moved_is_found_near_by_within_seconds(spec: str) -> None:
    async with hunting(f"{spec}:3") as stage:
        device: Any = stage.farm.miners[1]
        before = device.ip
        device.lease(f"{stage.net}.59")
        began = loop_clock().mono()
        stage.lose(before)
        await stage.found(device)
        assert loop_clock().mono() - began < 10.0
        await until(lambda: stage.met == [device.ip])
        assert sorted(stage.site.fleet) == sorted(each.ip for each in stage.farm.miners)
        assert stage.site.inventory.by_key(device.mac).ip == device.ip
        assert not stage.site.fleet.members.missing.addresses
        assert not stage.site.fleet.members.notices


async def test_it_ends_with_the_last_that_is_found_and_asks_no_miner_that_is_known() -> None:
    async with hunting("antminer/s21:6", ranges="{net}.1-{net}.60,127.1.0.0/22") as stage:
        devices: list[Any] = list(stage.farm.miners)
        before = [each.ip for each in devices[:3]]
        for number, each in enumerate(devices[:3]):
            each.lease(f"{stage.net}.{20 + number}")
        stage.lose(*before)
        for each in devices[:3]:
            await stage.found(each)
        await until(lambda: len(stage.met) == 3)
        assert sorted(stage.met) == sorted(each.ip for each in devices[:3])  # no other was met
        await asyncio.sleep(2 * AGAIN_S)
        assert 0 < stage.hunt.asked <= 60 - 3


async def test_one_that_is_met_at_anothers_address_is_looked_for_where_it_went() -> None:
    async with hunting("antminer/s21:4") as stage:
        one, two, *_ = devices = list(stage.farm.miners)
        place = two.ip
        two.lease(f"{stage.net}.58")
        one.lease(place)
        await stage.site.fleet.look_at(place)
        for each in devices:
            await stage.found(each)
        assert sorted(stage.site.fleet) == sorted(each.ip for each in devices)


@pytest.mark.parametrize("spec", ["antminer/s21", "whatsminer/m60s", "iceriver/ks3m"])
async def test_one_of_another_make_at_its_address_is_met_there(spec: str) -> None:
    other_spec = "whatsminer/m50s" if spec == "iceriver/ks3m" else "iceriver/ks3m"
    async with hunting(f"{spec},{other_spec}") as stage:
        one, two = devices = list(stage.farm.miners)
        place = two.ip
        two.lease(one.ip)
        one.lease(f"{stage.net}.58")
        stage.lose(two.ip, place)
        for each in devices:
            await stage.found(each)
        assert sorted(stage.site.fleet) == sorted(each.ip for each in devices)


async def test_its_own_range_comes_after_the_24_then_the_others_and_those_of_the_cloud() -> None:
    far = {"its own": "127.2.1.20", "another": "127.2.9.7", "one of the cloud": "127.2.20.7"}
    async with hunting(
        "antminer/s21:2", ranges="{net}.1-{net}.60,127.2.0.240-127.2.1.30,127.2.9.0/28"
    ) as stage:
        stage.hunt.follow([parse_range("127.2.20.0/28")])
        device: Any = stage.farm.miners[0]
        for ip in far.values():
            before = device.ip
            device.lease(ip)
            stage.lose(before)
            await stage.found(device, within_s=60.0)


async def test_what_is_denied_or_outside_is_not_looked_through() -> None:
    async with hunting("antminer/s21:2", denied="{net}.30-{net}.40", allowed="{net}.0/24") as stage:
        device: Any = stage.farm.miners[0]
        before = device.ip
        for ip in (f"{stage.net}.35", "127.3.0.9"):
            device.lease(ip)
            stage.lose(before)
            await asyncio.sleep(GATHER_S + REST_S + AGAIN_S)
            assert stage.site.fleet.at(ip) is None
        assert 0 < stage.hunt.asked <= 2 * (60 - 11)
        device.lease(f"{stage.net}.41")
        await stage.found(device, within_s=4 * AGAIN_S)


async def test_a_rack_that_is_off_is_looked_for_ever_more_seldom_and_found_when_it_is_on() -> None:
    async with hunting("iceriver/ks3m:6", ranges="{net}.1-{net}.14") as stage:
        off: list[Any] = list(stage.farm.miners[:4])
        for each in off:
            each.faults.add("dead")
        stage.lose(*(each.ip for each in off))
        await asyncio.sleep(6 * 3600.0)
        asked = stage.hunt.asked
        assert asked <= 14 * 12  # once, then after 0.5, 1, 2, 4 ... 60 minutes
        await asyncio.sleep(3 * 3600.0)
        assert stage.hunt.asked - asked <= 3 * 12
        for number, each in enumerate(off):
            each.faults.remove("dead")
            each.lease(f"{stage.net}.{10 + number}")
        for each in off:
            await stage.found(each, within_s=AT_MOST_S + 60.0)


async def test_one_with_a_new_mac_each_time_does_not_keep_it_running() -> None:
    async with hunting("antminer/s21:2", ranges="{net}.1-{net}.14") as stage:
        liar: Any = stage.farm.miners[0]
        numbers = itertools.count()
        liar.shown_mac = lambda: f"02:AA:00:{next(numbers):06X}"
        await stage.site.fleet.look_at(liar.ip)
        await asyncio.sleep(12 * 3600.0)
        assert 0 < stage.hunt.asked <= 14 * (AT_ONE_MOST * 24)
        asked = stage.hunt.asked
        await asyncio.sleep(24 * 3600.0)
        assert stage.hunt.asked - asked <= 14 * AT_ONE_MOST * 24
        assert len(stage.site.fleet.members.missing) <= AT_ONE_MOST


async def test_three_that_change_places_are_each_known_where_they_are() -> None:
    async with hunting("antminer/s21:4") as stage:
        devices: list[Any] = list(stage.farm.miners[:3])
        places = [each.ip for each in devices]
        for number, each in enumerate(devices):
            each.lease(f"{stage.net}.{40 + number}")
        for each, place in zip(devices, (*places[1:], places[0]), strict=True):
            each.lease(place)
        for place in places:
            await stage.site.fleet.look_at(place)
        inventory = stage.site.inventory
        for each in devices:
            await stage.found(each)
            assert inventory.by_key(each.mac).ip == each.ip
            assert inventory.by_ip(each.ip).key == each.mac
        assert len(inventory) == 4
        assert not stage.site.fleet.members.missing.addresses


@pytest.mark.parametrize("told", ["the right address", "a wrong one", "nothing that can be read"])
async def test_what_the_neighbour_table_knows_is_asked_first_and_is_only_a_hint(told: str) -> None:
    table: dict[str, str] = {}

    def macs() -> Mapping[str, str]:
        if told == "nothing that can be read":
            raise OSError("not here")
        return table

    async with hunting("antminer/s21:3", macs=macs) as stage:
        device, other, _ = devices = list(stage.farm.miners)
        before = device.ip
        device.lease(f"{stage.net}.59")
        table[other.ip if told == "a wrong one" else device.ip] = device.mac.lower()
        table["8.8.8.8"] = device.mac.lower()
        stage.lose(before)
        for each in devices:
            await stage.found(each)
        await asyncio.sleep(REST_S)  # by then this hunt is over
        assert (stage.hunt.asked == 0) == (told == "the right address")


async def test_a_hunt_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hunting("antminer/s21:2") as stage:
        device: Any = stage.farm.miners[0]
        before = device.ip
        device.lease(f"{stage.net}.59")
        with monkeypatch.context() as patched:
            for problem in (OSError("no more files"), ValueError("a bug")):

                def fails(*_: object, problem: Exception = problem, **__: object) -> None:
                    raise problem

                patched.setattr(stage.site.territory, "grounds", fails)
                stage.lose(before)
                await asyncio.sleep(GATHER_S + REST_S + AGAIN_S)
        await stage.found(device, within_s=8 * AGAIN_S)
