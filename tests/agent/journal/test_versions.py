"""A journal opened again: by a later run, by another version, by two agents at once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.journal import Journal, JournalTooNewError
from agent.journal.schema import MIGRATIONS, migrate, open_database
from service.files import FolderLockedError
from tests.agent.journals import AT, PLAN, accept, acknowledge, opened, outbox, record
from tests.virtual_time import loop_clock


async def test_numbers_rise_across_restarts_though_the_outbox_is_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1"), record("t2"))
        await acknowledge(journal)
        name = journal.journal_id
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == (name, 2)
        await accept(journal, record("t3"))
        assert [each.seq for each in await outbox(journal)] == [3]


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
    old.execute(
        "INSERT INTO tasks VALUES ('t0', 1, 'miner.light.update', '{}', ?, ?, 60.0, NULL, NULL, "
        "'cloud', 'reported', 'succeed', ?, ?, NULL, '{}', '{}')",
        ("2000-01-01T00:00:00.000000Z",) * 4,
    )
    old.execute("INSERT INTO outbox VALUES (41, 't1', 'queuing', '', 0, '[]')")
    assert old.execute("PRAGMA user_version").fetchone()[0] == 1
    old.close()
    async with opened(tmp_path) as journal:
        assert (journal.journal_id, journal.last_seq) == ("the-old-one", 41)
        assert [each.task_id for each in await journal.unfinished()] == ["t1"]
        assert await journal.find("t0") is not None, "its age is counted from now on"
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
