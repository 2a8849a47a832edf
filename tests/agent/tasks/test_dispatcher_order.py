"""Which task goes when: its intent first, one at a time per miner, no miner behind another."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.tasks.active import Phase
from agent.tasks.path import ended
from contract.link import MinerRef
from contract.task import TaskName
from tests.agent.farm import FakeFarm
from tests.agent.journals import found
from tests.agent.stage import site
from tests.waiting import until


async def test_the_intent_is_on_disk_before_the_first_byte(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["write"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={})
        await until(lambda: miner.at_once == 1)
        record = await found(at.journal, task)
        assert record.state == "intent"
        assert record.intent_at is not None
        assert record.plan is not None and record.plan.before["boot"] == 1
        assert record.notes["intent_at"]
        miner.gate["write"].set()
        assert (await at.cloud.ended(task)).state == "succeed"


async def test_one_miner_has_one_task_at_a_time_in_order(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        tasks = [
            at.task(params={"action": "on" if number % 2 == 0 else "off"}) for number in range(10)
        ]
        for task in tasks:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert miner.most_at_once == 1
        assert miner.trace == ["plan", "apply", "verify"] * 10
        assert [event.task_id for event in at.cloud.events if event.state == "succeed"] == tasks


@pytest.mark.parametrize("where", ["plan", "connect", "write", "verify"])
async def test_one_miner_has_one_task_at_a_time_whatever_its_name(
    tmp_path: Path, where: str
) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate[where] = asyncio.Event()
        first = at.task(params={"action": "on"})
        await until(lambda: miner.trace)
        by_address = MinerRef(id=f"ip:{miner.host}", last_ip=miner.host)
        second = asyncio.create_task(
            at.path.submit_local(TaskName.LIGHT, {"action": "off"}, by_address, "onsite")
        )
        await until(lambda: any(task.phase is Phase.WAITING for task in at.path.dispatcher.held))
        miner.gate.pop(where).set()
        assert (await second)["outcome"] == "done"
        assert (await at.cloud.ended(first)).state == "succeed"
        assert miner.trace == ["plan", "apply", "verify"] * 2


async def test_a_task_behind_another_name_of_its_miner_can_be_called_off(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        at.task(params={"action": "on"})
        await until(lambda: miner.ledger)
        by_address = MinerRef(id=f"ip:{miner.host}", last_ip=miner.host)
        behind = await at.path.begin_local(TaskName.LIGHT, {"action": "off"}, by_address, "onsite")
        await until(lambda: behind.phase is Phase.WAITING)
        at.path.withdraw(by_address, "onsite")
        assert (await ended(behind))["error"]["code"] == "cancelled"
        assert miner.trace == ["plan", "apply", "verify"]
        miner.gate.pop("verify").set()


async def test_a_task_that_froze_keeps_its_address_from_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.stubborn = True
        gate = miner.gate["connect"] = asyncio.Event()
        frozen = at.task(params={"action": "on"}, limit_s=0.3)
        await until(lambda: miner.trace[-1:] == ["apply"])
        by_address = MinerRef(id=f"ip:{miner.host}", last_ip=miner.host)
        behind = await at.path.begin_local(TaskName.LIGHT, {"action": "off"}, by_address, "onsite")
        await at.cloud.ended(frozen)
        assert (await ended(behind))["outcome"] == "done"
        gate.set()


async def test_a_miner_that_does_not_answer_delays_no_other(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        stuck = at.task(0)
        behind = at.task(0)
        others = [at.task(1), at.task(2)]
        for task in others:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert at.cloud.end(stuck) is None
        assert at.cloud.end(behind) is None
        at.farm.miners[0].gate["plan"].set()
        await at.cloud.ended(behind)


async def test_a_thousand_tasks_on_a_thousand_miners_all_end(tmp_path: Path) -> None:
    async with site(tmp_path, farm=FakeFarm(1000)) as at:
        tasks = [at.task(number) for number in range(1000)]
        await until(lambda: sum(e.state == "succeed" for e in at.cloud.events) == 1000, within_s=60)
        assert {event.task_id for event in at.cloud.events} == set(tasks)
        assert all(len(miner.ledger) == 1 for miner in at.farm.miners)
