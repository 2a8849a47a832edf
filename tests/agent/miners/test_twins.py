"""Two live devices with one MAC, on simulated miners: both are looked at, and no order reaches either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from agent.journal import Journal
from agent.local.orders import LocalOrders
from agent.local.socket import LocalRequest
from agent.miners.inventory import Inventory
from agent.miners.members import GONE_AFTER_S
from agent.miners.site import Site, open_site
from agent.scan.scanner import FarmScanner
from agent.tasks.path import TaskPath
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.link import MinerReading, MinerRef
from contract.task import SPECS, TaskName
from simulator.farm import Farm
from tests.agent.fake_cloud import FakeCloud
from tests.agent.farm import FakeFarm
from tests.agent.onfarm import MemorySink, config_for, free_base
from tests.agent.policies import policy_with
from tests.virtual_time import loop_clock
from tests.waiting import until

PACE: Final = 100.0
GONE_S: Final = GONE_AFTER_S / PACE
MAKES: Final = (
    "antminer/s21",
    "antminer/s9",
    "whatsminer/m50s",
    "whatsminer/m60s-compat",
    "whatsminer/m60s",
    "iceriver/ks3m",
)
POOLS: Final = {"pools": [{"url": "stratum+tcp://new.example:3333", "user": "w", "password": "p"}]}
PARAMS: Final[dict[TaskName, dict[str, Any]]] = {
    TaskName.LIGHT: {"action": "on"},
    TaskName.POWER_MODE: {"mode": "sleep"},
    TaskName.MINING: {"action": "off"},
    TaskName.POOLS: POOLS,
    TaskName.REBOOT: {"force": True},
    TaskName.FIRMWARE: {"firmware_url": "http://files.example/firmware.bin"},
    TaskName.LOG: {},
}
TELEMETRY: Final = {
    "interval_s": 1.0,
    "min_interval_s": 0.1,
    "workers": 8,
    "batch_wait_s": 0.0,
    "backoff_max_s": 2.0,
}


@dataclass
class Agent:
    """One process of the agent, as far as its miners are concerned."""

    site: Site
    cloud: FakeCloud
    path: TaskPath
    onsite: LocalOrders
    scanner: FarmScanner
    sink: MemorySink
    telemetry: Poller

    async def result(self, name: TaskName, mac: str, last_ip: str | None = None) -> dict[str, Any]:
        """What becomes of a task of the cloud."""
        ref = MinerRef(id="m1", mac=mac, last_ip=last_ip)
        task = self.cloud.create(name, PARAMS[name], ref)
        result = (await self.cloud.ended(task, within_s=1200.0)).result
        assert result is not None
        return result

    def told_of(self, ip: str) -> list[MinerReading]:
        return [each for each in self.sink.readings if each.ip == ip]

    async def told_anew(self, ip: str, holds: Callable[[MinerReading], bool]) -> None:
        """Wait for a reading of this address, from now on, of which this holds."""
        count = len(self.told_of(ip))
        await until(lambda: any(map(holds, self.told_of(ip)[count:])), within_s=60.0)


@asynccontextmanager
async def farm_of(*specs: str) -> AsyncIterator[Farm]:
    farm = await Farm.start(",".join(specs), base=free_base(), time_scale=PACE)
    try:
        yield farm
    finally:
        await farm.stop()


@asynccontextmanager
async def agent_on(farm: Farm, folder: Path) -> AsyncIterator[Agent]:
    """It remembers in `folder` whom it met."""
    clock, cloud, sink = loop_clock(), FakeCloud(), MemorySink()
    config = config_for(farm, telemetry=TELEMETRY)
    inventory = Inventory(folder / "inventory.db")
    await inventory.open()
    site = open_site(config, clock, inventory)
    buffer = ReadingBuffer(sink, None, config.telemetry, clock, run_id="r")
    telemetry = Poller(site.fleet, buffer, config.telemetry, clock, timeout_s=site.look_timeout_s)
    site.fleet.restore()
    scanner = FarmScanner(
        site.fleet,
        site.territory,
        config.scan,
        site.scan_ports,
        clock,
        buffer=buffer,
        telemetry=telemetry,
        look_timeout_s=site.look_timeout_s,
    )
    policy = policy_with(stop_within_s=1.0, restart_wait_s=1.0)
    journal = Journal(folder / "journal.db", clock, ballast_bytes=0)
    path = TaskPath(journal, cloud, site.fleet, scanner, FakeFarm(), policy, clock, folder)
    parts = [asyncio.create_task(each.run()) for each in (path, buffer, telemetry)]
    try:
        await asyncio.wait_for(path.ready(), 10.0)
        yield Agent(
            site, cloud, path, LocalOrders(path, site.fleet, pace=1.0), scanner, sink, telemetry
        )
    finally:
        path.stop()
        await parts[0]
        for each in parts[1:]:
            each.cancel()
        await asyncio.gather(*parts[1:], return_exceptions=True)
        await buffer.close()
        await inventory.close()


def clone(farm: Farm) -> tuple[Any, Any]:
    """The two miners of a farm, of which the second claims the MAC of the first."""
    real, false = farm.miners
    false.faults.add("changes_mac", mac=real.mac)
    return real, false


def orders(farm: Farm) -> list[dict[str, Any]]:
    return [each for each in farm.ledger.entries if each["action"] != "login"]


@pytest.mark.parametrize("order", ["real first", "clone first", "both at once"])
@pytest.mark.parametrize("spec", MAKES)
async def test_no_order_reaches_either_of_two_with_one_mac(
    tmp_path: Path, spec: str, order: str
) -> None:
    async with farm_of(spec, spec) as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        if order == "both at once":
            await agent.scanner.scan(())
        else:
            for each in (real, false) if order == "real first" else (false, real):
                await agent.site.fleet.look_at(each.ip)
        for name in PARAMS:
            for last_ip in (real.ip, false.ip):
                result = await agent.result(name, real.mac, last_ip)
                assert (result["outcome"], result["error"]["code"]) == ("not_done", "wrong_device")
                assert real.ip in result["error"]["message"]
                assert false.ip in result["error"]["message"]
        for host in (real.ip, false.ip):
            for name in PARAMS:
                request = LocalRequest(name=name, params=PARAMS[name], host=host)
                result = await agent.onsite.order(request).result()
                assert result["error"]["code"] == "wrong_device"
        ref = MinerRef(id=real.mac, mac=real.mac, last_ip=false.ip)
        result = await agent.path.submit_local(
            TaskName.MINING, {"action": "off"}, ref, "rigmonitor"
        )
        assert result["error"]["code"] == "wrong_device"
        for this, other in ((real, false), (false, real)):
            await agent.told_anew(this.ip, lambda each, ip=other.ip: each.twin_ips == (ip,))
            assert {each.mac for each in agent.told_of(this.ip)} == {real.mac}
        assert orders(farm) == []
        assert {SPECS[name].by_agent for name in PARAMS} == {True}


@pytest.mark.parametrize("spec", MAKES)
async def test_tasks_go_through_again_when_the_clone_is_gone(tmp_path: Path, spec: str) -> None:
    async with farm_of(spec, spec) as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        await agent.scanner.scan(())
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "not_done"
        false.faults.add("dead")
        await until(lambda: not agent.site.fleet.members.twins(real.ip), within_s=10 * GONE_S)
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "done"
        assert {each["ip"] for each in orders(farm)} == {real.ip}
        await agent.told_anew(real.ip, lambda each: each.twin_ips == ())
        # It comes back: found without a scan.
        false.faults.remove("dead")
        await until(
            lambda: agent.site.fleet.members.twins(real.ip) == (false.ip,), within_s=10 * GONE_S
        )
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "not_done"


@pytest.mark.parametrize("spec", MAKES)
async def test_tasks_go_through_at_once_when_the_clone_shows_another_mac(
    tmp_path: Path, spec: str
) -> None:
    async with farm_of(spec, spec) as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        await agent.scanner.scan(())
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "not_done"
        false.faults.remove("changes_mac")
        await agent.told_anew(false.ip, lambda each: each.mac == false.mac and not each.twin_ips)
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "done"
        assert (await agent.result(TaskName.LIGHT, false.mac))["outcome"] == "done"


@pytest.mark.parametrize("spec", MAKES)
async def test_a_miner_with_a_new_lease_takes_tasks_within_seconds(
    tmp_path: Path, spec: str
) -> None:
    async with farm_of(spec) as farm, agent_on(farm, tmp_path) as agent:
        (miner,) = farm.miners
        before = miner.ip
        await agent.site.fleet.look_at(before)
        after = before.rpartition(".")[0] + ".9"
        miner.move_to(after)
        clock = loop_clock()
        began = clock.mono()
        _, is_new = await agent.site.fleet.look_at(after)
        assert not is_new
        assert (await agent.result(TaskName.LIGHT, miner.mac, before))["outcome"] == "done"
        assert clock.mono() - began < 15.0
        assert not any(each.twin_ips for each in agent.sink.readings)
        assert list(agent.site.fleet) == [after]


async def test_two_that_changed_places_are_no_twins(tmp_path: Path) -> None:
    async with farm_of("antminer/s21", "antminer/s21") as farm, agent_on(farm, tmp_path) as agent:
        one, two = farm.miners
        for each in farm.miners:
            await agent.site.fleet.look_at(each.ip)
        one.faults.add("changes_mac", mac=two.mac)
        two.faults.add("changes_mac", mac=one.mac)
        await agent.site.fleet.look_at(one.ip)
        assert not agent.site.fleet.members.twins(one.ip)
        assert not agent.site.fleet.members.twins(two.ip)
        await agent.result(TaskName.LIGHT, one.mac, one.ip)
        assert {each["ip"] for each in orders(farm)} == {two.ip}


async def test_twins_are_still_twins_after_a_restart(tmp_path: Path) -> None:
    async with farm_of("antminer/s21", "antminer/s21") as farm:
        async with agent_on(farm, tmp_path) as agent:
            real, false = clone(farm)
            await agent.scanner.scan(())
        for silent in (real, false):  # nor is it forgotten where one of them boots just then
            silent.faults.add("dead")
            async with agent_on(farm, tmp_path) as agent:
                result = await agent.result(TaskName.LIGHT, real.mac)
                assert result["error"]["code"] == "wrong_device"
            silent.faults.remove("dead")
        assert orders(farm) == []


async def test_a_real_one_that_only_restarted_comes_back_without_a_scan(tmp_path: Path) -> None:
    async with farm_of("antminer/s21", "antminer/s21") as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        await agent.site.fleet.look_at(real.ip)
        real.faults.add("dead")
        await agent.site.fleet.look_at(false.ip)
        assert list(agent.site.fleet) == [false.ip]
        real.faults.remove("dead")
        await until(lambda: agent.site.fleet.members.twins(real.ip) == (false.ip,), within_s=60.0)
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "not_done"
        assert orders(farm) == []


async def test_a_clone_that_answers_only_sometimes_is_not_forgotten_meanwhile(
    tmp_path: Path,
) -> None:
    async with farm_of("whatsminer/m50s", "whatsminer/m50s") as farm:
        async with agent_on(farm, tmp_path) as agent:
            real, false = clone(farm)
            await agent.scanner.scan(())
            for _ in range(5):
                false.faults.add("dead")
                await asyncio.sleep(GONE_S / 2)
                result = await agent.result(TaskName.LIGHT, real.mac)
                assert result["error"]["code"] == "wrong_device"
                false.faults.remove("dead")
                await agent.told_anew(false.ip, lambda each: each.ok)
        assert orders(farm) == []


async def test_a_host_whose_api_is_away_has_not_left(tmp_path: Path) -> None:
    async with farm_of("antminer/s21", "antminer/s21") as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        await agent.site.fleet.look_at(real.ip)
        real.faults.add("refuses_4028")
        await agent.site.fleet.look_at(false.ip)
        assert agent.site.fleet.members.twins(false.ip) == (real.ip,)
        assert (await agent.result(TaskName.LIGHT, real.mac))["outcome"] == "not_done"
        assert orders(farm) == []


@pytest.mark.parametrize("spec", MAKES)
async def test_a_stranger_at_an_address_is_never_told_of_as_the_one_before(
    tmp_path: Path, spec: str
) -> None:
    async with farm_of(spec) as farm, agent_on(farm, tmp_path) as agent:
        (miner,) = farm.miners
        await agent.site.fleet.look_at(miner.ip)
        await agent.told_anew(miner.ip, lambda each: each.ok)
        miner.faults.add("dead")
        await agent.told_anew(miner.ip, lambda each: not each.ok)
        miner.faults.add("changes_mac", mac="02:AA:BB:CC:DD:EE")
        count = len(agent.told_of(miner.ip))
        miner.faults.remove("dead")
        await agent.told_anew(miner.ip, lambda each: each.mac == "02:AA:BB:CC:DD:EE")
        said = [each for each in agent.told_of(miner.ip)[count:] if each.ok]
        assert {each.mac for each in said} == {"02:AA:BB:CC:DD:EE"}
        assert said[0].static is not None


@pytest.mark.parametrize("spec", ["whatsminer/m50s", "iceriver/ks3m"])
async def test_a_mac_that_a_reply_tells_counts_at_once(tmp_path: Path, spec: str) -> None:
    async with farm_of(spec) as farm, agent_on(farm, tmp_path) as agent:
        (miner,) = farm.miners
        await agent.site.fleet.look_at(miner.ip)
        await agent.told_anew(miner.ip, lambda each: each.ok)
        miner.faults.add("changes_mac", mac="02:AA:BB:CC:DD:EE")
        await agent.told_anew(miner.ip, lambda each: each.mac == "02:AA:BB:CC:DD:EE")
        assert agent.site.fleet.members.mac_at(miner.ip) == "02:AA:BB:CC:DD:EE"


@pytest.mark.parametrize("said", ["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "01:00:5E:00:00:01"])
@pytest.mark.parametrize("spec", MAKES)
async def test_a_mac_that_names_nobody_is_none(tmp_path: Path, spec: str, said: str) -> None:
    async with farm_of(spec, spec) as farm, agent_on(farm, tmp_path) as agent:
        for each in farm.miners:
            each.faults.add("changes_mac", mac=said)
        await agent.scanner.scan(())
        for each in farm.miners:
            assert agent.site.fleet.members.mac_at(each.ip) is None
            assert agent.site.fleet.members.twins(each.ip) == ()
            assert agent.site.inventory.by_key(f"ip:{each.ip}") is not None
            assert {told.mac for told in agent.told_of(each.ip)} == {None}


async def test_a_mac_that_is_late_after_a_boot_makes_nobody_new(tmp_path: Path) -> None:
    async with farm_of("antminer/s21") as farm, agent_on(farm, tmp_path) as agent:
        (miner,) = farm.miners
        await agent.site.fleet.look_at(miner.ip)
        await agent.told_anew(miner.ip, lambda each: each.ok)
        agent.telemetry.set_interval(0.2)
        await agent.told_anew(miner.ip, lambda each: each.interval_s == 0.2)
        for late_s in (0, 30, 60):
            miner.faults.add("mac_late", seconds=late_s)
            miner.power_cycle()
            await agent.told_anew(miner.ip, lambda each: not each.ok)
            await agent.told_anew(miner.ip, lambda each: each.ok)
            miner.faults.remove("mac_late")
        assert {each.mac for each in agent.sink.readings} == {miner.mac}


async def test_one_that_refuses_our_password_by_now_is_told_of_without_a_mac(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21", "antminer/s21") as farm, agent_on(farm, tmp_path) as agent:
        real, false = clone(farm)
        await agent.site.fleet.look_at(real.ip)
        real.faults.add("wrong_password")
        await agent.site.fleet.look_at(real.ip)
        await agent.told_anew(real.ip, lambda each: each.ok and each.mac is None)
        # It did not leave: who has its MAC elsewhere does not take its tasks.
        await agent.site.fleet.look_at(false.ip)
        result = await agent.result(TaskName.LIGHT, real.mac)
        assert result["error"]["code"] == "wrong_device"
        assert orders(farm) == []


async def test_one_that_refuses_the_password_of_a_new_process_is_told_of_so_with_each_look(
    tmp_path: Path,
) -> None:
    async with farm_of("antminer/s21") as farm:
        (miner,) = farm.miners
        async with agent_on(farm, tmp_path) as agent:
            await agent.site.fleet.look_at(miner.ip)
        miner.faults.add("wrong_password")
        async with agent_on(farm, tmp_path) as agent:
            for _ in range(3):
                await agent.told_anew(miner.ip, lambda each: each.ok)
            told = {(each.mac, each.error) for each in agent.sink.readings}
            assert told == {(None, "auth_failed")}


@pytest.mark.parametrize("spec", MAKES)
async def test_whom_an_earlier_process_met_is_asked_before_it_is_told_of(
    tmp_path: Path, spec: str
) -> None:
    async with farm_of(spec) as farm:
        (miner,) = farm.miners
        async with agent_on(farm, tmp_path) as agent:
            await agent.site.fleet.look_at(miner.ip)
        miner.faults.add("changes_mac", mac="02:AA:BB:CC:DD:EE")
        async with agent_on(farm, tmp_path) as agent:
            await agent.told_anew(miner.ip, lambda each: each.ok)
            assert {each.mac for each in agent.sink.readings} == {"02:AA:BB:CC:DD:EE"}


@pytest.mark.parametrize(
    ("spec", "other_spec"),
    [("antminer/s21", "whatsminer/m50s"), ("whatsminer/m50s", "antminer/s21")],
)
async def test_one_of_another_make_at_an_address_is_told_of_as_who_it_is(
    tmp_path: Path, spec: str, other_spec: str
) -> None:
    async with farm_of(spec, other_spec) as farm, agent_on(farm, tmp_path) as agent:
        miner, other = farm.miners
        place = miner.ip
        await agent.site.fleet.look_at(place)
        await agent.told_anew(place, lambda each: each.ok)
        miner.lease(place.rpartition(".")[0] + ".9")
        other.lease(place)
        await agent.told_anew(place, lambda each: each.ok and each.mac == other.mac)
        assert {each.mac for each in agent.told_of(place) if each.ok} == {miner.mac, other.mac}
        assert agent.site.fleet.members.missing.addresses == {place}
        await agent.site.fleet.look_at(miner.ip)
        assert not agent.site.fleet.members.missing.addresses
