"""A journal or a database put back from a copy: nothing is repeated, and what one of them has lost is told again."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.journal.settlement import failed
from contract.errors import ErrorCode
from contract.link import Event
from contract.task import TaskName
from tests.agent.fake_cloud import FakeCloud
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, opened, outbox, record
from tests.agent.limits.test_grants import is_reported, outcome
from tests.agent.stage import Site, site
from tests.waiting import until

NOT_DONE = failed(ErrorCode.UNREACHABLE, "nobody answers")


def first_wins() -> Callable[[Event], str]:
    """As the cloud answers: it keeps the first begin id of each task."""
    begun: dict[str, str | None] = {}

    def answer(event: Event) -> str:
        if event.state != "pending":
            return "ok"
        return (
            "ok" if begun.setdefault(event.task_id, event.begin_id) == event.begin_id else "begun"
        )

    return answer


@pytest.mark.parametrize("moment", ["accepted", "intent"])
async def test_a_journal_put_back_from_a_copy_repeats_nothing(tmp_path: Path, moment: str) -> None:
    cloud = FakeCloud()
    cloud.ack_state = first_wins()
    folder, kept = tmp_path / "agent", tmp_path / "copy"
    folder.mkdir()
    at = Site(folder, cloud=cloud)
    at.start()
    miner = at.farm.miners[0]
    where = {"accepted": "plan", "intent": "connect"}[moment]
    gate = miner.gate[where] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={})
    await until(lambda: miner.trace[-1:] == [{"plan": "plan", "connect": "apply"}[where]])
    await asyncio.to_thread(shutil.copytree, folder, kept)
    gate.set()
    assert outcome(await cloud.ended(task)) == "done"
    await at.die()
    await asyncio.to_thread(shutil.rmtree, folder)
    await asyncio.to_thread(shutil.copytree, kept, folder)
    after = Site(folder, cloud=cloud, farm=at.farm)
    after.start()
    await after.path.ready()
    await until(lambda: is_reported(after, task))
    row = await after.journal.find(task)
    await after.stop()
    assert miner.ledger == ["Reboot"]
    assert row is not None
    assert row.result is not None
    # The evidence in the copy is enough to see that it happened; without it nobody knows.
    assert row.result["outcome"] == {"accepted": "unknown", "intent": "done"}[moment]


async def test_what_is_called_off_in_a_journal_put_back_is_told_under_a_number_of_its_own(
    tmp_path: Path,
) -> None:
    """The number may be the one under which the cloud has heard of that task's beginning before."""
    cloud, folder = FakeCloud(), tmp_path / "agent"
    folder.mkdir()
    at = Site(folder, cloud=cloud)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["plan"] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={})
    await until(lambda: miner.trace[-1:] == ["plan"])
    await at.die()
    cloud.heard_seq = 500
    cloud.cancel.add(task)
    after = Site(folder, cloud=cloud, farm=at.farm)
    after.start()
    end = await cloud.ended(task)
    await after.stop()
    assert (end.state, miner.ledger) == ("cancelled", [])
    assert end.seq > 500


async def test_an_outcome_that_is_asked_for_is_told_again_after_its_beginning(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        task = at.task(name=TaskName.REBOOT, params={})
        await at.cloud.ended(task)
        await until(lambda: is_reported(at, task))
        before = len(at.cloud.of(task))
        at.cloud.asks = [task, "nobody-knows-it"]
        at.cloud.poke()
        await until(lambda: len(at.cloud.of(task)) == before + 2)
        pending, end = at.cloud.of(task)[-2:]
        assert (pending.state, end.state) == ("pending", "succeed")
        assert end.begin_id == pending.begin_id is not None
        await until(lambda: any(each.not_known for each in at.cloud.claims))
        assert {each.not_known for each in at.cloud.claims} == {(), ("nobody-knows-it",)}
        assert at.farm.miners[0].ledger == ["Reboot"]


async def test_a_cloud_that_has_heard_less_than_it_took_is_told_the_rest_once(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        tasks = [at.task(number) for number in range(3)]
        for task in tasks:
            await at.cloud.ended(task)
            await until(lambda task=task: is_reported(at, task))
        told = {task: max(each.seq for each in at.cloud.of(task)) for task in tasks}
        first = min(told, key=lambda task: told[task])
        at.cloud.heard_seq = told[first]
        at.cloud.poke()
        await until(lambda: all(len(ends(at, task)) == 2 for task in tasks if task != first))
        at.cloud.heard_seq = at.journal.last_seq
        await at.cloud.ended(at.task(0, params={"action": "off"}))
        assert [len(ends(at, task)) for task in tasks if task == first] == [1]


def ends(at: Site, task: str) -> list[Event]:
    return [each for each in at.cloud.of(task) if each.state == "succeed"]


async def test_a_journal_that_was_put_back_goes_on_with_numbers_the_cloud_does_not_know(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        at.cloud.heard_seq = 1000
        event = await at.cloud.ended(at.task())
        await until(lambda: at.journal.last_seq > 1000)
        assert event.state == "succeed"
        last = await at.cloud.ended(at.task(1))
        assert last.seq > 1000


async def test_no_answer_takes_its_numbers_from_a_journal(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.cloud.heard_seq = 2**53
        await at.cloud.ended(at.task())
        at.cloud.poke()
        event = await at.cloud.ended(at.task(1))
        assert event.seq < 100


async def test_what_is_told_again_is_told_under_its_begin_id(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.begin("t1", PLAN, AT, begin_id="b1")
        await journal.settle(record("t1"), done(), AT)
        assert [each.begin_id for each in await outbox(journal)] == [None, "b1", "b1"]
        await acknowledge(journal)
        assert await journal.tell_again(["t1", "t2"]) == ("t2",)
        assert [(each.state, each.begin_id) for each in await outbox(journal)] == [
            ("pending", "b1"),
            ("succeed", "b1"),
        ]
        assert await journal.tell_again(["t1"]) == ()  # it is on its way
        assert len(await outbox(journal)) == 2


async def test_what_was_told_since_a_number_is_told_again_in_its_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        first = 0
        for task in ("t3", "t1", "t2", "t4"):
            await accept(journal, record(task))
            # One of them was never begun, and so its end is all there is to tell.
            if task != "t2":
                await journal.begin(task, PLAN, AT, begin_id=f"begin-{task}")
            await journal.settle(record(task), done() if task != "t2" else NOT_DONE, AT)
            last = (await outbox(journal))[-1].seq
            await acknowledge(journal)
            first = last if task == "t3" else first
        assert await journal.tell_since(first) == 3
        told = await outbox(journal)
        assert [(each.task_id, each.state, each.begin_id) for each in told] == [
            ("t1", "pending", "begin-t1"),
            ("t1", "succeed", "begin-t1"),
            ("t2", "failed", None),
            ("t4", "pending", "begin-t4"),
            ("t4", "succeed", "begin-t4"),
        ]
        assert [each.result is not None for each in told] == [False, True, True, False, True]
        assert {each.task_id for each in await journal.open_tasks()} == {"t1", "t2", "t4"}
        assert await journal.tell_since(first) == 0
        assert await journal.told_seq() == first
        await acknowledge(journal)
        assert (await journal.told_seq(), await journal.open_tasks()) == (journal.last_seq, ())


async def test_a_setting_that_a_copy_of_the_journal_holds_as_open_is_called_off_before_it_begins(
    tmp_path: Path,
) -> None:
    cloud = FakeCloud()
    folder, kept = tmp_path / "agent", tmp_path / "copy"
    folder.mkdir()
    at = Site(folder, cloud=cloud)
    at.start()
    miner = at.farm.miners[0]
    gate = miner.gate["plan"] = asyncio.Event()
    task = at.task(params={"action": "on"})
    await until(lambda: miner.trace == ["plan"])
    await asyncio.to_thread(shutil.copytree, folder, kept)
    gate.set()
    await cloud.ended(task)
    await cloud.ended(at.task(params={"action": "off"}))
    await at.die()
    await asyncio.to_thread(shutil.rmtree, folder)
    await asyncio.to_thread(shutil.copytree, kept, folder)
    cloud.cancels_ended = True
    cloud.cancel.add(task)
    after = Site(folder, cloud=cloud, farm=at.farm)
    after.start()
    await after.path.ready()
    await until(lambda: not after.path.dispatcher.tasks)
    await after.stop()
    assert miner.ledger == ["Light", "Light"]
    assert miner.state["light"] is False
