"""Mining off and on: by which change of each make, and in which mode a miner comes back, whoever remembers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from agent.journal import Arrival
from agent.journal.settlement import Settlement, succeeded
from agent.limits.policy import Policy
from agent.miners.inventory import Inventory
from agent.miners.site import open_site
from agent.ports import AwakeMode
from agent.tasks.active import Phase
from agent.tasks.path import ended
from agent.telemetry.buffer import ReadingBuffer
from agent.telemetry.poller import Poller
from contract.link import MinerRef
from contract.miner import PowerMode
from contract.outcome import Outcome
from contract.task import TaskName
from drivers.base import Evidence, Plan, Suspend
from simulator.farm import Farm
from tests.agent.fake_cloud import FakeCloud, code
from tests.agent.farm import FakeFarm
from tests.agent.journals import opened, record
from tests.agent.onfarm import MemorySink, config_for, free_base
from tests.agent.policies import policy_with
from tests.agent.stage import Site, crash_and_restart, site
from tests.virtual_time import loop_clock
from tests.waiting import until

OFF, ON = {"action": "off"}, {"action": "on"}
LOW: dict[str, Any] = {"name": TaskName.POWER_MODE, "params": {"mode": "low"}}
ASLEEP, NORMAL, LOW_NUMBER = {"mode": "1"}, {"mode": "0"}, {"mode": "3"}
# Of every dialect that can be switched: what it is set to beside its mining, and its effects of off and on.
SLEEPERS = ("antminer/s21", "antminer/s19pro", "antminer/s19xp", "iceriver/ks5l", "iceriver/ks3m")
SWITCHED = ("whatsminer/m20s", "whatsminer/m50s", "whatsminer/m60s-compat", "whatsminer/m60s")
PACE = 200.0


class Agent:
    """The agent over a simulated farm: its task path, its miners and their readings, and a cloud in memory."""

    def __init__(self, at: Site, farm: Farm, telemetry: Poller, inventory: Inventory) -> None:
        self.cloud = at.cloud
        self.at = at
        self.telemetry = telemetry
        self.inventory = inventory
        self._farm = farm

    def order(self, device: Any, params: dict[str, str], *, knows: str | None = None) -> str:
        """Queue a switch of this miner, by a cloud that knows that it ran in this mode."""
        ref = MinerRef(id=device.mac, mac=device.mac, last_ip=device.ip, awake_mode=knows)
        return self.cloud.create(TaskName.MINING, params, ref)

    async def result(self, task: str) -> dict[str, Any]:
        result = (await self.cloud.ended(task, within_s=3600.0)).result
        assert result is not None
        return result

    async def switch(self, device: Any, params: dict[str, str], **more: Any) -> dict[str, Any]:
        result = await self.result(self.order(device, params, **more))
        assert (result["outcome"], result["verified"]) == ("done", True), result
        return result

    async def set_low(self, device: Any) -> None:
        ref = MinerRef(id=device.mac, mac=device.mac, last_ip=device.ip)
        assert (await self.result(self.cloud.create(miner=ref, **LOW)))["outcome"] == "done"


@asynccontextmanager
async def farm_of(*specs: str, **more: Any) -> AsyncIterator[Farm]:
    farm = await Farm.start(",".join(specs), base=free_base(), time_scale=PACE, **more)
    try:
        yield farm
    finally:
        await farm.stop()


@asynccontextmanager
async def agent_on(
    farm: Farm,
    folder: Path,
    *,
    reads: bool = True,
    cloud: FakeCloud | None = None,
    policy: Policy | None = None,
) -> AsyncIterator[Agent]:
    """One process of the agent. `reads`: it also looks at its miners by itself. It ends as a crash ends it."""
    clock = loop_clock()
    telemetry_section = {"interval_s": 1.0, "min_interval_s": 0.2, "batch_wait_s": 0.0}
    config = config_for(farm, telemetry=telemetry_section | {"slow_every_polls": 1})
    config = config.model_copy(
        update={"miners": config.miners.model_copy(update={"device_pace": PACE})}
    )
    inventory = Inventory(folder / "inventory.db")
    await inventory.open()
    known = open_site(config, clock, inventory)
    known.fleet.restore()
    buffer = ReadingBuffer(MemorySink(), None, config.telemetry, clock, run_id="r")
    telemetry = Poller(known.fleet, buffer, config.telemetry, clock, timeout_s=known.look_timeout_s)
    for device in farm.miners if not len(known.fleet) else ():
        await known.fleet.look_at(device.ip)
    fleet: Any = known.fleet
    at = Site(folder, farm=fleet, cloud=cloud, clock=clock, policy=policy)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    parts = [asyncio.create_task(each.run()) for each in (buffer, telemetry)[: 2 * reads]]
    try:
        yield Agent(at, farm, telemetry, inventory)
        assert not any(part.done() for part in parts)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
        await at.die()
        await buffer.close()
        inventory._thread.shutdown()  # what it had not written by now is lost
        assert inventory._db is not None
        inventory._db.close()


def done_to(farm: Farm, device: Any, phase: Any = "applied") -> list[tuple[Any, ...]]:
    """What was really changed at a miner: each action with what it changed. Old IceRivers are sent fan and pools as
    they are, along with their mode.
    """
    return [
        (entry["action"], entry["before"], entry["after"])
        for entry in farm.ledger.of(ip=device.ip, phase=phase)
        if entry["before"] != entry["after"]
    ]


def settings_of(device: Any) -> Any:
    """Everything that is stored on a device, in its own words."""
    kept = {}
    for name in ("conf", "settings", "pools", "mode", "leds", "ratio", "password", "version"):
        if hasattr(device, name):
            kept[name] = msgspec.json.encode(getattr(device, name))
    return kept | {"boot": device.boot}


def off_and_on(spec: str) -> list[tuple[Any, ...]]:
    """The effects that off and on have on a miner of this kind, field by field."""
    if spec.startswith("whatsminer"):
        is_on, is_off = {"mining": True}, {"mining": False}
        return [("power_off", is_on, is_off), ("power_on", is_off, is_on)]
    awake, asleep = (NORMAL, ASLEEP) if spec.startswith("antminer") else ({"mode": "normal"}, {"mode": "sleep"})  # fmt: skip
    return [("mode", awake, asleep), ("mode", asleep, awake)]


# --- each make ---


@pytest.mark.parametrize(
    ("specs", "count"),
    [
        pytest.param((*SLEEPERS, *SWITCHED), 2, id="a few"),
        pytest.param(("antminer/s21",), 100, id="100 AntMiners", marks=pytest.mark.slow),
        pytest.param(("whatsminer/m60s-compat",), 100, id="100 WhatsMiners", marks=pytest.mark.slow),
        pytest.param(("whatsminer/m60s",), 100, id="100 WhatsMiners, v3", marks=pytest.mark.slow),
        pytest.param(("iceriver/ks5l",), 100, id="100 IceRivers", marks=pytest.mark.slow),
    ],
)  # fmt: skip
async def test_off_and_on_change_just_that_and_leave_every_miner_as_it_was(
    tmp_path: Path, specs: tuple[str, ...], count: int
) -> None:
    policy = policy_with(power_ons_per_10_s=1000, power_effects=200)
    kinds = [spec for spec in specs for _ in range(count)]
    async with (
        farm_of(*(f"{spec}:{count}" for spec in specs)) as farm,
        agent_on(farm, tmp_path, reads=False, policy=policy) as agent,
    ):
        before = [settings_of(device) for device in farm.miners]
        for params, state in ((OFF, "sleeping"), (ON, "mining")):
            for repeated in (False, True):
                tasks = [agent.order(device, params) for device in farm.miners]
                results = [await agent.result(task) for task in tasks]
                assert {(each["outcome"], each["verified"]) for each in results} == {("done", True)}
                if repeated:
                    assert {each["reason"] for each in results} == {
                        "already as wished: nothing was sent"
                    }
            await until(lambda state=state: {each.state for each in farm.miners} == {state})
        for spec, device, was in zip(kinds, farm.miners, before, strict=True):
            assert done_to(farm, device) == off_and_on(spec)
            assert [each[0] for each in done_to(farm, device, "received")] == [
                each[0] for each in off_and_on(spec)
            ]
            assert settings_of(device) == was


@pytest.mark.parametrize("between", ["a while", "a crash"])
async def test_a_whatsminer_that_tells_its_mac_only_while_it_mines_is_woken_where_it_was_seen(
    tmp_path: Path, between: str
) -> None:
    """Firmware before 2022: its mining process alone knows the MAC."""
    cloud = FakeCloud(loop_clock())
    async with farm_of("whatsminer/m20s", "whatsminer/m20s") as farm:
        first, second = farm.miners
        async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
            await agent.switch(first, OFF)
            await agent.switch(second, OFF)
            await agent.inventory.flush()
            if between == "a while":
                await asyncio.sleep(
                    300
                )  # of virtual time: until its identity has to be asked again
                await agent.switch(first, ON)
        async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
            if between == "a crash":
                await agent.switch(first, ON)
            # What is done once is done to nobody who does not say who he is.
            known = MinerRef(id=second.mac, mac=second.mac, last_ip=second.ip)
            reboot = cloud.create(TaskName.REBOOT, {"force": True}, known)
            assert code(await cloud.ended(reboot, within_s=600)) == "wrong_device"
            # Whoever is where another one was seen is not taken for it.
            ref = MinerRef(id=second.mac, mac=second.mac, last_ip=first.ip)
            agent.inventory.forget(second.mac)
            event = await cloud.ended(cloud.create(TaskName.MINING, ON, ref), within_s=600)
            assert code(event) == "wrong_device"
        assert done_to(farm, first) == off_and_on("whatsminer")
        assert done_to(farm, second) == off_and_on("whatsminer")[:1]


@pytest.mark.parametrize("between", ["a while", "a crash"])
async def test_on_site_a_miner_that_tells_no_mac_while_it_is_off_is_who_told_one_there(
    tmp_path: Path, between: str
) -> None:
    """Asked for by its address, it is in maintenance all the same, and one task at a time changes it."""
    cloud = FakeCloud(loop_clock())
    async with farm_of("whatsminer/m20s") as farm:
        (device,) = farm.miners
        by_address = MinerRef(id=f"ip:{device.ip}", last_ip=device.ip)
        async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
            await agent.set_low(device)
            await agent.switch(device, OFF)
            await agent.inventory.flush()
            if between == "a while":
                await _is_woken_by_its_address(agent, device, by_address)
        if between == "a crash":
            async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
                await _is_woken_by_its_address(agent, device, by_address)
        assert device.mode == "low"


async def _is_woken_by_its_address(agent: Agent, device: Any, by_address: MinerRef) -> None:
    path, fleet = agent.at.path, cast("Any", agent.at.farm)
    driver, _ = await fleet.look_at(device.ip)
    assert driver.identity.mac is None
    path.maintenance.follow({device.mac})
    refused = await path.submit_local(TaskName.MINING, ON, by_address, "onsite")
    assert refused["error"]["code"] == "policy_refused"
    path.maintenance.follow(())
    assert fleet.awake_mode(by_address).mode is PowerMode.LOW
    on = await path.begin_local(TaskName.MINING, ON, by_address, "onsite")
    by_mac = agent.order(device, ON)
    held = lambda: [each for each in path.dispatcher.held if each.id == by_mac]  # noqa: E731
    await until(lambda: any(each.phase is Phase.WAITING for each in held()), every_s=0.001)
    assert on.ended is not None and not on.ended.done()
    assert (await ended(on))["outcome"] == "done"
    assert (await agent.result(by_mac))["outcome"] == "done"


@pytest.mark.parametrize("key", SWITCHED)
async def test_a_whatsminer_that_comes_back_by_itself_is_not_called_off(
    tmp_path: Path, key: str
) -> None:
    async with (
        farm_of(key, faults={"*": ["power_off_slips"]}) as farm,
        agent_on(farm, tmp_path, reads=False) as agent,
    ):
        result = await agent.result(agent.order(farm.miners[0], OFF))
        assert (result["outcome"], result["verified"]) == ("unknown", False)
        assert "began again by itself" in result["error"]["message"]
        assert [each[0] for each in done_to(farm, farm.miners[0])][:1] == ["power_off"]


async def test_old_firmware_without_a_mode_to_sleep_says_so(tmp_path: Path) -> None:
    async with farm_of("antminer/s9") as farm, agent_on(farm, tmp_path, reads=False) as agent:
        event = await agent.cloud.ended(agent.order(farm.miners[0], OFF), within_s=60)
        assert code(event) == "unsupported_mode"
        await agent.switch(farm.miners[0], ON)  # it always is
        assert done_to(farm, farm.miners[0], "received") == []


async def test_a_miner_that_hashes_is_on_in_whatever_mode(tmp_path: Path) -> None:
    async with farm_of("antminer/s21") as farm, agent_on(farm, tmp_path, reads=False) as agent:
        result = await agent.switch(farm.miners[0], ON, knows="low")
        assert result["reason"] == "already as wished: nothing was sent"
        assert done_to(farm, farm.miners[0], "received") == []


# --- the mode there was before ---


async def test_the_cloud_remembers(tmp_path: Path) -> None:
    """A new agent, which never saw the miner awake."""
    async with farm_of("antminer/s21") as farm:
        (device,) = farm.miners
        (tmp_path / "a").mkdir()
        async with agent_on(farm, tmp_path / "a", reads=False) as agent:
            await agent.set_low(device)
            await agent.switch(device, OFF)
        (tmp_path / "b").mkdir()
        async with agent_on(farm, tmp_path / "b") as agent:
            await agent.switch(device, ON, knows="low")
        assert [after for _, _, after in done_to(farm, device)] == [LOW_NUMBER, ASLEEP, LOW_NUMBER]


async def test_the_inventory_remembers_what_readings_showed(tmp_path: Path) -> None:
    async with farm_of("antminer/s21") as farm:
        device: Any = farm.miners[0]
        cloud = FakeCloud(loop_clock())
        async with agent_on(farm, tmp_path, cloud=cloud) as agent:
            await agent.set_low(device)
            await until(lambda: _mode(agent, device) is PowerMode.LOW, within_s=60)
            await agent.inventory.flush()
        (tmp_path / "other").mkdir()
        async with agent_on(farm, tmp_path / "other", reads=False) as agent:
            await agent.switch(device, OFF)
        async with agent_on(farm, tmp_path, cloud=cloud) as agent:
            await agent.switch(device, ON)
        assert done_to(farm, device)[-1] == ("mode", ASLEEP, LOW_NUMBER)


@pytest.mark.parametrize("between", ["nothing", "a crash"])
@pytest.mark.parametrize("stale", ["normal", None])
async def test_a_mode_set_right_before_off_is_come_back_to_though_no_reading_saw_it(
    tmp_path: Path, between: str, stale: str | None
) -> None:
    """All three are handed out at once, by a cloud that knows of the mode before."""
    async with farm_of("antminer/s21") as farm:
        (device,) = farm.miners
        cloud = FakeCloud(loop_clock())
        ref = MinerRef(id=device.mac, mac=device.mac, last_ip=device.ip, awake_mode=stale)
        async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
            tasks = [
                cloud.create(miner=ref, **LOW),
                *(cloud.create(TaskName.MINING, params, ref) for params in (OFF, ON)),
            ]
            ended = tasks[-1] if between == "nothing" else tasks[1]
            assert (await agent.result(ended))["outcome"] == "done"
        if between == "a crash":
            async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
                assert (await agent.result(tasks[-1]))["outcome"] == "done"
        assert [after for _, _, after in done_to(farm, device)] == [LOW_NUMBER, ASLEEP, LOW_NUMBER]


async def test_nobody_remembers_and_it_comes_back_in_normal_mode(tmp_path: Path) -> None:
    async with farm_of("antminer/s21") as farm:
        device: Any = farm.miners[0]
        (tmp_path / "a").mkdir()
        async with agent_on(farm, tmp_path / "a", reads=False) as agent:
            await agent.set_low(device)
            await agent.switch(device, OFF)
        (tmp_path / "b").mkdir()
        async with agent_on(farm, tmp_path / "b") as agent:
            await agent.switch(device, ON)
        assert done_to(farm, device)[-1] == ("mode", ASLEEP, NORMAL)


@pytest.mark.parametrize("params", [OFF, ON])
@pytest.mark.parametrize("key", ["antminer/s21", "whatsminer/m60s-compat", "iceriver/ks3m"])
async def test_a_crash_between_order_and_proof_switches_once_and_into_the_same_mode(
    tmp_path: Path, key: str, params: dict[str, str]
) -> None:
    async with farm_of(key) as farm:
        (device,) = farm.miners
        cloud = FakeCloud(loop_clock())
        async with agent_on(farm, tmp_path, reads=False, cloud=cloud) as agent:
            if key.startswith("antminer"):
                await agent.set_low(device)
            if params == ON:
                await agent.switch(device, OFF)
            seen = len(done_to(farm, device))
            task = agent.order(device, params)
            await until(lambda: len(done_to(farm, device)) > seen, within_s=600)
        await asyncio.sleep(3.0 / PACE)  # no process is back within the second that an order takes
        async with agent_on(farm, tmp_path, cloud=cloud) as agent:
            result = await agent.result(task)
            assert (result["outcome"], result["verified"]) == ("done", True), result
        assert len(done_to(farm, device)) == seen + 1
        if key.startswith("antminer"):
            low, asleep = LOW_NUMBER, ASLEEP
            assert done_to(farm, device)[-1][1:] == (
                (low, asleep) if params == OFF else (asleep, low)
            )


def _mode(agent: Agent, device: Any) -> PowerMode | None:
    known = agent.inventory.awake_mode(device.mac)
    return known.mode if known else None


@pytest.mark.parametrize(
    ("told", "seen", "newer", "mode"),
    [
        ("low", None, False, "low"),
        ("low", PowerMode.HIGH, False, "low"),
        ("low", PowerMode.HIGH, True, "high"),
        (None, PowerMode.HIGH, False, "high"),
        ("sleep", PowerMode.LOW, False, "low"),
        ("3250W", PowerMode.LOW, False, "low"),
        ("a word of a newer cloud", None, False, "normal"),
        (None, None, False, "normal"),
    ],
)
async def test_who_is_believed(
    tmp_path: Path, told: str | None, seen: PowerMode | None, newer: bool, mode: str
) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.state["mode"] = "sleep"
        if seen is not None:
            at_ = at.clock.now() + timedelta(hours=1 if newer else -1)
            at.farm.awake_modes[miner.ref.id] = AwakeMode(mode=seen, seen_at=at_)
        ref = msgspec.structs.replace(miner.ref, awake_mode=told)
        event = await at.cloud.ended(at.cloud.create(TaskName.MINING, ON, ref))
        assert event.state == "succeed"
        assert miner.state["mode"] == mode
        assert miner.ledger == ["Resume"]


async def test_the_mode_is_kept_before_the_miner_is_stopped(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.state["mode"] = "low"
        miner.gate["connect"] = asyncio.Event()
        task = at.task(name=TaskName.MINING, params=OFF)
        await until(lambda: "apply" in miner.trace)
        assert at.farm.kept_modes == [(miner.ref.id, PowerMode.LOW)]
        miner.gate["connect"].set()
        assert (await at.cloud.ended(task)).state == "succeed"


# --- rows from before there was this task ---

WISH: dict[str, Any] = {
    "name": TaskName.POWER_MODE,
    "params": {"mode": "sleep"},
    "origin": "rigmonitor",
    "epoch": 0,
}


@pytest.mark.parametrize("begun", [False, True])
async def test_a_monitors_wish_in_an_old_journal_is_carried_out_as_what_it_was(
    tmp_path: Path, begun: bool
) -> None:
    clock, farm = loop_clock(), FakeFarm()
    miner = farm.miners[0]
    now = clock.now()
    row = record(
        "old",
        **WISH,
        miner=miner.ref,
        accepted_at=now,
        expires_at=now + timedelta(days=1),
        limit_s=1200.0,
    )
    async with opened(tmp_path) as journal:
        await journal.accept([Arrival(record=row)], now)
        if begun:
            plan = Plan(change=Suspend(), before={"mode": "low"}, raises_power=False)
            await journal.begin("old", plan, now, (), boot=clock.boot())
    async with site(tmp_path, farm=farm, clock=clock) as at:
        event = await at.cloud.ended("old")
        assert event.state == "succeed"
        assert event.arose is not None
        assert (event.arose.name, event.arose.params) == (
            "miner.power_mode.update",
            {"mode": "sleep"},
        )
        assert miner.ledger == ["Suspend"]


async def test_a_monitors_wish_that_had_ended_is_still_told_as_what_it_was(tmp_path: Path) -> None:
    clock, farm = loop_clock(), FakeFarm()
    now = clock.now()
    row = record("old", **WISH, miner=farm.miners[0].ref, accepted_at=now)
    async with opened(tmp_path) as journal:
        await journal.accept([Arrival(record=row)], now)
        plan = Plan(change=Suspend(), before={"mode": "low"}, raises_power=False)
        await journal.begin("old", plan, now, (), boot=clock.boot())
        await journal.settle(row, _done(), now)
    async with site(tmp_path, farm=farm, clock=clock) as at:
        event = await at.cloud.ended("old")
        assert event.state == "succeed"
        assert event.arose is not None
        assert event.arose.name == "miner.power_mode.update"
        assert farm.miners[0].trace == []


def _done() -> Settlement:
    return succeeded(
        Evidence(
            outcome=Outcome.DONE,
            verified=True,
            before={"mode": "low"},
            after={"mode": "sleep"},
            signal="state",
            seconds=3.0,
        )
    )


# --- its limits ---


async def test_on_waits_for_the_pacer_and_off_never_does(tmp_path: Path) -> None:
    clock = loop_clock()
    farm = FakeFarm(8)
    policy = policy_with(power_ons_per_10_s=1, stop_within_s=1.0)
    async with site(tmp_path, farm=farm, clock=clock, policy=policy) as at:
        for miner in farm.miners[:4]:
            miner.state["mode"] = "sleep"
        began = clock.mono()
        ons = [at.task(n, name=TaskName.MINING, params=ON) for n in range(4)]
        offs = [at.task(n, name=TaskName.MINING, params=OFF) for n in range(4, 8)]
        for task in offs:
            await at.cloud.ended(task)
        assert clock.mono() - began < 5.0
        for task in ons:
            await at.cloud.ended(task, within_s=60)
        assert clock.mono() - began > 29.0


@pytest.mark.parametrize("forbidden", [TaskName.MINING, TaskName.POWER_MODE])
async def test_a_site_that_forbids_power_modes_switches_no_mining_either(
    tmp_path: Path, forbidden: TaskName
) -> None:
    async with site(tmp_path, policy=policy_with(forbidden_tasks=(forbidden,))) as at:
        event = await at.cloud.ended(at.task(name=TaskName.MINING, params=OFF))
        assert code(event) == "policy_refused"
        assert at.farm.miners[0].ledger == []


async def test_a_crash_while_it_is_switched_off_by_hand_leaves_one_order(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    await at.path.ready()
    miner = at.farm.miners[1]
    miner.gate["verify"] = asyncio.Event()
    wish = asyncio.create_task(at.path.submit_local(TaskName.MINING, OFF, miner.ref, "onsite"))
    await until(lambda: "verify" in miner.trace)
    wish.cancel()
    miner.gate.clear()
    after = await crash_and_restart(at, tmp_path)
    await until(lambda: any(each.state == "succeed" for each in after.cloud.events))
    assert miner.ledger == ["Suspend"]
    await after.stop()
