"""The leave to change a miner: what must be true before a byte is sent, and between two writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.journal import Journal
from contract.clock import from_text
from contract.errors import StorageFullError
from contract.task import TaskName
from drivers.base import Effect, Plan
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.farm import FakeFarm, FakeMiner
from tests.agent.journals import found
from tests.agent.stage import Site, site
from tests.virtual_time import loop_clock
from tests.waiting import until


class TwoWrites(FakeMiner):
    """Writes twice, with a pause between; notes that the first is done."""

    async def apply(self, plan: Plan, effect: Effect) -> None:
        async with effect.sending():
            self.ledger.append("first")
        await effect.note("uploaded_at", "now")
        await self._wait("between")
        async with effect.sending():
            self.ledger.append("second")
            self._change(plan.change)


def two_writes() -> FakeFarm:
    return FakeFarm(1, kind=TwoWrites)


async def begun(at: Site, clock: SettableClock, *, reported: bool) -> str:
    at.farm.miners[0].gate["between"] = asyncio.Event()
    if not reported:
        at.cloud.report_error = lambda _: NO_CLOUD
    # What is granted by the cloud is known to it: only a setting begins without its knowledge.
    name = TaskName.REBOOT if reported else TaskName.POWER_MODE
    task = at.task(name=name, params={} if reported else {"mode": "low"}, limit_s=10_000.0)
    await clock.advance(1.0)
    assert at.farm.miners[0].ledger == ["first"]
    at.cloud.away = NO_CLOUD
    await clock.advance(300.0)  # the lease is long gone
    at.farm.miners[0].gate["between"].set()
    await clock.advance(1.0)
    at.cloud.away = None
    at.cloud.report_error = lambda _: None
    await clock.advance(60.0)
    return task


async def test_a_change_whose_intent_the_cloud_knows_is_seen_through(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock, farm=two_writes()) as at:
        task = await begun(at, clock, reported=True)
        event = at.cloud.end(task)
        assert event is not None and event.state == "succeed"
        assert at.farm.miners[0].ledger == ["first", "second"]
        at.path.stop()
        await clock.advance(10.0)


async def test_a_change_the_cloud_never_heard_of_stops_with_its_lease(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock, farm=two_writes()) as at:
        task = await begun(at, clock, reported=False)
        assert at.farm.miners[0].ledger == ["first"]
        event = at.cloud.end(task)
        assert event is not None and (event.state, code(event)) == ("failed", "policy_refused")
        assert event.result is not None and event.result["outcome"] == "not_done"  # by looking
        assert "verify" in at.farm.miners[0].trace
        at.path.stop()
        await clock.advance(10.0)


async def test_a_note_is_on_disk_before_the_driver_goes_on(tmp_path: Path) -> None:
    async with site(tmp_path, farm=two_writes()) as at:
        miner = at.farm.miners[0]
        gate = miner.gate["between"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={})
        await until(lambda: miner.ledger == ["first"])
        async with asyncio.timeout(5):
            while "uploaded_at" not in (await found(at.journal, task)).notes:
                pass  # each look is a turn of the journal's thread
        gate.set()
        assert (await at.cloud.ended(task)).state == "succeed"
        ended = await found(at.journal, task)
        assert set(ended.notes) - {"order"} == {"intent_at", "intent_boot", "uploaded_at"}


async def test_an_order_long_after_its_intent_is_written_down_with_its_time(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock, farm=two_writes()) as at:
        gate = at.farm.miners[0].gate["between"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={}, limit_s=10_000.0)
        await clock.advance(1.0)
        assert "order" not in (await found(at.journal, task)).notes
        await clock.advance(300.0)
        gate.set()
        await clock.advance(1.0)
        notes = (await found(at.journal, task)).notes
        begun, sent = from_text(notes["intent_at"]), from_text(notes["order"]["at"])
        assert (sent - begun).total_seconds() == pytest.approx(300.0, abs=2.0)
        at.path.stop()
        await clock.advance(10.0)


class Full(Journal):
    """Takes everything but an intent."""

    async def begin(self, *_: object, **__: object) -> None:
        raise StorageFullError("the disk is full: free some space")


async def test_without_a_durable_intent_nothing_is_sent(tmp_path: Path) -> None:
    journal = Full(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    async with site(tmp_path, journal=journal) as at:
        event = await at.cloud.ended(at.task())
        assert (event.state, code(event)) == ("failed", "storage_full")
        assert event.result is not None and event.result["outcome"] == "not_done"
        assert at.farm.miners[0].ledger == []
