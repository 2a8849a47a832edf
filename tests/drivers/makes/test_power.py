"""What every driver says of its plans: whether they raise the power that a miner draws. See `makes.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from contract.errors import UnsupportedModeError
from contract.miner import PowerMode
from drivers.base import Light, Mode, NoChange, Plan, Reboot, Resume, Suspend
from drivers.changes.power import raises_power
from tests.drivers.makes.cases import FORCE, A, MakeCase, Need, each, pools
from tests.waiting import until

SLEEP, LOW, NORMAL, HIGH = PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH
# From which mode to which; what a miner that hashes draws rises along this row.
STEPS: Final = [(was, wanted) for was in (LOW, NORMAL, HIGH) for wanted in PowerMode]


@each(Need.REBOOT, every=True)
async def test_a_reboot_raises_power(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.planned(FORCE)).raises_power


@each(Need.FIRMWARE)
async def test_a_firmware_raises_power(make: MakeCase, key: str, tmp_path: Path) -> None:
    async with make.begin(key) as on:
        assert (await on.planned(on.newer(tmp_path))).raises_power


@each(Need.LIGHT)
async def test_a_light_does_not(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        assert not (await on.planned(Light(on=True))).raises_power


@each(Need.POOLS, every=True)
async def test_pools_raise_power_exactly_where_they_restart_the_mining(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        plan, before = await on.planned(pools(A)), (await on.driver.read()).moving
        assert before.uptime_s is not None
        assert (await on.carry_out(pools(A))).outcome == "done"
        after = (await on.driver.read()).moving
        assert plan.raises_power is (after.uptime_s is None or after.uptime_s < before.uptime_s)


@each(Need.MODE)
async def test_a_mode_raises_power_where_it_is_higher_than_the_one_it_hashes_in(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        modes = make.modes[on.driver.identity.generation]
        for was, wanted in STEPS:
            if was not in modes or wanted not in modes:
                continue
            try:
                await _bring(on, Mode(mode=was))
            except UnsupportedModeError:
                continue  # some images of a generation lack one
            await until(lambda: _hashes(on), within_s=3600, every_s=10.0)
            plan = await on.driver.plan(Mode(mode=wanted))
            if was is wanted:
                assert isinstance(plan, NoChange)
            else:
                assert isinstance(plan, Plan)
                rises = list(PowerMode).index(wanted) > list(PowerMode).index(was)
                assert plan.raises_power is rises, (was, wanted)


@each(Need.SWITCH)
async def test_mining_switched_off_does_not_and_anything_that_wakes_it_does(
    make: MakeCase, key: str
) -> None:
    async with make.begin(key) as on:
        assert not (await on.planned(Suspend())).raises_power
        await _bring(on, Suspend())
        assert (await on.planned(Resume())).raises_power
        for mode in make.modes[on.driver.identity.generation]:
            if mode is not SLEEP:
                assert (await on.planned(Mode(mode=mode))).raises_power, mode


async def _bring(on: Any, change: Any) -> None:
    plan = await on.driver.plan(change)
    if isinstance(plan, Plan):
        evidence = await on.carry_out(change)
        assert evidence.outcome == "done", evidence


async def _hashes(on: Any) -> bool:
    return bool((await on.driver.read()).moving.hashrate_hs)


@pytest.mark.parametrize("wanted", PowerMode)
@pytest.mark.parametrize("was", [None, *PowerMode])
def test_only_what_is_known_not_to_rise_does_not(was: PowerMode | None, wanted: PowerMode) -> None:
    row = list(PowerMode)
    is_known = wanted is SLEEP or (was is not None and row.index(wanted) <= row.index(was))
    assert raises_power(was, wanted) is not is_known


def test_a_plan_that_an_older_agent_left_in_its_journal_is_taken_to_raise_power() -> None:
    plan = Plan(change=Reboot(force=True), before={"boot": 1}, raises_power=False)
    row: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(plan))
    old = {key: value for key, value in row.items() if key != "raises_power"}
    assert msgspec.convert(old, Plan).raises_power
    assert msgspec.convert(row, Plan) == plan
