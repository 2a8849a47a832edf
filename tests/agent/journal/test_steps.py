"""A task's steps in the journal: each is on disk with what is told of it, or neither is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Arrival, Journal
from agent.journal.settlement import failed
from agent.journal.states import IllegalMoveError, State
from agent.journal.writer import Job
from contract.errors import ErrorCode
from contract.link import LogLine
from contract.task import TaskName, TaskStatus
from drivers.base import Plan, Pools, PoolSetting
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, found, opened, outbox, record


async def test_a_task_goes_its_way_and_each_step_is_in_the_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        line = LogLine(at="2026-11-21T12:00:00.000000Z", level="info", message="hello")
        assert await accept(journal, record("t1")) == (record("t1"),)
        await journal.begin("t1", PLAN, AT, [line])
        await journal.note("t1", "outage_at", "later")
        await journal.progress("t1", AT, [line])
        begun = (await journal.unfinished())[0]
        assert (begun.state, begun.plan) == (State.INTENT, PLAN)
        assert begun.notes == {
            "intent_at": "2026-11-21T12:00:00.000000Z",
            "outage_at": "later",
        }
        await journal.settle(record("t1"), done(), AT)
        events = await outbox(journal)
        assert [each.state for each in events] == ["queuing", "pending", "pending", "succeed"]
        assert [each.seq for each in events] == [1, 2, 3, 4]
        assert events[1].logs == (line,)
        assert events[2].result is None
        assert events[3].result is not None and events[3].result["outcome"] == "done"
        assert journal.last_seq == 4
        assert await journal.depth() == 4
        assert [each.task_id for each in await journal.open_tasks()] == ["t1"]
        await acknowledge(journal)
        assert await journal.open_tasks() == ()
        ended = await found(journal, "t1")
        assert (ended.state, ended.status) == (State.REPORTED, TaskStatus.SUCCEED)


async def test_moves_outside_the_table_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.begin("t1", PLAN, AT)
        with pytest.raises(IllegalMoveError):
            await journal.begin("t1", PLAN, AT)
        await journal.settle(record("t1"), done(), AT)
        with pytest.raises(IllegalMoveError):
            await journal.begin("t1", PLAN, AT)


async def test_a_task_that_ended_stays_as_it_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.settle(record("t1"), done(), AT)
        await journal.settle(record("t1"), failed(ErrorCode.INTERNAL, "no"), AT)
        assert [each.state for each in await outbox(journal)] == ["queuing", "succeed"]


async def test_a_no_op_writes_intent_and_outcome_in_one_commit(tmp_path: Path) -> None:
    commits: list[int] = []

    class Counting(Journal):
        def _commit(self, batch: Sequence[Job]) -> None:
            super()._commit(batch)
            commits.append(len(batch))

    async with opened(tmp_path, made=Counting) as journal:
        await accept(journal, record("t1"))
        commits.clear()
        await journal.settle(record("t1"), done(), AT, intent_at=AT)
        assert commits == [1]
        assert (await found(journal, "t1")).intent_at == AT
        assert [each.state for each in await outbox(journal)] == ["queuing", "pending", "succeed"]


async def test_outcome_and_report_are_one_transaction(tmp_path: Path) -> None:
    class Falling(Journal):
        fall = False

        def _emit(self, db: sqlite3.Connection, task_id: str, *args: Any, **more: Any) -> None:
            if self.fall:
                raise RuntimeError("the process ends here")
            super()._emit(db, task_id, *args, **more)

    async with opened(tmp_path, made=Falling) as journal:
        assert isinstance(journal, Falling)
        await accept(journal, record("t1"))
        journal.fall = True
        with pytest.raises(RuntimeError):
            await journal.settle(record("t1"), done(), AT)
        journal.fall = False
        assert (await found(journal, "t1")).state is State.ACCEPTED
        assert len(await outbox(journal)) == 1


async def test_what_is_refused_at_once_is_settled_and_not_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        refusal = failed(ErrorCode.BAD_PARAMS, "params.force: not a truth")
        arrivals = [Arrival(record=record("t1"), refusal=refusal), Arrival(record=record("t2"))]
        assert await journal.accept(arrivals, AT) == (record("t2"),)
        assert [(e.task_id, e.state) for e in await outbox(journal)] == [
            ("t1", "failed"),
            ("t2", "queuing"),
        ]


async def test_passwords_are_forgotten_with_the_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        change = Pools(pools=(PoolSetting(url="u", user="w", password="hunter2"),))
        params = {"pools": [{"url": "u", "user": "w", "password": "hunter2"}]}
        task = record("t1", name=TaskName.POOLS, params=params)
        await accept(journal, task)
        await journal.begin("t1", Plan(change=change, before={}), AT)
        assert (await found(journal, "t1")).plan == Plan(change=change, before={})
        await journal.settle(task, done(), AT)
        row = await found(journal, "t1")
        assert row.plan is None
        assert "hunter2" not in str(row)
