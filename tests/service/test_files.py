from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.files import FolderLock, FolderLockedError, make_private, write_whole

_BEGIN = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _generous_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_file_is_written_whole_or_what_was_before_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"of before, and longer")
    path.chmod(0o666)
    write_whole(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    write_whole(path, b"for all", mode=0o644)
    assert (path.read_bytes(), mode(path)) == (b"for all", 0o644)
    (tmp_path / "x.json.new").mkdir()  # stands for a disk that takes nothing
    with pytest.raises(OSError, match=r"x\.json\.new"):
        write_whole(path, b"lost")
    assert path.read_bytes() == b"for all"


def test_a_database_and_its_companions_are_their_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    path = tmp_path / "x.db"
    make_private(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t (x)")
        db.commit()
        assert {each.name: mode(each) for each in tmp_path.iterdir()} == {
            "x.db": 0o600,
            "x.db-wal": 0o600,
            "x.db-shm": 0o600,
        }
    db.close()


def test_one_that_others_could_read_is_shut_and_keeps_its_content(tmp_path: Path) -> None:
    for name in ("x.db", "x.db-wal"):
        (tmp_path / name).write_bytes(b"data")
        (tmp_path / name).chmod(0o664)
    make_private(tmp_path / "x.db")
    assert mode(tmp_path / "x.db") == mode(tmp_path / "x.db-wal") == 0o600
    assert (tmp_path / "x.db").read_bytes() == b"data"


def test_locks_that_sqlite_holds_in_this_process_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    make_private(path)
    # locks of POSIX only show to another process
    tried = subprocess.run(
        [sys.executable, "-c", _BEGIN, str(path)], capture_output=True, text=True, check=False
    )
    assert "database is locked" in tried.stderr
    holder.close()


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    first, second = (FolderLock(tmp_path / "lock", "stop the other one") for _ in range(2))
    first.take()
    first.take()
    with pytest.raises(FolderLockedError, match=rf"stop the other one \(process {os.getpid()}\)"):
        second.take()
    first.release()
    second.take()
    assert mode(tmp_path / "lock") == 0o600
    second.release()


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("of somebody else")
    (tmp_path / "x.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic link"):
        FolderLock(tmp_path / "x.lock", "stop the other one").take()
    assert precious.read_text() == "of somebody else"
