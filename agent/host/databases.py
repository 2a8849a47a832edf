"""Files of SQLite that another process may have open: read, and looked over. Nothing is written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


def file_trouble(path: Path) -> str | None:
    """What is wrong with a SQLite file, or `None`. Only reads; the file may be in use."""
    try:
        with reading_of(path) as db:
            word = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    return None if word == "ok" else f"damaged: {word}"


@contextmanager
def reading_of(path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file that another process may have open. Raises sqlite3.Error."""
    try:
        is_file = path.is_file()  # a pipe would be waited for
    except OSError:
        is_file = False
    if not is_file:
        raise sqlite3.OperationalError("it is no file")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=5)) as db:
        yield db
