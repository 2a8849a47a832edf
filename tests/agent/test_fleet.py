from __future__ import annotations

import pytest

from agent.config import parse
from agent.credentials import CredentialBook
from agent.fleet import Fleet
from agent.inventory import Inventory
from agent.site import open_site
from agent.territory import Territory
from contract.errors import PolicyRefusedError, UnreachableError, WrongDeviceError
from contract.link import MinerKey, MinerRef
from contract.miner import Endpoint, Firmware, Identity, Make
from tests.agent.onfarm import config_for, simulated
from tests.virtual_time import loop_clock

MACS = [f"02:11:22:33:44:{n:02X}" for n in range(10)]


class Alone:
    """A driver of a miner in memory: who answers at an address is what the table says."""

    make = "antminer"
    capabilities = None
    min_interval_s = 0.0

    def __init__(self, endpoint: Endpoint, world: dict[str, Identity]) -> None:
        self.endpoint = endpoint
        self.world = world
        self.identity = world[endpoint.host]
        self.asked = 0

    async def identify(self) -> Identity:
        self.asked += 1
        if self.endpoint.host not in self.world:
            raise UnreachableError("gone")
        self.identity = self.world[self.endpoint.host]
        return self.identity


def miner(mac: str | None, **more) -> Identity:
    return Identity(make=Make.ANTMINER, firmware=Firmware.STOCK, mac=mac, drivable=True, **more)


def fleet_over(world: dict[str, Identity], inventory: Inventory | None = None) -> Fleet:
    async def recognise(endpoint, *, credentials):
        if endpoint.host not in world:
            raise UnreachableError(f"nothing answers at {endpoint.host}")
        return Alone(endpoint, world)

    return Fleet(
        Inventory(None) if inventory is None else inventory,
        CredentialBook(factory_defaults=True),
        Territory(parse({"miners": {"denied": ["10.0.0.66"]}}).miners),
        Endpoint(host=""),
        loop_clock(),
        recognise=recognise,
        open_driver=lambda endpoint, identity, *, credentials: Alone(endpoint, world),
    )


async def test_a_miner_is_found_at_its_last_address() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    driver = await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1"), max_age_s=60)
    assert driver.identity.mac == MACS[1]


async def test_an_identity_is_asked_again_only_when_it_is_old() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    ref = MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1")
    first = await fleet.driver_for(ref, max_age_s=60)
    assert await fleet.driver_for(ref, max_age_s=60) is first
    assert first.asked == 0
    assert await fleet.driver_for(ref, max_age_s=-1) is first
    assert first.asked == 1


async def test_another_miner_at_the_address_is_never_handed_out() -> None:
    world = {"10.0.0.1": miner(MACS[1])}
    fleet = fleet_over(world)
    ref = MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1")
    await fleet.driver_for(ref, max_age_s=60)
    world["10.0.0.1"] = miner(MACS[2])
    with pytest.raises(WrongDeviceError, match=MACS[2]):
        await fleet.driver_for(ref, max_age_s=-1)


async def test_a_miner_that_moved_is_found_where_it_was_seen_last() -> None:
    world = {"10.0.0.1": miner(MACS[1]), "10.0.0.2": miner(MACS[2])}
    fleet = fleet_over(world)
    await fleet.look_at("10.0.0.1")
    world["10.0.0.5"] = world.pop("10.0.0.1")
    await fleet.look_at("10.0.0.5")
    ref = MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1")
    assert (await fleet.driver_for(ref, max_age_s=60)).endpoint.host == "10.0.0.5"
    assert fleet.at("10.0.0.1") is None


async def test_a_miner_that_moved_without_being_seen_is_not_guessed() -> None:
    world = {"10.0.0.1": miner(MACS[1])}
    fleet = fleet_over(world)
    await fleet.look_at("10.0.0.1")
    world["10.0.0.9"] = world.pop("10.0.0.1")
    with pytest.raises(UnreachableError):
        await fleet.driver_for(MinerRef(id="a", mac=MACS[1]), max_age_s=-1)


async def test_a_miner_that_hides_its_mac_is_not_written_to_by_mac() -> None:
    fleet = fleet_over({"10.0.0.1": miner(None, reason="the password is wrong")})
    with pytest.raises(WrongDeviceError, match="the password is wrong"):
        await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1"), max_age_s=60)


async def test_a_miner_without_a_mac_is_known_by_its_address_until_it_tells_one() -> None:
    world = {"10.0.0.1": miner(None)}
    inventory = Inventory(None)
    fleet = fleet_over(world, inventory)
    _, is_new = await fleet.look_at("10.0.0.1")
    assert is_new
    assert inventory.by_key("ip:10.0.0.1") is not None
    fleet.learn_ids((MinerKey(id="x", mac=None, ip="10.0.0.1"),))
    assert (await fleet.driver_for(MinerRef(id="x"), max_age_s=60)).endpoint.host == "10.0.0.1"
    world["10.0.0.1"] = miner(MACS[3])
    _, is_new = await fleet.look_at("10.0.0.1")
    assert not is_new
    assert [record.key for record in inventory.all()] == [MACS[3]]


async def test_a_serial_number_that_differs_is_another_device() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1], serial="B")})
    with pytest.raises(WrongDeviceError, match="serial"):
        await fleet.driver_for(
            MinerRef(id="a", mac=MACS[1], serial="A", last_ip="10.0.0.1"), max_age_s=60
        )


async def test_the_cloud_cannot_send_us_outside_our_site() -> None:
    fleet = fleet_over({"8.8.8.8": miner(MACS[1]), "10.0.0.66": miner(MACS[2])})
    for ip in ("8.8.8.8", "10.0.0.66"):
        with pytest.raises(PolicyRefusedError):
            await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip=ip), max_age_s=60)


async def test_a_miner_nobody_has_an_address_of_is_unreachable_in_words() -> None:
    with pytest.raises(UnreachableError, match="scan"):
        await fleet_over({}).driver_for(MinerRef(id="a", mac=MACS[1]), max_age_s=60)


async def test_listeners_hear_of_each_miner_once() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    joined: list[str] = []
    tasks: list[str] = []
    fleet.on_joined.append(joined.append)
    fleet.on_task.append(tasks.append)
    await fleet.look_at("10.0.0.1")
    await fleet.look_at("10.0.0.1")
    await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1"), max_age_s=60)
    assert joined == ["10.0.0.1"]
    assert tasks == ["10.0.0.1"]
    assert not fleet._turns


async def test_a_real_farm_is_known_again_after_a_restart(tmp_path) -> None:
    async with simulated("antminer:3,foreign/braiins:1") as (farm, _, _):
        config = config_for(farm)
        for is_second in (False, True):
            inventory = Inventory(tmp_path / "inventory.db")
            await inventory.open()
            site = open_site(config, loop_clock(), inventory)
            site.fleet.restore()
            assert len(site.fleet) == (4 if is_second else 0)
            for each in farm.miners:
                _, is_new = await site.fleet.look_at(each.ip)
                assert is_new is not is_second
            await inventory.close()
