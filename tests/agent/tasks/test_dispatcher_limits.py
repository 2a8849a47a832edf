"""Tasks that take too long, before their intent and after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import code
from tests.agent.policies import policy_with
from tests.agent.stage import site
from tests.waiting import until


async def test_a_slot_frozen_before_anything_was_sent_times_out(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        event = await at.cloud.ended(at.task(limit_s=0.3))
        assert (event.state, code(event)) == ("timed_out", "expired")
        at.farm.miners[0].gate.clear()
        assert (await at.cloud.ended(at.task())).state == "succeed"


async def test_a_slot_frozen_after_a_write_is_unknown(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["verify"] = asyncio.Event()
        event = await at.cloud.ended(at.task(limit_s=0.3))
        assert event.state == "failed"
        assert event.result is not None and event.result["outcome"] == "unknown"


async def test_a_slot_that_will_not_die_is_left_behind_and_may_send_nothing_more(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.stubborn = True
        gate = miner.gate["connect"] = asyncio.Event()
        task = at.task(limit_s=0.3)
        event = await at.cloud.ended(task)
        assert (event.state, code(event)) == ("timed_out", "expired")
        assert at.path.slots_alive
        miner.gate.clear()
        second = at.task(params={"action": "off"})
        assert (await at.cloud.ended(second)).state == "succeed"
        gate.set()  # the frozen one wakes at last
        await until(lambda: not at.path.dispatcher._left_behind)
        assert miner.ledger == []
        assert at.cloud.end(task) is event


async def test_the_limit_is_counted_from_intent(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        task = at.task(limit_s=100.0)
        await clock.advance(99.0)
        assert at.cloud.end(task) is None
        await clock.advance(3.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "failed"
        at.path.stop()
        await clock.advance(10.0)


async def test_a_local_ceiling_cuts_the_limit_of_a_task(tmp_path: Path) -> None:
    policy = policy_with(task_s={TaskName.LIGHT: 0.3})
    async with site(tmp_path, policy=policy) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        assert (await at.cloud.ended(at.task(limit_s=3600.0))).state == "timed_out"


async def test_a_task_that_nobody_could_begin_expires(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        first = at.task()
        task = at.task(queue_ttl_s=0.3)
        event = await at.cloud.ended(task)
        assert (event.state, code(event)) == ("timed_out", "expired")
        assert event.result is not None and event.result["outcome"] == "not_done"
        at.farm.miners[0].gate["plan"].set()
        await at.cloud.ended(first)
