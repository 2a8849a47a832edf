"""How much of the disk the journal may take: what is over makes room, what is not over stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.journal.states import State
from agent.journal.writer import Need
from contract.errors import StorageFullError
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, found, opened, record

KB = 1024
HEAVY = {"pools": [{"url": "u", "user": "x" * 30 * KB}]}


def size_bytes(folder: Path) -> int:
    return (folder / "journal.db").stat().st_size


async def test_tasks_that_are_over_make_room_for_new_ones(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_bytes=512 * KB) as journal:
        for number in range(60):
            task = record(f"t{number}", params=HEAVY)
            assert await accept(journal, task)
            await journal.settle(task, done(), AT)
            await acknowledge(journal)
        assert await journal.find("t0") is None
        assert (await found(journal, "t59")).state is State.REPORTED
    assert size_bytes(tmp_path) < 1024 * KB


async def test_at_its_bound_no_task_is_taken_on_and_what_runs_is_settled(tmp_path: Path) -> None:
    async with opened(tmp_path, keep_bytes=512 * KB) as journal:
        taken = [record(f"t{number}", params=HEAVY) for number in range(30)]
        with pytest.raises(StorageFullError, match="journal_max_mb"):
            for task in taken:
                await accept(journal, task)
        held = await journal.unfinished()
        assert 10 < len(held) < 25
        await journal.begin("t0", PLAN, AT)
        for task in held:
            await journal.settle(task, done(), AT)
        with pytest.raises(StorageFullError):
            await accept(journal, record("new"))
        await acknowledge(journal)
        assert await accept(journal, record("new"))
        assert journal.trouble is None, "the disk is well"


async def test_no_look_that_a_claim_or_a_report_takes_reads_every_task(tmp_path: Path) -> None:
    """A journal remembers 100,000 of them."""
    said: list[str] = []
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal._submit(lambda db: db.set_trace_callback(said.append), Need.LOOK)
        await journal.told_seq()
        await journal.open_tasks()
        await journal.unreported()
        await journal.find("t1")
        await journal.outbox(10, 1000)
        await acknowledge(journal)
        await journal._submit(lambda db: db.set_trace_callback(None), Need.LOOK)
        looks = [each for each in said if each.startswith("SELECT")]
        assert len(looks) > 5
        for look in looks:
            plan = await journal._submit(
                lambda db, look=look: db.execute(f"EXPLAIN QUERY PLAN {look}").fetchall(), Need.LOOK
            )
            steps = [str(row["detail"]) for row in plan]
            reads_all = [each for each in steps if "tasks" in each and "USING" not in each]
            assert not reads_all, (look, steps)
