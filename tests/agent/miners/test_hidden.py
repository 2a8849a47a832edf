"""A miner that tells no MAC while it is switched off, as WhatsMiners do with firmware before 2022: it keeps its record."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from agent.miners.fleet import Fleet
from agent.miners.inventory import Inventory
from contract.errors import WrongDeviceError
from contract.link import MinerRef
from contract.task import TaskName
from tests.agent.miners.test_fleet import MACS, fleet_over, miner
from tests.agent.miners.test_twins import Agent, agent_on, farm_of
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from simulator.farm import Farm

OLD = "whatsminer/m20s"


@asynccontextmanager
async def switched_off(folder: Path, *specs: str) -> AsyncIterator[tuple[Farm, Any]]:
    """The first of a farm of old miners was stopped by an agent, which has ended since."""
    async with farm_of(*specs) as farm:
        device: Any = farm.miners[0]
        async with agent_on(farm, folder) as agent:
            await agent.scanner.scan(())
            result = await agent.result(TaskName.MINING, device.mac, device.ip)
            assert result["outcome"] == "done"
            assert device.state == "sleeping"
        yield farm, device


async def told(agent: Agent, ip: str, times: int = 5) -> set[str | None]:
    """The MACs under which what is at this address is told of with the next looks."""
    await until(lambda: len(agent.told_of(ip)) >= times, within_s=120.0)
    return {each.mac for each in agent.told_of(ip)}


async def test_it_is_told_of_by_its_mac_after_a_restart_of_the_agent(tmp_path: Path) -> None:
    async with switched_off(tmp_path, OLD) as (farm, device):
        async with agent_on(farm, tmp_path) as agent:
            assert await told(agent, device.ip) == {device.mac}
            assert agent.site.fleet.members.mac_at(device.ip) is None
            (record,) = agent.site.inventory.all()
            assert (record.key, record.ip) == (device.mac, device.ip)
            first = next(each.static for each in agent.told_of(device.ip) if each.static)
            assert first.model == record.identity.model is not None
        async with agent_on(farm, tmp_path) as agent:  # and once more: nothing was lost by that
            assert await told(agent, device.ip) == {device.mac}
            # Nothing is done to it on the strength of that but what wakes it.
            ref = MinerRef(id="m1", mac=device.mac, last_ip=device.ip)
            with pytest.raises(WrongDeviceError, match="does not tell its MAC"):
                await agent.site.fleet.driver_for(ref, max_age_s=60.0)
            driver = await agent.site.fleet.driver_for(ref, max_age_s=60.0, may_be_off=True)
            assert driver.endpoint.host == device.ip


async def test_it_is_nobodys_record_where_its_mac_is_shown_elsewhere(tmp_path: Path) -> None:
    async with switched_off(tmp_path, OLD, OLD) as (farm, device):
        other: Any = farm.miners[1]
        other.clone_mac(device)
        async with agent_on(farm, tmp_path) as agent:
            await agent.told_anew(other.ip, lambda each: each.mac == device.mac)
            count = len(agent.told_of(device.ip))
            await until(lambda: len(agent.told_of(device.ip)) > count + 1)
            assert {each.mac for each in agent.told_of(device.ip)[count:]} == {None}


@pytest.mark.parametrize(
    "now",
    [
        {"firmware_version": "2"},
        {"model": "M21S"},
        {"generation": "v2"},
        {"serial": "B"},
        {"hostname": "another"},
        {"drivable": False, "reason": "the password is wrong"},
    ],
)
async def test_what_tells_anything_else_is_another(now: dict[str, Any]) -> None:
    before = miner(
        MACS[1], model="M20S", firmware_version="1", generation="v1", serial="A", hostname="m"
    )
    fleet, world, inventory = await _met(before)
    world["10.0.0.1"] = msgspec.structs.replace(
        before, mac=None, serial=None, hostname=None, model=None
    )
    await fleet.look_at("10.0.0.1")
    assert fleet.members.presumed_mac("10.0.0.1") == MACS[1]
    assert [each.key for each in inventory.all()] == [MACS[1]]
    assert inventory.all()[0].identity == before
    world["10.0.0.1"] = msgspec.structs.replace(world["10.0.0.1"], **now)
    await fleet.look_at("10.0.0.1")
    assert fleet.members.presumed_mac("10.0.0.1") is None
    assert {each.key for each in inventory.all()} == {MACS[1], "ip:10.0.0.1"}


async def test_the_second_record_that_an_earlier_version_kept_goes(tmp_path: Path) -> None:
    before = miner(MACS[1], model="M20S", firmware_version="1")
    fleet, world, inventory = await _met(before)
    nameless = msgspec.structs.replace(before, mac=None, model=None)
    inventory.seen("10.0.0.1", nameless, fleet._clock.now())
    inventory.seen("10.0.0.2", nameless, fleet._clock.now())
    fleet_over(world, inventory).restore()
    assert {each.key for each in inventory.all()} == {MACS[1], "ip:10.0.0.2"}
    record = inventory.by_ip("10.0.0.1")
    assert record is not None
    assert record.key == MACS[1]


async def _met(identity: Any) -> tuple[Fleet, dict[str, Any], Inventory]:
    """A fleet that met this miner at 10.0.0.1."""
    world, inventory = {"10.0.0.1": identity, "10.0.0.2": identity}, Inventory(None)
    fleet = fleet_over(world, inventory)
    await fleet.look_at("10.0.0.1")
    return fleet, world, inventory
