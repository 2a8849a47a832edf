"""A journal opened again: by a later run, by another version, by two agents at once."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from agent.journal import Journal, JournalVersionError
from agent.journal.file import JournalFile
from agent.journal.migrations import MIGRATIONS, NEWEST, READS
from agent.journal.schema import (
    JournalTooNewError,
    JournalTooOldError,
    migrate,
    open_database,
    schema_of,
)
from agent.journal.states import State
from service.files import FolderLockedError
from tests.agent.clock import SettableClock
from tests.agent.journals import (
    AT,
    PLAN,
    accept,
    acknowledge,
    done,
    found,
    hold_back,
    opened,
    outbox,
    record,
)
from tests.virtual_time import loop_clock
from tests.waiting import until


async def test_numbers_rise_across_restarts_though_the_outbox_is_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"), record("t2"))
        await acknowledge(journal)
        name = journal.journal_id
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == (name, 2)
        await accept(journal, record("t3"))
        assert [each.seq for each in await outbox(journal)] == [3]


def tables(path: Path) -> tuple[int, set[str]]:
    """The version of a journal, and how its tables and indexes were made."""
    with closing(sqlite3.connect(path)) as db:
        return schema_of(db), {str(row[0]) for row in db.execute("SELECT sql FROM sqlite_master")}


def tables_after(steps: int) -> tuple[int, set[str]]:
    """The same of a new journal with so many of the steps."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:steps])
        return steps, {str(row[0]) for row in db.execute("SELECT sql FROM sqlite_master")}


async def test_each_works_on_tables_that_the_release_before_knows_until_it_is_proven(
    tmp_path: Path, schema: int
) -> None:
    path = tmp_path / "journal.db"
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
        assert tables(path) == tables_after(schema)
    async with opened(tmp_path) as journal:
        assert [each.task_id for each in await journal.unfinished()] == ["t1"]
        assert tables(path) == tables_after(schema)


async def test_the_step_that_was_put_off_is_taken_soon_after_the_proof_and_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof: list[str] = []
    monkeypatch.setattr(JournalFile, "_may_step", lambda _: bool(proof))
    path, clock = tmp_path / "journal.db", SettableClock()
    async with opened(tmp_path, clock, keep_days=1) as journal:
        await accept(journal, record("t1"), record("t2"))
        await journal.settle(record("t1"), done(), AT)
        await acknowledge(journal)
        await clock.advance(3 * 86_400.0)
        await journal.note("t2", "still", "here")
        assert tables(path)[0] == NEWEST - 1
        proof.append("the link leads here")
        await clock.advance(60.0)
        await until(lambda: tables(path) == tables_after(NEWEST))
        assert (await found(journal, "t1")).state is State.REPORTED, "its age is counted from now"
        await journal.settle(record("t2"), done(), AT)
        await acknowledge(journal)
        await clock.advance(2 * 86_400.0)

        async def forgotten() -> bool:
            return await journal.find("t1") is None and await journal.find("t2") is None

        await until(forgotten)


async def test_the_step_that_was_put_off_is_taken_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    hold_back(monkeypatch)
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"))
    monkeypatch.setattr(JournalFile, "_may_step", lambda _: True)
    async with opened(tmp_path) as journal:
        assert tables(path) == tables_after(NEWEST)
        assert [each.task_id for each in await journal.unfinished()] == ["t1"]


@pytest.mark.parametrize("version", range(1, NEWEST + 2))
def test_without_proof_a_journal_is_worked_on_exactly_where_the_bundle_says_so(
    version: int, tmp_path: Path
) -> None:
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, MIGRATIONS[:version])
        db.execute(f"PRAGMA user_version = {version}")
    before = tables(path)
    with ExitStack() as stack:
        if version not in READS:
            stack.enter_context(pytest.raises(JournalVersionError))
        open_database(path, may_step=False)[0].close()
    assert tables(path) == before


def oldest_journal(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, MIGRATIONS[:1])
    old.execute("INSERT INTO meta VALUES ('journal_id', 'the-old-one')")
    old.execute(
        "INSERT INTO tasks VALUES ('t1', 1, 'miner.light.update', '{}', ?, ?, 60.0, NULL, NULL, "
        "'cloud', 'accepted', NULL, NULL, NULL, NULL, '{}', NULL)",
        ("2026-11-21T12:00:00.000000Z", "2026-11-22T12:00:00.000000Z"),
    )
    old.execute(
        "INSERT INTO tasks VALUES ('t0', 1, 'miner.light.update', '{}', ?, ?, 60.0, NULL, NULL, "
        "'cloud', 'reported', 'succeed', ?, ?, NULL, '{}', '{}')",
        ("2000-01-01T00:00:00.000000Z",) * 4,
    )
    old.execute("INSERT INTO outbox VALUES (41, 't1', 'queuing', '', 0, '[]')")
    assert old.execute("PRAGMA user_version").fetchone()[0] == 1
    old.close()


async def test_an_older_journal_is_brought_up_to_date_by_who_may(
    tmp_path: Path, schema: int
) -> None:
    path = tmp_path / "journal.db"
    oldest_journal(path)
    before = tables(path)
    if schema < NEWEST:
        journal = Journal(path, loop_clock(), ballast_bytes=4096)
        with pytest.raises(JournalTooOldError, match="release in between"):
            await journal.open()
        await journal.close()
        assert tables(path) == before
        return
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == ("the-old-one", 41)
        assert [each.task_id for each in await journal.unfinished()] == ["t1"]
        assert await journal.find("t0") is not None, "its age is counted from now on"
    assert tables(path) == tables_after(NEWEST)


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
    journal = Journal(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    with pytest.raises(JournalTooNewError, match="newer agent"):
        await journal.open()
    await journal.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    assert connection.execute("SELECT value FROM meta").fetchone()[0] == name
    connection.close()


async def test_two_agents_do_not_share_a_journal(tmp_path: Path) -> None:
    async with opened(tmp_path):
        other = Journal(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
        with pytest.raises(FolderLockedError, match="Another agent"):
            await other.open()
        await other.close()
    async with opened(tmp_path):
        pass


async def test_opening_twice_is_opening_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.open()
        await accept(journal, record("t1"))
        await journal.close()
