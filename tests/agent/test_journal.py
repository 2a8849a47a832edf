"""The journal: what is said to be on disk is, once, whatever becomes of the disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.journal import (
    Arrival,
    Journal,
    JournalLockedError,
    JournalTooNewError,
    StepAck,
    TaskRecord,
)
from agent.journal.schema import MIGRATIONS, migrate, open_database
from agent.journal.writer import Job
from agent.settlement import Settlement, failed, succeeded
from agent.states import IllegalMoveError, State
from contract.clock import Clock, SystemClock, to_text
from contract.errors import ErrorCode, StorageFullError
from contract.link import ON_SITE, Arose, Event, LogLine, MinerRef, SiteMiner
from contract.task import Outcome, TaskName, TaskStatus
from drivers.base import Evidence, Plan, Pools, PoolSetting, Reboot
from tests.agent.clock import HandClock, until

ROOT = Path(__file__).resolve().parent.parent.parent
AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PLAN = Plan(change=Reboot(force=True), before={"boot": 1, "rates": [1.5, None]}, data={"n": "ü"})


def record(task_id: str, **more: Any) -> TaskRecord:
    given: dict[str, Any] = {
        "epoch": 1,
        "name": TaskName.REBOOT,
        "params": {"force": True},
        "miner": MinerRef(id="m1", mac="02:00:00:00:00:01"),
        "accepted_at": AT,
        "expires_at": AT + timedelta(days=1),
        "limit_s": 600.0,
    } | more
    return TaskRecord(task_id=task_id, **given)


def done() -> Settlement:
    return succeeded(
        Evidence(
            outcome=Outcome.DONE,
            verified=True,
            before={"boot": 1},
            after={"boot": 2},
            signal="boot",
            seconds=3.0,
        )
    )


@asynccontextmanager
async def opened(
    folder: Path, clock: Clock | None = None, made: type[Journal] = Journal, **more: Any
) -> AsyncIterator[Journal]:
    journal = made(
        folder / "journal.db", clock or SystemClock(), **({"ballast_bytes": 4096} | more)
    )
    await asyncio.wait_for(journal.open(), 10.0)
    try:
        yield journal
    finally:
        await journal.close()


async def accept(journal: Journal, *records: TaskRecord) -> tuple[TaskRecord, ...]:
    return await journal.accept([Arrival(record=each) for each in records], AT)


async def outbox(journal: Journal) -> tuple[Event, ...]:
    return await journal.outbox(1000, 1 << 20)


async def acknowledge(journal: Journal) -> None:
    events = await outbox(journal)
    await journal.acknowledge([StepAck(seq=each.seq, epoch=each.epoch) for each in events])


# --- moves and events ---


async def test_a_task_goes_its_way_and_each_step_is_in_the_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        line = LogLine(at="2026-11-21T12:00:00.000000Z", level="info", message="hello")
        assert await accept(journal, record("t1")) == (record("t1"),)
        await journal.begin("t1", PLAN, AT, [line])
        await journal.note("t1", "outage_at", "later")
        await journal.progress("t1", AT, [line])
        found = (await journal.unfinished())[0]
        assert (found.state, found.plan) == (State.INTENT, PLAN)
        assert found.notes == {
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
        ended = await journal.find("t1")
        assert ended is not None
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
        ended = await journal.find("t1")
        assert ended is not None and ended.intent_at == AT
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
        found = await journal.find("t1")
        assert found is not None and found.state is State.ACCEPTED
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


async def test_each_event_of_a_task_of_the_site_says_what_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        mine = record("t1", origin="rigmonitor", epoch=ON_SITE)
        await accept(journal, mine)
        await journal.begin("t1", PLAN, AT)
        await journal.progress("t1", AT, [])
        await journal.settle(mine, done(), AT)
        events = await outbox(journal)
        assert [each.state for each in events] == ["queuing", "pending", "pending", "succeed"]
        told = Arose(
            name=TaskName.REBOOT,
            params={"force": True},
            miner=SiteMiner(mac="02:00:00:00:00:01"),
            origin="rigmonitor",
            accepted_at=to_text(AT),
        )
        assert {each.epoch for each in events} == {ON_SITE}
        assert [each.arose for each in events] == [told] * 4
        assert "rigmonitor" in events[0].logs[0].message
        await acknowledge(journal)
        assert (await journal.find("t1")).state is State.REPORTED  # type: ignore[union-attr]


async def test_a_task_of_the_site_is_not_the_clouds_to_hand_out_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1", origin="onsite", epoch=ON_SITE), record("t2"))
        assert [each.task_id for each in await journal.open_tasks()] == ["t2"]
        assert [each.arose is None for each in await outbox(journal)] == [False, True]


async def test_what_is_told_of_a_task_of_the_site_has_no_password(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        pool = {"url": "u", "user": "w", "password": "hunter2"}
        mine = record(
            "t1", origin="onsite", epoch=ON_SITE, name=TaskName.POOLS, params={"pools": [pool]}
        )
        await accept(journal, mine)
        await journal.begin("t1", None, AT)
        assert (await journal.find("t1")).params == mine.params  # type: ignore[union-attr]
        for event in await outbox(journal):
            assert event.arose is not None
            assert event.arose.params == {"pools": [{"url": "u", "user": "w"}]}


async def test_one_another_version_wrote_does_not_hold_up_the_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1", origin="onsite", epoch=ON_SITE), record("t2"))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("UPDATE tasks SET name = 'miner.heart.stop' WHERE task_id = 't1'")
        db.commit()
    async with opened(tmp_path) as journal:
        assert [(each.task_id, each.arose) for each in await outbox(journal)] == [
            ("t1", None),
            ("t2", None),
        ]


async def test_without_a_cloud_only_the_newest_of_the_site_wait_to_be_told(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock, keep_untold=10) as journal:
        await accept(journal, record("cloud"))
        await journal.settle(record("cloud"), done(), AT)
        for number in range(20):
            mine = record(f"t{number}", origin="onsite", epoch=ON_SITE)
            await accept(journal, mine)
            await journal.settle(mine, done(), AT)
        await accept(journal, record("open", origin="onsite", epoch=ON_SITE))
        await clock.advance(60.0)
        await until_idle(journal, lambda depth: depth <= 10)
        events = await outbox(journal)
        assert {"cloud", "open", "t19"} <= {each.task_id for each in events}
        first = await journal.find("t0")
        assert first is not None and (first.state, first.status) == (State.REPORTED, "succeed")
        assert first.untold is not None
        assert (await journal.find("t19")).state is State.SETTLED  # type: ignore[union-attr]
        assert (await journal.find("cloud")).state is State.SETTLED  # type: ignore[union-attr]


async def until_idle(journal: Journal, holds: Callable[[int], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds(await journal.depth()):
            pass  # each look is a turn of the journal's thread


async def test_passwords_are_forgotten_with_the_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        change = Pools(pools=(PoolSetting(url="u", user="w", password="hunter2"),))
        params = {"pools": [{"url": "u", "user": "w", "password": "hunter2"}]}
        task = record("t1", name=TaskName.POOLS, params=params)
        await accept(journal, task)
        await journal.begin("t1", Plan(change=change, before={}), AT)
        assert (await journal.find("t1")).plan.change == change  # type: ignore[union-attr]
        await journal.settle(task, done(), AT)
        row = await journal.find("t1")
        assert row is not None and row.plan is None
        assert "hunter2" not in str(row)


# --- handed out again ---


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
        assert await accept(journal, record("t1", epoch=0)) == ()
        assert await outbox(journal) == ()


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


async def test_an_ack_of_an_older_epoch_does_not_end_the_newer(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        await journal.settle(record("t1"), done(), AT)
        sent = await outbox(journal)
        await accept(journal, record("t1", epoch=2))
        await journal.acknowledge([StepAck(seq=each.seq, epoch=1) for each in sent])
        assert [each.epoch for each in await outbox(journal)] == [2, 2]
        assert [each.epoch for each in await journal.open_tasks()] == [2]


# --- numbers, groups, pruning ---


async def test_numbers_rise_across_restarts_though_the_outbox_is_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"), record("t2"))
        await acknowledge(journal)
        name = journal.journal_id
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == (name, 2)
        await accept(journal, record("t3"))
        assert [each.seq for each in await outbox(journal)] == [3]


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
        ended = await journal.find("t1")
        assert ended is not None and ended.state is State.SETTLED


async def test_the_loop_turns_while_a_commit_takes_long(tmp_path: Path) -> None:
    import threading

    held, entered = threading.Event(), threading.Event()

    class Slow(Journal):
        def _commit(self, batch: Sequence[Job]) -> None:
            entered.set()
            assert held.wait(10)
            super()._commit(batch)

    journal = Slow(tmp_path / "journal.db", SystemClock(), ballast_bytes=4096)
    opening = asyncio.create_task(journal.open())
    await until(entered.is_set)
    assert not opening.done()
    beat = journal.heartbeat_mono
    await asyncio.sleep(0.01)
    assert journal.heartbeat_mono == beat  # a writer that stands still can be seen to
    held.set()
    await opening
    await until(lambda: journal.heartbeat_mono > beat)
    await journal.close()


async def test_only_reported_tasks_are_pruned(tmp_path: Path) -> None:
    clock = HandClock()
    async with opened(tmp_path, clock, keep_days=30, keep_rows=5) as journal:
        at = clock.now()
        for number in range(4):
            await accept(journal, record(f"old{number}"))
            await journal.settle(record(f"old{number}"), done(), at - timedelta(days=31))
        await acknowledge(journal)
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

        kept: set[str] = set()
        for _ in range(100):
            await clock.advance(31.0)
            await asyncio.sleep(0.02)
            kept = await names()
            if len(kept) <= 5:
                break
        assert kept == {"new4", "new5", "new6", "new7", "open"}


async def test_the_outbox_is_read_in_bounded_bites(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, *(record(f"t{n}") for n in range(20)))
        assert len(await journal.outbox(7, 1 << 20)) == 7
        assert len(await journal.outbox(100, 1000)) < 20
        assert len(await journal.outbox(100, 1)) == 1


# --- the file ---


async def test_an_older_journal_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, MIGRATIONS[:1])
    old.execute("INSERT INTO meta VALUES ('journal_id', 'the-old-one')")
    old.execute(
        "INSERT INTO tasks VALUES ('t1', 1, 'miner.light.update', '{}', ?, ?, 60.0, NULL, NULL, "
        "'cloud', 'accepted', NULL, NULL, NULL, NULL, '{}', NULL)",
        ("2026-11-21T12:00:00.000000Z", "2026-11-22T12:00:00.000000Z"),
    )
    old.execute("INSERT INTO outbox VALUES (41, 't1', 'queuing', '', 0, '[]')")
    assert old.execute("PRAGMA user_version").fetchone()[0] == 1
    old.close()
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == ("the-old-one", 41)
        assert [each.task_id for each in await journal.unfinished()] == ["t1"]
    again = sqlite3.connect(path)
    assert again.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    names = {row[0] for row in again.execute("SELECT name FROM sqlite_master")}
    again.close()
    assert "outbox_task" in names


def test_a_migration_that_breaks_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    open_database(path)[0].close()
    broken = (*MIGRATIONS, ("CREATE TABLE half (x INTEGER) STRICT", "SELECT * FROM nowhere"))
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        open_database(path, broken)
    connection, _ = open_database(path)
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    connection.close()
    assert "half" not in names


async def test_tasks_this_version_cannot_read_are_ended_and_hold_up_no_start(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, *(record(each) for each in ("name", "begun", "plan", "good")))
        for each in ("begun", "plan"):
            await journal.begin(each, PLAN, AT)
        await acknowledge(journal)
    connection = sqlite3.connect(tmp_path / "journal.db")
    with connection:
        connection.execute("UPDATE tasks SET name = 'miner.fly' WHERE task_id = 'name'")
        connection.execute("UPDATE tasks SET miner = '{\"id\": 7}' WHERE task_id = 'begun'")
        connection.execute(
            'UPDATE tasks SET plan = \'{"change": {"change": "fly"}}\' WHERE task_id = \'plan\''
        )
    connection.close()
    async with opened(tmp_path) as journal:
        left = {each.task_id: each for each in await journal.unfinished()}
        assert set(left) == {"plan", "good"}
        assert left["plan"].plan is None
        ends = {each.task_id: each.result for each in await outbox(journal)}
        assert {key: value and value["outcome"] for key, value in ends.items()} == {
            "name": "not_done",
            "begun": "unknown",
        }


async def test_a_journal_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        name = journal.journal_id
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    journal = Journal(tmp_path / "journal.db", SystemClock(), ballast_bytes=4096)
    with pytest.raises(JournalTooNewError, match="newer agent"):
        await journal.open()
    await journal.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    assert connection.execute("SELECT value FROM meta").fetchone()[0] == name
    connection.close()


async def test_two_agents_do_not_share_a_journal(tmp_path: Path) -> None:
    async with opened(tmp_path):
        other = Journal(tmp_path / "journal.db", SystemClock(), ballast_bytes=4096)
        with pytest.raises(JournalLockedError, match="Another agent"):
            await other.open()
        await other.close()
    async with opened(tmp_path):
        pass


async def test_opening_twice_is_opening_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.open()
        await accept(journal, record("t1"))
        await journal.close()


async def test_a_damaged_journal_is_kept_aside_and_another_begun(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        name = journal.journal_id
    path = tmp_path / "journal.db"
    path.write_bytes(os.urandom(path.stat().st_size))
    async with opened(tmp_path) as journal:
        assert journal.journal_id != name
        assert journal.mishap is not None and "damaged" in journal.mishap
        assert await journal.unfinished() == ()
        await accept(journal, record("t2"))
    assert len(list(tmp_path.glob("journal.db.damaged-*Z"))) == 1


async def test_damage_inside_a_good_file_is_found_at_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, *(record(f"t{n}") for n in range(200)))
        name = journal.journal_id
    path = tmp_path / "journal.db"
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 8192 - 4096)
    path.write_bytes(data)
    async with opened(tmp_path) as journal:
        assert journal.journal_id != name


async def test_only_the_latest_damaged_journals_are_kept(tmp_path: Path) -> None:
    for _ in range(6):
        (tmp_path / "journal.db").write_bytes(b"this is no database" * 300)
        async with opened(tmp_path):
            pass
    assert len(list(tmp_path.glob("journal.db.damaged-*Z"))) == 3


async def test_damage_under_a_running_agent_loses_no_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, *(record(f"t{n}", params={"pad": "x" * 3000}) for n in range(2000)))
        await journal.begin("t1999", PLAN, AT)
        name = journal.journal_id
        path = tmp_path / "journal.db"
        other = sqlite3.connect(path)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        settled = asyncio.gather(
            *(journal.settle(record(f"t{n}"), done(), AT) for n in range(0, 2000, 7))
        )
        await asyncio.wait_for(settled, 20.0)
        assert journal.journal_id != name
        assert journal.mishap is not None
        ended = await journal.find("t1995")
        assert ended is not None and ended.state is State.SETTLED
        with pytest.raises(StorageFullError):
            await journal.begin("t2", PLAN, AT)


@pytest.mark.parametrize("victim", ["journal.db", "journal.db-wal", "journal.db*", "folder"])
async def test_a_deleted_journal_is_put_back_with_all_it_held(tmp_path: Path, victim: str) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with opened(folder) as journal:
        await accept(journal, record("t1"))
        name = journal.journal_id
        if victim == "folder":
            shutil.rmtree(folder)
        else:
            for path in folder.glob(victim):
                path.unlink()
        await journal.begin("t1", PLAN, AT)
        copy = sqlite3.connect(folder / "journal.db")
        assert copy.execute("SELECT state FROM tasks").fetchall() == [("intent",)]
        copy.close()
        assert journal.mishap is not None
    async with opened(folder) as journal:
        assert journal.journal_id == name
        assert (await journal.unfinished())[0].state is State.INTENT


async def test_a_journal_replaced_by_another_is_put_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        name = journal.journal_id
        (tmp_path / "other").write_bytes(b"an older backup")
        (tmp_path / "other").replace(tmp_path / "journal.db")
        await journal.begin("t1", PLAN, AT)
        assert journal.journal_id == name
    async with opened(tmp_path) as journal:
        assert (await journal.unfinished())[0].state is State.INTENT
    assert len(list(tmp_path.glob("journal.db.foreign-*Z"))) == 1


async def test_a_job_given_up_while_queued_is_not_begun(tmp_path: Path) -> None:
    import threading

    held = threading.Event()

    class Slow(Journal):
        def _turn(self, batch: list[Job]) -> None:
            if batch and not held.is_set():
                held.wait(10)
            super()._turn(batch)

    journal = Slow(tmp_path / "journal.db", SystemClock(), ballast_bytes=4096)
    held.set()
    await journal.open()
    await accept(journal, record("t1"), record("t2"))
    held.clear()
    first = asyncio.create_task(journal.begin("t1", PLAN, AT))
    second = asyncio.create_task(journal.begin("t2", PLAN, AT))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    held.set()
    await first
    assert (await journal.find("t2")).state is State.ACCEPTED  # type: ignore[union-attr]
    await journal.close()


# --- disks that fail ---


def play(scene: str, folder: Path) -> dict[str, Any]:
    """A scene on a little disk of its own. Needs user namespaces, as CI has."""
    able = subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True)
    if able.returncode:
        if os.environ.get("MINER_AGENT_REQUIRE_ALL") == "1":
            pytest.fail(f"no mount namespaces: {able.stderr!r}")
        pytest.skip("needs unshare and user namespaces")
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -m tests.agent.bad_disk "$3" "$1"'
    command = ["unshare", "-Urm", "sh", "-ec", script, "sh", str(folder), sys.executable, scene]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return seen


def test_on_a_full_disk_running_tasks_settle_and_none_begins_until_it_has_room(
    tmp_path: Path,
) -> None:
    seen = play("full", tmp_path)
    assert "free some space" in seen["trouble"]
    assert seen["refused"] == ["failed", "storage_full", []]
    assert seen["settled"] == ["succeed", ["Reboot"]]
    assert seen["room"] == 0
    assert seen["trouble"] in seen["notices"]
    assert seen["recovered"] == ["succeed", ["Reboot"], None]
    assert seen["same_journal"] is True
    assert seen["kept"] == "succeed"


def test_on_a_read_only_disk_the_agent_waits_and_goes_on_by_itself(tmp_path: Path) -> None:
    seen = play("read_only", tmp_path)
    assert "cannot be written" in seen["trouble"]
    assert seen["claims"] == 0
    assert seen["state"] == "succeed"
