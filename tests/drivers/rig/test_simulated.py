"""Simulated rigs, read whole by SSH: two readings of the same facts that share no code."""

from __future__ import annotations

import os
from typing import Any

import pytest

from contract.errors import WrongDeviceError
from drivers.base import Depth, Timing
from drivers.rig.entry import RIG
from drivers.rig.spec import MiningProgram, ProgramSpec, EnrolledRig, SshSpec
from simulator.farm import Farm
from simulator.rig.catalogue import MIX
from tests.virtual_time import loop_clock

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_KINDS = {"srbminer-multi.service": MiningProgram.SRBMINER}


def driver_of(rig: Any) -> Any:
    told = rig.describe()
    programs = tuple(
        ProgramSpec(
            kind=_KINDS.get(each["unit"]) or MiningProgram(each["unit"].removesuffix(".service")),
            port=each["port"],
            token=each["token"],
        )
        for each in told["programs"]
    )
    reach = SshSpec(
        host=rig.ip,
        port=told["ssh_port"],
        user=told["ssh_user"],
        key_file=told["ssh_key"],
        host_key=told["host_key"],
    )
    spec = EnrolledRig(name=rig.key, reach=reach, programs=programs)
    return RIG.enrolled(spec, clock=loop_clock(), timing=Timing())


@pytest.mark.parametrize("key", MIX)
async def test_driver_and_simulator_agree_on_every_rig(key: str) -> None:
    async with await Farm.start(f"rig/{key}", base=f"127.{90 + _WORKER % 18}.1.1") as farm:
        (rig,) = farm.miners
        reading = await driver_of(rig).read(Depth.FULL)
        assert reading.mac == rig.mac
        if rig.units:
            run = rig.units[-1].run
            rate = sum(run.gpu_hs()) or run.cpu_hs()
            assert reading.moving.hashrate_hs == pytest.approx(rate, rel=0.03)
        cards = [board for board in reading.moving.boards if board.bus_id]
        assert [card.bus_id for card in cards] == [gpu.bus for gpu in rig.cards]
        for card, gpu in zip(cards, rig.cards, strict=True):
            figures = gpu.figures()
            assert card.temp_chip_c == pytest.approx(figures.core_c, abs=1)
            assert card.power_w == pytest.approx(figures.power_w, rel=0.05, abs=1)
            assert card.frequency_hz == figures.core_mhz * 1e6


async def test_another_host_key_is_another_device_and_nothing_is_sent() -> None:
    async with await Farm.start("rig/xmrig-cpu", base=f"127.{90 + _WORKER % 18}.2.1") as farm:
        (rig,) = farm.miners
        driver = driver_of(rig)
        rig.tapped = True
        rig.faults.add("changes_host_key")
        with pytest.raises(WrongDeviceError):
            await driver.read(Depth.FULL)
        assert rig.wire_log == []


@pytest.mark.parametrize(
    ("fault", "args"),
    [
        ("nvml_hangs", {}),
        ("sensor_blocks", {"files": ["*hwmon0/temp1_input"]}),
        ("gpu_falls_off", {"gpus": [1]}),
        ("gpu_falls_off", {"gpus": [1], "variant": "gone"}),
        ("garbage", {"variant": "html"}),
        ("garbage", {"variant": "nan"}),
        ("huge_json", {}),
        ("no_api", {}),
    ],
)
async def test_what_is_wrong_with_one_part_loses_no_other(fault: str, args: dict[str, Any]) -> None:
    async with await Farm.start("rig/6xrtx3080-trex", base=f"127.{90 + _WORKER % 18}.3.1") as farm:
        (rig,) = farm.miners
        driver = driver_of(rig)
        before = await driver.read(Depth.FULL)
        rig.faults.add(fault, **args)
        reading = await driver.read(Depth.FULL)
        assert reading.mac == rig.mac
        assert reading.slow is not None
        assert reading.slow.faults != ()
        # a card that is away is a fault, and not a shorter list
        assert len(reading.moving.boards) == len(before.moving.boards)
