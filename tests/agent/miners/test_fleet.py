from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from agent.config.file import parse
from agent.miners.credentials import CredentialBook
from agent.miners.fleet import Fleet
from agent.miners.inventory import Inventory
from agent.miners.members import GONE_AFTER_S
from agent.miners.site import open_site
from agent.miners.territory import Territory
from contract.errors import PolicyRefusedError, UnreachableError, WrongDeviceError
from contract.link import MinerKey, MinerRef
from contract.miner import Endpoint, Firmware, Identity, Make
from drivers.doors import Doors
from drivers.stranger import Stranger
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
        if self.world[self.endpoint.host] is None:
            raise WrongDeviceError("something else")
        self.identity = self.world[self.endpoint.host]
        return self.identity


def miner(mac: str | None, **more) -> Identity:
    return Identity(make=Make.ANTMINER, firmware=Firmware.STOCK, mac=mac, drivable=True, **more)


STRANGER = Stranger(ports=(80,))


def fleet_over(
    world: dict[str, Identity],
    inventory: Inventory | None = None,
    given: list[Doors] | None = None,
) -> Fleet:
    async def recognise(endpoint, *, credentials, doors):
        if given is not None:
            given.append(doors)
        if endpoint.host not in world:
            raise UnreachableError(f"nothing answers at {endpoint.host}")
        if world[endpoint.host] is None:
            return STRANGER
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
    assert not fleet.members.notices


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


async def test_an_order_by_id_alone_does_not_follow_a_board_into_another_miner() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    await fleet.look_at("10.0.0.1")
    fleet.learn_ids((MinerKey(id="x", mac=MACS[1], ip="10.0.0.1"),))
    assert (await fleet.driver_for(MinerRef(id="x"), max_age_s=60)).endpoint.host == "10.0.0.1"
    fleet.learn_ids((MinerKey(id="y", mac=MACS[1], ip="10.0.0.1"),))
    with pytest.raises(UnreachableError, match="no address is known"):
        await fleet.driver_for(MinerRef(id="x"), max_age_s=60)
    assert (await fleet.driver_for(MinerRef(id="y"), max_age_s=60)).endpoint.host == "10.0.0.1"


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


async def test_two_that_show_one_mac_are_both_members_and_neither_is_handed_out() -> None:
    world = {"10.0.0.1": miner(MACS[1]), "10.0.0.2": miner(MACS[1])}
    inventory = Inventory(None)
    fleet = fleet_over(world, inventory)
    news = [(await fleet.look_at(ip))[1] for ip in world]
    assert news == [True, False]
    assert list(fleet) == list(world)
    for last_ip in (None, *world):
        with pytest.raises(
            WrongDeviceError, match=r"10\.0\.0\.1.*10\.0\.0\.2|10\.0\.0\.2.*10\.0\.0\.1"
        ):
            await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip=last_ip), max_age_s=60)
    assert [each for each in fleet.members.notices if MACS[1] in each and "10.0.0.2" in each]
    fleet.learn_ids(
        (MinerKey(id="x", mac=MACS[1], ip="10.0.0.1"), MinerKey(id="y", mac=MACS[1], ip="10.0.0.2"))
    )
    assert {each.key: each.miner_id for each in inventory.all()} == {
        MACS[1]: "x",
        "ip:10.0.0.2": "y",
    }
    world["10.0.0.1"] = miner(MACS[2])
    await fleet.look_at("10.0.0.1")
    await fleet.look_at("10.0.0.2")
    driver = await fleet.driver_for(MinerRef(id="x", mac=MACS[1], last_ip="10.0.0.1"), max_age_s=60)
    assert driver.endpoint.host == "10.0.0.2"
    assert {each.key: each.ip for each in inventory.all()} == {
        MACS[1]: "10.0.0.2",
        MACS[2]: "10.0.0.1",
    }
    assert not fleet.members.notices


async def test_the_first_to_have_it_may_be_the_one_that_goes() -> None:
    world = {"10.0.0.1": miner(MACS[1]), "10.0.0.2": miner(MACS[1])}
    inventory = Inventory(None)
    fleet = fleet_over(world, inventory)
    for ip in tuple(world):
        await fleet.look_at(ip)
    fleet.learn_ids((MinerKey(id="x", mac=MACS[1], ip="10.0.0.1"),))
    del world["10.0.0.1"]
    for wait_s in (0.0, GONE_AFTER_S):
        assert fleet.members.twins("10.0.0.2") == ("10.0.0.1",)
        await asyncio.sleep(wait_s)
        with pytest.raises(UnreachableError):
            await fleet.look_at("10.0.0.1")
    driver = await fleet.driver_for(MinerRef(id="x", mac=MACS[1]), max_age_s=60)
    assert driver.endpoint.host == "10.0.0.2"
    (record,) = inventory.all()
    assert (record.key, record.ip, record.miner_id) == (MACS[1], "10.0.0.2", "x")


async def test_whoever_only_restarted_is_found_before_a_task_begins() -> None:
    world = {"10.0.0.1": miner(MACS[1])}
    fleet = fleet_over(world)
    await fleet.look_at("10.0.0.1")
    world["10.0.0.2"] = world.pop("10.0.0.1")
    await fleet.look_at("10.0.0.2")
    ref = MinerRef(id="a", mac=MACS[1])
    assert (await fleet.driver_for(ref, max_age_s=60)).endpoint.host == "10.0.0.2"
    world["10.0.0.1"] = world["10.0.0.2"]
    await asyncio.sleep(30.0)
    with pytest.raises(WrongDeviceError, match=MACS[1]):
        await fleet.driver_for(ref, max_age_s=60)
    assert list(fleet) == ["10.0.0.2", "10.0.0.1"]


async def test_one_that_hides_its_mac_has_not_left() -> None:
    world = {"10.0.0.1": miner(MACS[1])}
    fleet = fleet_over(world)
    await fleet.look_at("10.0.0.1")
    world |= {"10.0.0.1": miner(None, reason="the password is wrong"), "10.0.0.2": miner(MACS[1])}
    await fleet.look_at("10.0.0.2")
    assert fleet.members.hides_mac("10.0.0.1")
    with pytest.raises(WrongDeviceError, match=MACS[1]):
        await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.2"), max_age_s=60)
    # Another one at its place is no reason to wait for it.
    world["10.0.0.1"] = miner(None, model="another model")
    await fleet.look_at("10.0.0.1")
    ref = MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.2")
    assert (await fleet.driver_for(ref, max_age_s=60)).endpoint.host == "10.0.0.2"


async def test_what_boots_and_seems_to_be_something_else_has_not_left() -> None:
    world: dict[str, Any] = {"10.0.0.1": miner(MACS[1]), "10.0.0.2": miner(MACS[1])}
    fleet = fleet_over(world)
    for ip in tuple(world):
        await fleet.look_at(ip)
    world["10.0.0.1"] = None
    for wait_s in (0.0, GONE_AFTER_S):
        assert fleet.members.twins("10.0.0.2") == ("10.0.0.1",)
        await asyncio.sleep(wait_s)
        assert await fleet.look_at("10.0.0.1") == (STRANGER, False)
    assert fleet.members.twins("10.0.0.2") == ()
    assert list(fleet) == ["10.0.0.2"]


def swept() -> tuple[Doors, socket.socket]:
    """One open port, with the connection that a sweep left; and that connection."""
    here, there = socket.socketpair()
    there.close()
    return Doors(open=frozenset({80}), sockets={80: here}), here


async def test_what_a_sweep_left_open_goes_to_who_asks_a_stranger_and_to_nobody_else() -> None:
    world: dict[str, Any] = {"10.0.0.1": miner(MACS[1]), "10.0.0.2": None}
    given: list[Doors] = []
    fleet = fleet_over(world, given=given)
    for ip in world:
        doors, sock = swept()
        await fleet.look_at(ip, doors)
        assert given.pop() is doors
        assert sock.fileno() == -1
    doors, sock = swept()
    await fleet.look_at("10.0.0.1", doors)
    assert given == [], "who is known is asked by its own driver"
    assert sock.fileno() == -1
    doors, sock = swept()
    with pytest.raises(PolicyRefusedError):
        await fleet.look_at("10.0.0.66", doors)
    assert sock.fileno() == -1


async def test_many_with_one_mac_do_not_ask_each_other_all_the_time() -> None:
    world = {f"10.0.0.{n}": miner(MACS[1]) for n in range(1, 41)}
    fleet = fleet_over(world)
    for _ in range(3):
        for ip in world:
            await fleet.look_at(ip)
    asked = sum(fleet.at(ip).asked for ip in world)
    assert asked <= 3 * len(world) + 2
    with pytest.raises(WrongDeviceError, match="31 more"):
        await fleet.driver_for(MinerRef(id="a", mac=MACS[1]), max_age_s=60)


async def test_a_wanted_mac_that_names_nobody_is_none() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    await fleet.look_at("10.0.0.1")
    fleet.learn_ids((MinerKey(id="x", mac=MACS[1], ip="10.0.0.1"),))
    driver = await fleet.driver_for(MinerRef(id="x", mac="00:00:00:00:00:00"), max_age_s=60)
    assert driver.identity.mac == MACS[1]


async def test_listeners_hear_of_each_miner_once() -> None:
    fleet = fleet_over({"10.0.0.1": miner(MACS[1])})
    joined: list[str] = []
    tasks: list[str] = []
    fleet.members.on_joined.append(joined.append)
    fleet.on_task.append(tasks.append)
    await fleet.look_at("10.0.0.1")
    await fleet.look_at("10.0.0.1")
    await fleet.driver_for(MinerRef(id="a", mac=MACS[1], last_ip="10.0.0.1"), max_age_s=60)
    assert joined == ["10.0.0.1"]
    assert tasks == ["10.0.0.1"]
    assert not fleet._identification._turns


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
