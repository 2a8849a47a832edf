"""Copies of the stores of an agent that may be running, in a folder that only its user can look into, for as long as
they are needed. The stores themselves are only read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from agent.host.databases import reading_of
from agent.selftest.failure import CheckFailedError
from service.files import make_private

_FOLDER: Final = "self-test-"
_AT_A_TIME: Final = 4096  # pages: an agent that writes meanwhile is not kept waiting for the whole
# Of room that has to be free: each copy is brought forward, which may take as much again, and the agent goes on.
_TIMES: Final = 2
_LEFT_BYTES: Final = 16 * 2**20


@contextmanager
def private_folder(state: Path) -> Iterator[Path]:
    """Below the folder of state, where there is room if anywhere; it goes in the end. Raises OSError."""
    clear_left(state)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=state))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_left(state: Path) -> None:
    """Take away what a self-test left that was killed."""
    for left in state.glob(f"{_FOLDER}*"):
        pid = left.name.removeprefix(_FOLDER).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)


def check_room(state: Path, sizes: Iterable[int]) -> str:
    """That copies of stores of those sizes have room; in words. Raises CheckFailedError, OSError."""
    needed = sum(sizes) * _TIMES + _LEFT_BYTES
    disk = os.statvfs(state)
    free = disk.f_bavail * disk.f_frsize
    if free < needed:
        raise CheckFailedError(
            f"the disk of {state} has {free // 2**20} MB left, and {-(-needed // 2**20)} MB are needed to try copies: "
            "free some space"
        )
    return f"{free // 2**20} MB are free on the disk of {state}"


def size_of(store: Path) -> int:
    """With what SQLite has not moved into it yet; 0 where there is none. Raises OSError."""
    size = 0
    for each in (store, store.with_name(f"{store.name}-wal")):
        try:
            size += each.stat().st_size
        except FileNotFoundError:
            continue
    return size


def copy_whole(store: Path, to: Path) -> None:
    """As it is at one moment. Raises CheckFailedError."""
    make_private(to)
    try:
        with reading_of(store) as source, closing(sqlite3.connect(to)) as copy:
            source.execute("BEGIN")  # else what is written meanwhile begins it again and again
            source.backup(copy, pages=_AT_A_TIME)
    except sqlite3.Error as error:
        raise CheckFailedError(f"{store} cannot be read: {error}") from None


def copy_start(store: Path, to: Path, table: str, key: str, rows: int) -> None:
    """All tables, but rows of that one alone, and only the first by its key. Raises CheckFailedError."""
    make_private(to)
    try:
        with reading_of(store) as source, closing(sqlite3.connect(to)) as copy, copy:
            for (statement,) in source.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            ):
                copy.execute(statement)
            found = source.execute(
                f"SELECT * FROM {table} ORDER BY {key} LIMIT ?",  # noqa: S608 - our own words
                (rows,),
            )
            marks = ", ".join("?" for _ in found.description)
            copy.executemany(f"INSERT INTO {table} VALUES ({marks})", found)  # noqa: S608 - our own words
    except sqlite3.Error as error:
        raise CheckFailedError(f"{store} cannot be read: {error}") from None
