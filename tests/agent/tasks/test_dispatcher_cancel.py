"""A cancel counts until the first byte is sent, and cuts no writing of an end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agent.journal import Journal
from contract.task import SPECS, TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import code
from tests.agent.stage import site
from tests.waiting import until


async def test_a_waiting_task_is_cancelled_at_once(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        first, second = at.task(), at.task()
        await until(lambda: at.farm.miners[0].trace == ["plan"])
        at.cloud.cancel.add(second)
        at.cloud.poke()
        event = await at.cloud.ended(second)
        assert (event.state, code(event)) == ("cancelled", "cancelled")
        at.farm.miners[0].gate["plan"].set()
        assert (await at.cloud.ended(first)).state == "succeed"


async def test_a_cancel_before_the_first_byte_keeps_it_from_being_sent(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["connect"] = asyncio.Event()
        task = at.task()
        await until(lambda: "apply" in miner.trace)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await until(lambda: at.path.dispatcher._tasks[task].cancel_requested)
        miner.gate["connect"].set()
        event = await at.cloud.ended(task)
        assert event.state == "cancelled"
        assert miner.ledger == []


async def test_a_cancel_after_the_first_byte_changes_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        task = at.task()
        await until(lambda: "verify" in miner.trace)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await until(lambda: at.path.dispatcher._tasks[task].cancel_requested)
        miner.gate["verify"].set()
        assert (await at.cloud.ended(task)).state == "succeed"


async def test_a_look_is_cancelled_where_it_stands(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.scan_gate = asyncio.Event()
        task = at.cloud.create(TaskName.SCAN, {"ip_range": "10.0.0.0/24"})
        await until(lambda: bool(at.farm.scanned))
        at.cloud.cancel.add(task)
        at.cloud.poke()
        assert (await at.cloud.ended(task)).state == "cancelled"


async def test_neither_cancel_nor_limit_cuts_the_writing_of_an_end(tmp_path: Path) -> None:
    writing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Journal):
        async def settle(self, *given: Any, **more: Any) -> None:
            writing.set()
            await go_on.wait()
            await super().settle(*given, **more)

    clock = SettableClock()
    journal = Slow(tmp_path / "journal.db", clock, ballast_bytes=4096)
    async with site(tmp_path, clock=clock, journal=journal) as at:
        ref = at.farm.miners[0].ref
        here = asyncio.create_task(at.path.submit_local(TaskName.LOG, {}, ref, "act"))
        await asyncio.wait_for(writing.wait(), 10)
        (task_id,) = at.path.dispatcher._tasks
        at.path.dispatcher.cancel(task_id)
        await clock.advance(SPECS[TaskName.LOG].limit_s + 10.0)
        go_on.set()
        await clock.advance(1.0)
        assert (await asyncio.wait_for(here, 10))["status"] == "succeed"
        assert at.path.dispatcher.tasks == 0
        at.path.stop()
        await clock.advance(10.0)
