"""Whom a wish reaches, and what is remembered of it: one poll at a time, by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.config.rigmonitor import RigMonitorSection
from agent.limits.policy import Policy
from agent.sinks.rigmonitor.machines import ApiCode, MonitorMachine
from agent.sinks.rigmonitor.memory import Memory
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.switches import Switches
from contract.clock import to_text
from contract.link import MinerReading, MinerRef
from contract.miner import Endpoint, Firmware, Identity, Make, Moving, PowerMode, Slow
from contract.rigmonitor.asic import Switch
from contract.task import TaskName
from drivers.base import Driver, Timing
from drivers.registry import open_driver
from tests.agent.clock import SettableClock
from tests.waiting import until

ON, OFF = Switch.ON, Switch.OFF
MAC, OTHER = "02:11:22:33:44:55", "02:11:22:33:44:66"
IP = "127.9.9.1"


class Hands:
    """A task path that writes down what it is asked for, and answers as it is told."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.outcome = "done"
        self.hangs = False
        self.bug: Exception | None = None
        self.withdrawn: list[tuple[str | None, str]] = []
        self.never_began: asyncio.Event | None = None
        self.maintained = False

    def is_busy(self, miner: MinerRef) -> bool:
        return False

    def in_maintenance(self, miner: MinerRef) -> bool:
        return self.maintained

    def withdraw(self, miner: MinerRef, origin: str) -> None:
        self.withdrawn.append((miner.mac, origin))

    async def submit_local(
        self, name: TaskName, params: dict[str, Any], miner: MinerRef | None, origin: str
    ) -> dict[str, Any]:
        assert miner is not None
        self.asked.append((miner.mac, params))
        if self.bug is not None:
            raise self.bug
        if self.hangs:
            await asyncio.Event().wait()
        if self.never_began is not None:
            await self.never_began.wait()
            self.never_began = None
            return {"outcome": "not_done", "error": {"code": "cancelled"}}
        return {"outcome": self.outcome}


class Scene:
    """One miner with a code, and whoever is at its address."""

    def __init__(
        self,
        folder: Path,
        *,
        keys: tuple[str, ...] = (MAC,),
        clock: SettableClock | None = None,
        power_gap_s: float = 0.0,
    ) -> None:
        self.clock = clock or SettableClock()
        self.hands = Hands()
        self.monitored = {
            key: MonitorMachine(key=key, code=ApiCode(f"code of {key}")) for key in keys
        }
        self.newest = Newest(keys, self.clock)
        self.notes = Notes()
        self.memory = Memory(folder / "memory.json", self.clock)
        self.at: dict[str, Driver] = {}
        self._jobs: list[asyncio.Task[None]] = []
        self.switches = Switches(
            self.hands,
            RigMonitorSection(url="http://127.0.0.1:4000", power_gap_s=power_gap_s),
            self.newest,
            self.memory,
            self.notes,
            self.clock,
            driver_at=self.at.get,
            start=self._start,
        )

    def arrive(self, mac: str, ip: str = IP) -> None:
        """That miner answers at that address from now on."""
        identity = Identity(
            make=Make.ANTMINER,
            model="Antminer S21",
            firmware=Firmware.STOCK,
            firmware_version="Fri Dec 29 16:15:05 CST 2023",
            generation="NEW-BM",
            mac=mac,
            drivable=True,
        )
        self.at[ip] = open_driver(
            Endpoint(host=ip),
            identity,
            clock=self.clock,
            timing=Timing(),
            credentials=lambda _identity: None,
        )

    def read(self, mode: PowerMode | None, rate: float, mac: str = MAC) -> None:
        self.newest.take(
            MinerReading(
                at=to_text(self.clock.now()),
                ip=IP,
                mac=mac,
                moving=Moving(hashrate_hs=rate),
                slow=Slow(mode=mode),
                interval_s=30.0,
            )
        )

    async def poll(self, asic: Switch | None, *, key: str = MAC) -> None:
        await self.switches.consider(self.monitored[key], None, asic)
        await asyncio.gather(*self._jobs)
        self._jobs.clear()

    def _start(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(job)
        self._jobs.append(task)
        return task


async def test_a_wish_never_reaches_another_miner_that_came_to_the_address(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    scene.arrive(OTHER)  # the router gave its address away, and its reading is still fresh
    await scene.clock.advance(1)
    await scene.poll(OFF)
    assert scene.hands.asked == []
    scene.arrive(MAC)
    await scene.poll(OFF)
    assert scene.hands.asked == [(MAC, {"action": "off"})]


async def test_off_that_is_not_proven_is_wished_for_again_and_then_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.LOW, 1e14)
    await scene.clock.advance(1)
    scene.hands.outcome = "unknown"
    await scene.poll(OFF)
    await scene.clock.advance(61)
    scene.read(PowerMode.SLEEP, 9e13)  # it took the mode, and its rate, a mean, still falls
    scene.hands.outcome = "done"
    await scene.poll(OFF)
    await scene.clock.advance(61)
    scene.read(PowerMode.SLEEP, 0.0)
    await scene.poll(ON)
    assert [params["action"] for _, params in scene.hands.asked] == ["off", "off", "on"]


async def test_a_clock_set_back_does_not_stop_the_following(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.clock.advance(1)
    await scene.poll(OFF)
    scene.clock.step(timedelta(hours=-6))
    await scene.clock.advance(100)
    scene.read(PowerMode.SLEEP, 0.0)
    assert scene.newest.is_fresh(MAC)
    await scene.clock.advance(30)
    scene.read(PowerMode.NORMAL, 1e14)  # somebody woke it by hand
    assert scene.newest[MAC].asic is ON
    await scene.poll(OFF)
    assert len(scene.hands.asked) == 2


async def test_of_two_codes_for_one_miner_that_of_its_mac_is_followed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keys=(IP, MAC))
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.clock.advance(1)
    await scene.poll(OFF, key=IP)
    assert scene.hands.asked == []
    assert "has a code of its own" in scene.notes.state
    await scene.poll(OFF, key=MAC)
    assert scene.hands.asked == [(MAC, {"action": "off"})]


async def test_a_crash_while_it_wakes_does_not_cost_the_gap_between_two_switches(
    tmp_path: Path,
) -> None:
    first = Scene(tmp_path, power_gap_s=300.0)
    first.arrive(MAC)
    first.read(PowerMode.SLEEP, 0.0)
    await first.clock.advance(1)
    first.hands.hangs = True
    polling = asyncio.create_task(first.poll(ON))
    await until(lambda: bool(first.hands.asked))
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)

    second = Scene(tmp_path, power_gap_s=300.0, clock=first.clock)
    await second.memory.open()
    second.arrive(MAC)
    await second.clock.advance(30)
    second.read(PowerMode.NORMAL, 1e14)
    await second.poll(OFF)
    assert second.hands.asked == []
    await second.clock.advance(271)
    second.read(PowerMode.NORMAL, 1e14)
    await second.poll(OFF)
    assert second.hands.asked == [(MAC, {"action": "off"})]


@pytest.mark.parametrize("bug", [KeyError("outcome"), ValueError("no such outcome")])
async def test_a_bug_of_ours_in_a_switch_is_logged_whole_said_and_tried_again(
    tmp_path: Path, bug: Exception
) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.clock.advance(1)
    scene.hands.bug = bug
    with capture_logs() as said:
        await scene.poll(OFF)
    [entry] = [each for each in said if each["event"] == "rigmonitor.bug"]
    assert (entry["log_level"], entry["exc_info"], entry["miner"]) == ("error", True, MAC)
    assert f"internal: {type(bug).__name__}" in scene.notes.state
    scene.hands.bug = None
    await scene.clock.advance(61)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.poll(OFF)
    assert len(scene.hands.asked) == 2
    assert scene.notes.state == "ok"


async def test_a_cancelled_switch_is_cancelled_and_no_failure(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.clock.advance(1)
    scene.hands.hangs = True
    await scene.switches.consider(scene.monitored[MAC], None, OFF)
    [job] = scene._jobs
    await until(lambda: bool(scene.hands.asked))
    job.cancel()
    await asyncio.wait({job})
    assert job.cancelled()
    assert scene.notes.state == "ok"


async def test_a_wish_that_turns_while_its_task_waits_is_taken_back_and_is_no_failure(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.SLEEP, 0.0)
    await scene.clock.advance(1)
    gate = scene.hands.never_began = asyncio.Event()
    waking = asyncio.create_task(scene.poll(ON))
    await scene.clock.advance(1)
    for wish in (ON, None):
        await scene.switches.consider(scene.monitored[MAC], Switch.ON, wish)
    assert scene.hands.withdrawn == []
    await scene.switches.consider(scene.monitored[MAC], None, OFF)
    assert scene.hands.withdrawn == [(MAC, "rigmonitor")]
    gate.set()
    await waking
    assert scene.notes.state == "ok"
    scene.read(PowerMode.SLEEP, 0.0)
    await scene.poll(ON)  # and nothing keeps it from being wished for again
    assert scene.hands.asked == [(MAC, {"action": "on"})] * 2


async def test_a_wish_for_a_miner_in_maintenance_waits_until_that_has_ended(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.NORMAL, 1e14)
    await scene.clock.advance(1)
    scene.hands.maintained = True
    for _ in range(3):
        await scene.poll(OFF)
    assert scene.hands.asked == []
    assert scene.notes.state == "ok"  # nothing of it is a fault
    scene.hands.maintained = False
    await scene.poll(OFF)
    assert scene.hands.asked == [(MAC, {"action": "off"})]


async def test_a_wish_that_waits_is_taken_back_when_maintenance_begins(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.arrive(MAC)
    scene.read(PowerMode.SLEEP, 0.0)
    await scene.clock.advance(1)
    scene.hands.never_began = asyncio.Event()
    waiting = asyncio.create_task(scene.poll(ON))
    await until(lambda: bool(scene.hands.asked))
    scene.hands.maintained = True
    await scene.switches.consider(scene.monitored[MAC], None, ON)
    assert scene.hands.withdrawn == [(MAC, "rigmonitor")]
    scene.hands.never_began.set()
    await waiting
    assert scene.notes.state == "ok"
    scene.hands.maintained = False
    await scene.poll(ON)
    assert len(scene.hands.asked) == 2  # at once: it was no failure
