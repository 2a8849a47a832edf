"""The same task handed out again, under the same epoch or a higher one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal import QueueLife, StepAck
from agent.journal.states import State
from contract.clock import BootTime
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, found, opened, outbox, record


async def test_the_same_task_twice_is_taken_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert len(await accept(journal, record("t1"), record("t1"))) == 1
        assert await accept(journal, record("t1")) == ()
        assert len(await outbox(journal)) == 1


async def test_a_cloud_that_forgot_an_outcome_is_told_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.settle(record("t1"), done(), AT)
        await acknowledge(journal)
        assert await accept(journal, record("t1")) == ()
        assert [(each.state, each.seq) for each in await outbox(journal)] == [("succeed", 3)]
        await acknowledge(journal)
        # One that was put back from a copy may even have forgotten that it gave it to somebody else meanwhile.
        assert await accept(journal, record("t1", epoch=0)) == ()
        assert [(each.epoch, each.state) for each in await outbox(journal)] == [(1, "succeed")]


@pytest.mark.parametrize("state", list(State))
async def test_a_higher_epoch_tells_again_what_is_known_and_runs_nothing(
    tmp_path: Path, state: State
) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        if state is not State.ACCEPTED:
            await journal.begin("t1", PLAN, AT)
        if state in (State.SETTLED, State.REPORTED):
            await journal.settle(record("t1"), done(), AT)
        if state is not State.SETTLED:
            await acknowledge(journal)
        last = journal.last_seq
        assert await accept(journal, record("t1", epoch=2)) == ()
        events = await outbox(journal)
        assert {each.epoch for each in events} == {2}
        word = {State.ACCEPTED: "queuing", State.INTENT: "pending"}.get(state, "succeed")
        assert events[-1].state == word
        assert events[-1].seq > last or state is State.SETTLED
        assert [each.epoch for each in await journal.open_tasks()] == [2]


async def test_a_higher_epoch_brings_a_queue_life_of_its_own(tmp_path: Path) -> None:
    first, second = (
        QueueLife(seconds=60.0, since=BootTime("boot 1", at_s)) for at_s in (10.0, 500.0)
    )
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1", queue_life=first))
        assert (await found(journal, "t1")).queue_life == first
        await accept(journal, record("t1", epoch=2, queue_life=second))
        assert (await found(journal, "t1")).queue_life == second


async def test_an_ack_of_an_older_epoch_does_not_end_the_newer(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.settle(record("t1"), done(), AT)
        sent = await outbox(journal)
        await accept(journal, record("t1", epoch=2))
        await journal.acknowledge([StepAck(seq=each.seq, epoch=1) for each in sent])
        assert [each.epoch for each in await outbox(journal)] == [2, 2]
        assert [each.epoch for each in await journal.open_tasks()] == [2]
