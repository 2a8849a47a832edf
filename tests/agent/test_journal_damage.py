"""A journal whose file is damaged, deleted or replaced: what is said to be on disk is, once."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.states import State
from contract.errors import StorageFullError
from tests.agent.journal import AT, PLAN, accept, done, found, opened, record


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
