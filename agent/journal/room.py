"""How much of the disk the journal takes, and what makes room for a new task."""

from __future__ import annotations

import sqlite3
from typing import Final

from agent.journal.reported import drop_reported
from contract.errors import StorageFullError

_AT_ONCE: Final = 500  # rows


def make_room(db: sqlite3.Connection, keep_bytes: int) -> None:
    """Before a task is taken on: forget tasks that are over and reported, the oldest first, until the journal is below
    its bound. Raises StorageFullError where what is still needed fills it; what was taken on before goes on.
    """
    while _used_bytes(db) >= keep_bytes:
        if not drop_reported(db, _AT_ONCE):
            raise StorageFullError(
                f"The journal holds {keep_bytes // 2**20} MB of tasks that are not reported yet, the most that "
                "[state] journal_max_mb allows: no task is taken on until the cloud has taken some of them."
            )


def _used_bytes(db: sqlite3.Connection) -> int:
    """Of the file; what was deleted is used again and does not count."""
    pages, free, page_bytes = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page_bytes
