from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.policy import Policy
from agent.slots import Slots
from contract.miner import PowerMode
from contract.task import TaskName
from drivers.base import (
    AnyChange,
    Firmware,
    Light,
    Mode,
    Pools,
    Reboot,
    Resume,
    Suspend,
)
from tests.agent.farm import FakeFarm, site, until

POWER = (Reboot(), Mode(mode=PowerMode.LOW), Suspend(), Resume())


async def at_once(slots: Slots, changes: list[AnyChange]) -> int:
    """How many of these effects can happen together."""
    now = most = 0
    release = asyncio.Event()

    async def effect(change: AnyChange) -> None:
        nonlocal now, most
        async with slots.effect(change):
            now += 1
            most = max(most, now)
            await release.wait()
            now -= 1

    jobs = [asyncio.create_task(effect(change)) for change in changes]
    for _ in range(20):
        await asyncio.sleep(0)
    release.set()
    await asyncio.gather(*jobs)
    return most


@pytest.mark.parametrize("change", POWER)
async def test_power_is_not_switched_everywhere_at_once(change: AnyChange) -> None:
    assert await at_once(Slots(Policy()), [change] * 50) == 32


async def test_few_firmware_updates_run_at_once_and_count_as_power(tmp_path: Path) -> None:
    update = Firmware(path="x")
    assert await at_once(Slots(Policy()), [update] * 50) == 4
    assert await at_once(Slots(Policy()), [update] * 50 + [Reboot()] * 50) == 32


async def test_lights_and_pools_have_room_of_their_own() -> None:
    changes: list[AnyChange] = [Light(on=True), Pools(pools=())]
    assert await at_once(Slots(Policy()), [*changes * 200, *[Reboot()] * 50]) == 256 + 32


async def test_the_first_to_ask_is_the_first_to_go() -> None:
    slots = Slots(Policy(power_effects=1))
    order: list[int] = []

    async def effect(number: int) -> None:
        async with slots.effect(Reboot()):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(effect(number) for number in range(20)))
    assert order == list(range(20))


async def test_connecting_and_proving_hold_no_slot(tmp_path: Path) -> None:
    farm = FakeFarm(5)
    policy = Policy(power_effects=1, stop_grace_s=0.1)
    async with site(tmp_path, farm=farm, policy=policy) as at:
        connecting, proving, writing = farm.miners[0], farm.miners[1], farm.miners[2:]
        connecting.gate["connect"], proving.gate["verify"] = asyncio.Event(), asyncio.Event()
        held = [at.task(n, name=TaskName.REBOOT, params={}) for n in (0, 1)]
        await until(lambda: "verify" in proving.trace and "apply" in connecting.trace)
        for task in [at.task(n, name=TaskName.REBOOT, params={}) for n in (2, 3, 4)]:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert [len(each.ledger) for each in writing] == [1, 1, 1]
        connecting.gate["connect"].set()
        proving.gate["verify"].set()
        for task in held:
            assert (await at.cloud.ended(task)).state == "succeed"


async def test_waiting_for_a_slot_costs_a_task_none_of_its_time(tmp_path: Path) -> None:
    policy = Policy(power_effects=1, stop_grace_s=0.1)
    async with site(tmp_path, policy=policy) as at:
        first, second = at.farm.miners[:2]
        first.gate["write"] = asyncio.Event()
        at.task(0, name=TaskName.REBOOT, params={})
        await until(lambda: first.at_once == 1)
        task = at.task(1, name=TaskName.REBOOT, params={})
        await until(lambda: "apply" in second.trace)
        waiting = await at.journal.find(task)
        assert waiting is not None and waiting.intent_at is None
        first.gate["write"].set()
        assert (await at.cloud.ended(task)).state == "succeed"
