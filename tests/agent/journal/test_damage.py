"""A journal whose file is damaged, deleted or replaced: what is said to be on disk is, once."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from agent.journal.states import State
from contract.errors import StorageFullError
from tests.agent.clock import SettableClock
from tests.agent.journals import AT, PLAN, accept, done, found, opened, record


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


async def test_only_the_latest_damaged_journals_are_kept_wherever_the_wall_clock_is_set(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    (tmp_path / "journal.db.damaged-20360101T000000000000Z").touch()  # of an older version
    for number in range(6):
        (tmp_path / "journal.db").write_bytes(b"%d is no database" % number * 300)
        async with opened(tmp_path, clock):
            clock.step(timedelta(days=-3650 if number % 2 else 2))
    kept = sorted(tmp_path.glob("journal.db.damaged-*Z"))
    assert [each.read_bytes()[:1] for each in kept] == [b"3", b"4", b"5"]


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
        assert (await found(journal, "t1995")).state is State.SETTLED
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
