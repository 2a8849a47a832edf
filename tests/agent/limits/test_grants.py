"""What happens at most once waits for the cloud's leave to begin."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.record import CLOUD
from agent.journal.schema import DamagedError
from agent.journal.states import State
from agent.journal.writer import Need
from agent.limits.grants import draw
from agent.ports import CloudError
from contract.errors import StorageFullError
from contract.link import Ack, Arose, Event, ReportReply, ReportRequest
from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, FakeCloud, code
from tests.agent.policies import policy_with
from tests.agent.stage import Site, crash_and_restart, site
from tests.waiting import until

RETRIED_S = 120.0  # by then a report that found no cloud has been offered again


def outcome(event: Event) -> str:
    assert event.result is not None
    return str(event.result["outcome"])


async def unheard(at: Site, miner: int = 0, **more: object) -> str:
    """A reboot whose intent is on disk, while the cloud takes no reports."""
    at.cloud.report_error = lambda _: NO_CLOUD
    task = at.task(miner, name=TaskName.REBOOT, params={}, **more)
    await until(lambda: is_begun(at, task))
    return task


async def is_begun(at: Site, task: str) -> bool:
    row = await at.journal.find(task)
    return row is not None and row.state is State.INTENT


def hear(at: Site) -> None:
    at.cloud.report_error = lambda _: None


async def test_the_first_byte_waits_for_the_answer_and_holds_nothing_meanwhile(
    tmp_path: Path,
) -> None:
    policy = policy_with(power_effects=1, applying=1, looking=1, stop_within_s=0.1)
    async with site(tmp_path, policy=policy) as at:
        waiting, other, third = at.farm.miners
        task = await unheard(at)
        # A setting and what was wished for on site do not wait, and find every slot free.
        light = at.task(1)
        await until(lambda: other.ledger == ["Light"])
        wished = await at.path.submit_local(TaskName.REBOOT, {}, third.ref, "onsite")
        assert (wished["status"], third.ledger) == ("succeed", ["Reboot"])
        assert (waiting.trace, waiting.ledger) == (["plan"], [])
        hear(at)
        assert (await at.cloud.ended(task, within_s=RETRIED_S)).state == "succeed"
        assert (await at.cloud.ended(light)).state == "succeed"
        pending, end = [each for each in at.cloud.of(task) if each.state != "queuing"]
        assert pending.begin_id is not None
        assert end.begin_id == pending.begin_id
        assert {each.begin_id for each in at.cloud.events if each.task_id != task} == {None}


@pytest.mark.parametrize("answer", ["begun", "late", "conflict", "surprise"])
async def test_any_other_answer_ends_it_without_a_byte(tmp_path: Path, answer: str) -> None:
    async with site(tmp_path) as at:
        at.cloud.ack_state = lambda event: answer if event.state == "pending" else "ok"
        event = await at.cloud.ended(at.task(name=TaskName.REBOOT, params={}))
        assert (event.state, outcome(event), code(event)) == ("failed", "unknown", "lost_agent")
        assert at.farm.miners[0].trace == ["plan"]


@pytest.mark.parametrize("status", [400, 409, 413, 422])
async def test_a_beginning_that_the_cloud_refuses_ends_without_a_byte_and_says_why(
    tmp_path: Path, status: int
) -> None:
    async with site(tmp_path) as at:
        at.cloud.report_error = lambda request: (
            CloudError("nobody reads stars", retry=False, status=status)
            if any(each.state == "pending" for each in request.events)
            else None
        )
        event = await at.cloud.ended(at.task(name=TaskName.REBOOT, params={}))
        assert (event.state, outcome(event), code(event)) == ("failed", "unknown", "lost_agent")
        assert event.result is not None
        assert "nobody reads stars" in event.result["error"]["message"]
        assert at.farm.miners[0].trace == ["plan"]


async def test_who_waits_while_the_journal_is_begun_anew_is_told_so_and_may_come_again(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        task = await unheard(at)
        name = at.journal.journal_id
        with pytest.raises(StorageFullError):
            await at.journal._submit(damaged, Need.LOOK)
        hear(at)
        event = await at.cloud.ended(task, within_s=RETRIED_S)
        assert (outcome(event), code(event)) == ("not_done", "storage_full")
        assert (at.farm.miners[0].ledger, at.journal.journal_id == name) == ([], False)
        again = await at.cloud.ended(at.task(name=TaskName.REBOOT, params={}))
        assert again.state == "succeed", "its miner is kept busy by one that waits for nobody"


def damaged(_: sqlite3.Connection) -> None:
    raise DamagedError("what was read makes no sense")


class Messy(FakeCloud):
    """Acknowledges in another order, twice, and what nobody reported."""

    async def report(self, request: ReportRequest) -> ReportReply:
        acks = (await super().report(request)).acks
        strange = [
            Ack(task_id="another", epoch=each.epoch, seq=each.seq, state="begun") for each in acks
        ]
        none = Ack(task_id=acks[0].task_id, epoch=1, seq=10_000, state="begun")
        return ReportReply(acks=(*strange, none, *reversed(acks), *acks))


async def test_answers_in_any_order_twice_and_for_others_are_sorted_out(tmp_path: Path) -> None:
    async with site(tmp_path, cloud=Messy()) as at:
        tasks = [at.task(number, name=TaskName.REBOOT, params={}) for number in range(3)]
        assert {(await at.cloud.ended(each)).state for each in tasks} == {"succeed"}
        assert [miner.ledger for miner in at.farm.miners] == [["Reboot"]] * 3


async def test_a_cloud_that_acknowledges_nothing_grants_nothing(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.report = nothing  # type: ignore[method-assign]
        at.task(name=TaskName.REBOOT, params={}, queue_ttl_s=300.0)
        await clock.advance(400.0)
        assert at.farm.miners[0].ledger == []
        assert not at.path.dispatcher.tasks
        at.path.stop()
        await clock.advance(10.0)


async def nothing(_: ReportRequest) -> ReportReply:
    return ReportReply(acks=())


async def test_an_answer_for_another_task_or_for_another_life_is_none(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        task = await unheard(at)
        row = await at.journal.find(task)
        assert row is not None
        grants = at.path._grants
        grants.answer("somebody-else", None)
        assert not grants._waiting.get("somebody-else")
        assert at.farm.miners[0].ledger == []
        hear(at)
        assert (await at.cloud.ended(task, within_s=RETRIED_S)).state == "succeed"


async def test_a_cloud_that_has_forgotten_the_task_is_told_what_it_is(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        told: list[Arose] = []

        def answer(request: ReportRequest) -> CloudError | None:
            told.extend(each.arose for each in request.events if each.arose is not None)
            return None

        at.cloud.report_error = answer
        at.cloud.ack_state = lambda event: "ok" if event.arose else "unknown_task"
        task = at.task(name=TaskName.REBOOT, params={"force": True})
        await until(lambda: is_reported(at, task))
        assert {each.origin for each in told} == {CLOUD}
        assert {(each.batch_id, each.name) for each in told} == {("batch-1", TaskName.REBOOT)}
        assert told[0].miner is not None
        assert told[0].miner.mac == at.farm.miners[0].ref.mac
        assert at.farm.miners[0].ledger == ["Reboot"]


async def test_a_question_is_not_given_up_while_its_task_waits_for_the_answer(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(
        tmp_path, clock=clock, policy=policy_with(results_kept_s=60.0, stop_within_s=0.1)
    ) as at:
        at.cloud.report_error = lambda _: CloudError("no such page", retry=False, status=404)
        task = at.task(name=TaskName.REBOOT, params={})
        await clock.advance(300.0)
        hear(at)
        await clock.advance(60.0)
        event = at.cloud.end(task)
        assert event is not None
        assert event.state == "succeed"
        assert at.farm.miners[0].ledger == ["Reboot"]
        at.path.stop()
        await clock.advance(10.0)


async def test_it_can_be_cancelled_while_it_waits(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        task = await unheard(at)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await until(lambda: not at.path.dispatcher.tasks)
        hear(at)
        event = await at.cloud.ended(task, within_s=RETRIED_S)
        assert (event.state, outcome(event)) == ("cancelled", "not_done")
        assert at.farm.miners[0].ledger == []


async def test_its_queue_life_ends_it_while_it_waits(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.report_error = lambda _: NO_CLOUD
        task = at.task(name=TaskName.REBOOT, params={}, queue_ttl_s=500.0, limit_s=10.0)
        await clock.advance(490.0)
        assert (await at.journal.unfinished())[0].state is State.INTENT
        await clock.advance(20.0)
        hear(at)
        await clock.advance(60.0)
        event = at.cloud.end(task)
        assert event is not None
        assert (event.state, outcome(event)) == ("timed_out", "not_done")
        assert at.farm.miners[0].ledger == []
        at.path.stop()
        await clock.advance(10.0)


async def test_after_a_long_wait_it_is_looked_at_anew_and_has_all_of_its_time(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        at.cloud.report_error = lambda _: NO_CLOUD
        task = at.task(name=TaskName.REBOOT, params={}, limit_s=100.0)
        await clock.advance(300.0)
        assert miner.trace == ["plan"]
        miner.state["boot"] = 7  # somebody else restarted it meanwhile
        miner.gate["verify"] = asyncio.Event()
        hear(at)
        await until(lambda: "verify" in miner.trace)
        assert miner.trace == ["plan", "plan", "apply", "verify"]
        row = await at.journal.find(task)
        assert row is not None
        assert row.plan is not None
        assert row.plan.before["boot"] == 7
        await clock.advance(90.0)
        miner.gate["verify"].set()
        await clock.advance(5.0)
        event = at.cloud.end(task)
        assert event is not None
        assert event.state == "succeed"
        at.path.stop()
        await clock.advance(10.0)


async def test_a_crash_while_it_waits_is_looked_at_never_sent(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    await at.path.ready()
    task = await unheard(at)
    after = await crash_and_restart(at, tmp_path)
    hear(after)
    event = await after.cloud.ended(task, within_s=RETRIED_S)
    await after.stop()
    assert outcome(event) == "not_done"
    assert at.farm.miners[0].trace == ["plan", "verify"]


async def is_reported(at: Site, task: str) -> bool:
    row = await at.journal.find(task)
    return row is not None and row.state is State.REPORTED


async def test_tasks_of_the_site_take_no_room_from_those_of_the_cloud(tmp_path: Path) -> None:
    async with site(tmp_path, policy=policy_with(open_tasks=1, stop_within_s=0.1)) as at:
        at.cloud.report_error = lambda _: NO_CLOUD
        await at.path.submit_local(
            TaskName.LIGHT, {"action": "on"}, at.farm.miners[1].ref, "onsite"
        )
        await until(lambda: len(at.cloud.claims[-1].open) == 1)
        assert at.cloud.claims[-1].room == 1
        hear(at)


async def test_a_begin_id_differs_though_random_bytes_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.limits.grants.secrets.token_hex", lambda _: "00")
    clock = SettableClock()
    first = draw(clock)
    await clock.advance(0.001)
    assert draw(clock) != first
    second = draw(clock)
    clock.step(timedelta(seconds=1))
    assert draw(clock) != second
