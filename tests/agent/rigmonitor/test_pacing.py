"""Everything that raises power, from wherever it comes, on simulated miners: the ledger shows when orders reached them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from agent.local.orders import LocalOrders
from agent.local.socket import LocalRequest
from agent.sinks.rigmonitor.switches import FAILED
from contract.task import TaskName
from simulator.farm import Farm
from tests.agent.fake_cloud import FakeCloud
from tests.agent.rigmonitor.stage import Agent, agent_on, codes_for, farm_of, monitor_config
from tests.agent.rigmonitor.strict_server import strict_server
from tests.agent.rigmonitor.test_client import _ref as ref_of
from tests.virtual_time import loop_clock
from tests.waiting import until

WITHIN_S: Final = 10.0
NORMAL, LOW, HIGH, SLEEP = ({"mode": mode} for mode in ("normal", "low", "high", "sleep"))
FORCE: Final = {"force": True}
POOLS: Final = {"pools": [{"url": "stratum+tcp://pool-a.example:3333", "user": "acc.w1"}]}


class Images:
    """The makers' files, by address of the miner they are for."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    async def fetch(self, url: str, folder: Path, *, cap_bytes: int, sha256: str | None) -> Path:
        del cap_bytes, sha256
        device: Any = self._farm[url.rpartition("/")[2]]
        path = folder / getattr(device, "image_name", "firmware.bin")
        await asyncio.to_thread(path.write_bytes, device.newer_image())
        return path


def ordered(farm: Farm, *actions: str, since: float = 0.0) -> list[float]:
    """When orders reached miners; a retry of one counts, too."""
    return sorted(
        line["t"]
        for line in farm.ledger.of(phase="received")
        if line["action"] in actions and line["t"] >= since
    )


def held_to(begun: Sequence[float], most: int) -> None:
    for early, late in zip(begun, begun[most:], strict=False):
        assert late - early >= WITHIN_S - 1e-6, (early, late)


async def test_a_hundred_miners_come_up_at_one_pace_whoever_wakes_them(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    specs = "whatsminer/m50s:100,antminer/s21:2"
    async with (
        farm_of(specs, time_scale=1.0, ledger_now=loop.time) as farm,
        strict_server() as server,
    ):
        devices: list[Any] = list(farm.miners)
        asleep, awake = devices[:100], devices[100:]
        of_cloud, of_monitor, by_hand = asleep[:34], asleep[34:67], asleep[67:]
        for device in asleep:
            device.power_off()
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(codes[device.ip], asic="off") for device in of_monitor]
        cloud = FakeCloud()
        config = monitor_config(
            farm,
            tmp_path,
            server.url,
            device_pace=1.0,
            expected_every_s=5.0,
            log_every_s=60.0,
            telemetry={"interval_s": 60.0},
        )
        async with agent_on(farm, config, source=cloud) as agent:
            await until(lambda: len(server.bulk_sizes) > 4, within_s=120, every_s=1.0)
            began = loop.time()
            for machine in machines:
                machine.asic = "on"
            woken = [
                cloud.create(TaskName.POWER_MODE, NORMAL, ref_of(agent, device.ip))
                for device in of_cloud
            ]
            here = LocalOrders(agent.path, agent.site.fleet, pace=1.0)
            reboots = [
                asyncio.create_task(
                    here.order(
                        LocalRequest(name=TaskName.REBOOT, params=FORCE, host=device.ip)
                    ).result()
                )
                for device in by_hand
            ]
            await loop_clock().sleep(60.0)
            calm = loop.time()
            for device in awake:
                cloud.create(TaskName.POWER_MODE, SLEEP, ref_of(agent, device.ip))
                cloud.create(TaskName.LIGHT, {"action": "on"}, ref_of(agent, device.ip))
            await until(
                lambda: len(ordered(farm, "mode", since=calm)) == len(awake),
                within_s=5,
                every_s=0.1,
            )
            await until(
                lambda: len(ordered(farm, "power_on", "reboot")) >= 100, within_s=600, every_s=1.0
            )
            ends = [end for end in map(cloud.end, woken) if end is not None]
            assert {end.state for end in ends} == {"succeed"}
            assert {each.result()["status"] for each in reboots if each.done()} == {"succeed"}
            for each in reboots:
                each.cancel()
        begun = ordered(farm, "power_on", "reboot", since=began)
        assert len(begun) == 100
        held_to(begun, 5)  # a hundredth of the miners known would be fewer
        assert begun[-1] - begun[0] < 1.3 * 99 * WITHIN_S / 5
        # evenly, and not five at once
        assert sum(late - early < 1.0 for early, late in pairwise(begun)) < 5


async def test_a_monitor_that_changes_its_mind_wakes_none_of_those_that_still_wait(
    tmp_path: Path,
) -> None:
    now = asyncio.get_running_loop().time
    async with (
        farm_of("whatsminer/m50s:6", time_scale=1.0, ledger_now=now) as farm,
        strict_server() as server,
    ):
        devices: list[Any] = list(farm.miners)
        for device in devices:
            device.power_off()
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code, asic="off") for code in codes.values()]
        config = monitor_config(
            farm,
            tmp_path,
            server.url,
            device_pace=1.0,
            limits={"power_ons_per_10_s": 1},
            telemetry={"interval_s": 10.0},
        )
        async with agent_on(farm, config) as agent:
            await until(lambda: len(server.bulk_sizes) > 30, within_s=120, every_s=1.0)
            for machine in machines:
                machine.asic = "on"
            await until(lambda: len(ordered(farm, "power_on")) == 2, within_s=60, every_s=0.1)
            for machine in machines:
                machine.asic = "off"
            await until(
                lambda: (
                    all(device.is_off for device in devices) and not agent.path.dispatcher.tasks
                ),
                within_s=600,
                every_s=1.0,
            )
            assert FAILED not in agent.monitor.state
        assert len(ordered(farm, "power_on")) == len(ordered(farm, "power_off")) == 2


@asynccontextmanager
async def two(folder: Path, spec: str) -> AsyncIterator[tuple[Farm, Agent, FakeCloud]]:
    """Two miners of a kind at their own pace, of which one may be powered on in ten seconds."""
    now = asyncio.get_running_loop().time
    async with farm_of(f"{spec}:2", time_scale=1.0, ledger_now=now) as farm:
        config = monitor_config(
            farm,
            folder,
            "http://127.0.0.1:9",  # nobody
            device_pace=1.0,
            limits={"power_ons_per_10_s": 1},
            telemetry={"interval_s": 3600.0},
            log_every_s=3600.0,
            expected_every_s=3600.0,
        )
        cloud = FakeCloud()
        async with agent_on(farm, config, source=cloud, downloader=Images(farm)) as agent:
            yield farm, agent, cloud


MODE, REBOOT, FIRMWARE = TaskName.POWER_MODE, TaskName.REBOOT, TaskName.FIRMWARE
# Spec, what makes it ready, the task, who asks, and what the ledger calls its orders.
RAISING: Final = [
    ("antminer/s21", None, REBOOT, FORCE, "cloud", "reboot"),
    ("antminer/s21", None, FIRMWARE, None, "cloud", "firmware"),
    ("antminer/s21", SLEEP, MODE, NORMAL, "cloud", "mode"),
    ("antminer/t17+", SLEEP, MODE, NORMAL, "rigmonitor", "mode"),
    ("antminer/s9", None, TaskName.POOLS, POOLS, "cloud", "pools"),
    ("whatsminer/m50s", None, REBOOT, FORCE, "onsite", "reboot"),
    ("whatsminer/m60s", None, FIRMWARE, None, "cloud", "firmware"),
    ("whatsminer/m50s", None, MODE, HIGH, "cloud", "mode"),
    ("whatsminer/m20s", LOW, MODE, NORMAL, "cloud", "mode"),
    ("whatsminer/m60s", "off", MODE, NORMAL, "rigmonitor", "power_on"),
    ("iceriver/ks5l", None, REBOOT, FORCE, "cloud", "reboot"),
    ("iceriver/ks5l", None, FIRMWARE, None, "cloud", "firmware"),
    ("iceriver/ks5l", SLEEP, MODE, NORMAL, "cloud", "mode"),
    ("iceriver/ks3m", SLEEP, MODE, NORMAL, "rigmonitor", "mode"),
]
AT_ONCE: Final = [
    ("antminer/s21", None, MODE, LOW, "cloud", "mode"),
    ("antminer/s21", None, MODE, SLEEP, "rigmonitor", "mode"),
    ("antminer/s21", None, TaskName.POOLS, POOLS, "cloud", "pools"),
    ("antminer/s9", None, TaskName.LIGHT, {"action": "on"}, "cloud", "light"),
    ("whatsminer/m50s", None, MODE, LOW, "cloud", "mode"),
    ("whatsminer/m60s", None, MODE, SLEEP, "rigmonitor", "power_off"),
    ("whatsminer/m50s", None, TaskName.POOLS, POOLS, "cloud", "pools"),
    ("iceriver/ks5l", None, MODE, SLEEP, "cloud", "mode"),
    ("iceriver/ks5l", None, TaskName.POOLS, POOLS, "cloud", "pools"),
    ("iceriver/ks5l", None, TaskName.LIGHT, {"action": "on"}, "onsite", "light"),
]
FIELDS: Final = ("spec", "ready", "name", "params", "origin", "action")


@pytest.mark.parametrize(FIELDS, RAISING)
async def test_what_raises_power_waits_for_its_turn(
    tmp_path: Path, spec: str, ready: Any, name: TaskName, params: Any, origin: str, action: str
) -> None:
    times = await times_of(tmp_path, spec, ready, name, params, origin, action)
    assert len(times) >= 2
    held_to(times, 1)


@pytest.mark.parametrize(FIELDS, AT_ONCE)
async def test_what_does_not_raise_it_goes_at_once(
    tmp_path: Path, spec: str, ready: Any, name: TaskName, params: Any, origin: str, action: str
) -> None:
    times = await times_of(tmp_path, spec, ready, name, params, origin, action)
    assert len(times) >= 2
    assert times[-1] - times[0] < WITHIN_S / 2


async def times_of(
    folder: Path, spec: str, ready: Any, name: TaskName, params: Any, origin: str, action: str
) -> list[float]:
    """When the orders of a task for each of two miners reached them; both tasks succeed."""
    async with two(folder, spec) as (farm, agent, cloud):
        if ready is not None:
            mode, asker = (SLEEP, "rigmonitor") if ready == "off" else (ready, "cloud")
            await _both(farm, agent, cloud, MODE, mode, asker)
        since = asyncio.get_running_loop().time()
        await _both(farm, agent, cloud, name, params, origin)
        return ordered(farm, action, since=since)


async def _both(
    farm: Farm, agent: Agent, cloud: FakeCloud, name: TaskName, params: Any, origin: str
) -> None:
    async def one(device: Any) -> str:
        wish = params or {"firmware_url": f"http://files.test/{device.ip}"}
        if origin == "cloud":
            task = cloud.create(name, wish, ref_of(agent, device.ip))
            return (await cloud.ended(task, within_s=3600)).state
        ref = ref_of(agent, device.ip)
        return str((await agent.path.submit_local(name, wish, ref, origin))["status"])

    assert await asyncio.gather(*map(one, farm.miners)) == ["succeed"] * 2
