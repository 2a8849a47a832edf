"""The journal's one thread: it commits in groups, in bounded bites, and leaves the loop free."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal import Journal, StepAck
from agent.journal.states import State
from agent.journal.writer import Job
from tests.agent.clock import SettableClock
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, found, opened, outbox, record
from tests.virtual_time import VirtualLoop, loop_clock
from tests.waiting import until


async def test_what_is_queued_together_is_committed_together(tmp_path: Path) -> None:
    sizes: list[int] = []

    class Counting(Journal):
        def _commit(self, batch: Sequence[Job]) -> None:
            sizes.append(len(batch))
            super()._commit(batch)

    async with opened(tmp_path, made=Counting) as journal:
        await accept(journal, *(record(f"t{n}") for n in range(300)))
        sizes.clear()
        await asyncio.gather(*(journal.begin(f"t{n}", PLAN, AT) for n in range(300)))
        assert sum(sizes) == 300
        assert len(sizes) < 30


async def test_a_bug_in_the_writer_forgets_no_outcome(tmp_path: Path) -> None:
    faults: list[Exception] = []

    class Faulty(Journal):
        def _commit(self, batch: Sequence[Job]) -> None:
            if faults:
                raise faults.pop(0)
            super()._commit(batch)

    async with opened(tmp_path, made=Faulty) as journal:
        await accept(journal, record("t1"), record("t2"))
        # The disk fails under an outcome, which is kept; before it is back, a bug of ours comes on top.
        faults += [sqlite3.OperationalError("disk I/O error"), ZeroDivisionError("a bug of ours")]
        await asyncio.wait_for(journal.settle(record("t1"), done(), AT), 10)
        faults += [ZeroDivisionError("a bug of ours")]
        begins = asyncio.gather(journal.begin("t2", PLAN, AT), return_exceptions=True)
        (answer,) = await asyncio.wait_for(begins, 10)
        assert isinstance(answer, ZeroDivisionError)  # what is only about to begin is told
        assert (await found(journal, "t1")).state is State.SETTLED


@pytest.mark.real_time
async def test_the_loop_turns_while_a_commit_takes_long(tmp_path: Path) -> None:
    held, entered = threading.Event(), threading.Event()

    class Slow(Journal):
        def _commit(self, batch: Sequence[Job]) -> None:
            entered.set()
            assert held.wait(10)
            super()._commit(batch)

    journal = Slow(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    opening = asyncio.create_task(journal.open())
    await until(entered.is_set)
    assert not opening.done()
    beat = journal.heartbeat_mono
    await asyncio.sleep(0.01)  # time is what is tested: it goes on here, and the beat does not
    assert journal.heartbeat_mono == beat  # a writer that stands still can be seen to
    held.set()
    await opening
    await until(lambda: journal.heartbeat_mono > beat)
    await journal.close()


async def test_a_job_given_up_while_queued_is_not_begun(tmp_path: Path) -> None:
    held, entered = threading.Event(), threading.Event()

    class Slow(Journal):
        def _turn(self, batch: list[Job]) -> None:
            if batch and not held.is_set():
                entered.set()
                assert held.wait(10)
            super()._turn(batch)

    journal = Slow(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    held.set()
    await journal.open()
    await accept(journal, record("t1"), record("t2"))
    held.clear()
    first = asyncio.create_task(journal.begin("t1", PLAN, AT))
    await until(entered.is_set)
    second = asyncio.create_task(journal.begin("t2", PLAN, AT))
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    await until(lambda: len(loop.owed) == 2)
    second.cancel()
    await asyncio.wait({second})
    held.set()
    await first
    assert (await found(journal, "t2")).state is State.ACCEPTED
    await journal.close()


async def test_the_outbox_is_read_in_bounded_bites(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, *(record(f"t{n}") for n in range(20)))
        assert len(await journal.outbox(7, 1 << 20)) == 7
        assert len(await journal.outbox(100, 1000)) < 20
        assert len(await journal.outbox(100, 1)) == 1


async def test_only_reported_tasks_are_pruned(tmp_path: Path) -> None:
    clock = SettableClock()
    async with opened(tmp_path, clock, keep_days=30, keep_rows=5) as journal:
        for number in range(4):
            await accept(journal, record(f"old{number}"))
            await journal.settle(record(f"old{number}"), done(), AT)
        await acknowledge(journal)
        clock.step(timedelta(days=-31))  # what comes now is the newest all the same
        await clock.advance(1.0)
        at = clock.now()
        for number in range(8):
            await accept(journal, record(f"new{number}"))
            await journal.settle(record(f"new{number}"), done(), at + timedelta(seconds=number))
        events = await outbox(journal)
        await journal.acknowledge(
            [StepAck(seq=e.seq, epoch=1) for e in events if e.task_id < "new6"]
        )
        await accept(journal, record("open"))

        async def names() -> set[str]:
            ids = [*(f"old{n}" for n in range(4)), *(f"new{n}" for n in range(8)), "open"]
            return {each for each in ids if await journal.find(each) is not None}

        async with asyncio.timeout(3600):
            while len(kept := await names()) > 5:  # each look is a turn of the journal's thread
                await clock.advance(31.0)
        assert kept == {"new4", "new5", "new6", "new7", "open"}
