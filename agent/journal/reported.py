"""Tasks that are over and reported: marked as such, and forgotten, the oldest first."""

from __future__ import annotations

import math
import sqlite3
from typing import Final

from agent.journal.migrations import KEEPS_TIME
from agent.journal.schema import schema_of

_MARK: Final = (
    "UPDATE tasks SET state = 'reported', reported_s = :now_s, untold = :untold, told_seq = :told_seq "
    "WHERE task_id = :task_id"
)
_MARK_WITHOUT_TIME: Final = (
    "UPDATE tasks SET state = 'reported', untold = :untold, told_seq = :told_seq "
    "WHERE task_id = :task_id"
)
_DROP: Final = (
    "DELETE FROM tasks WHERE rowid IN (SELECT rowid FROM tasks WHERE state = 'reported' "
    "AND reported_s < ? ORDER BY reported_s, rowid LIMIT ?)"
)
_DROP_WITHOUT_TIME: Final = (
    "DELETE FROM tasks WHERE rowid IN (SELECT rowid FROM tasks WHERE state = 'reported' "
    "AND 0 < ? ORDER BY rowid LIMIT ?)"
)


def mark_reported(
    db: sqlite3.Connection,
    task_id: str,
    now_s: float,
    *,
    untold: str | None = None,
    told_seq: int | None = None,
) -> None:
    """The cloud has its outcome, under that number, or never takes it. `now_s` is the journal's own time."""
    values = {"task_id": task_id, "now_s": now_s, "untold": untold, "told_seq": told_seq}
    db.execute(_MARK if schema_of(db) >= KEEPS_TIME else _MARK_WITHOUT_TIME, values)


def drop_reported(db: sqlite3.Connection, most: int, *, before_s: float = math.inf) -> int:
    """Forget the oldest tasks that are over and were reported before that moment of the journal's own time; gives how
    many. A journal that keeps no time yet has its first moment for each.
    """
    statement = _DROP if schema_of(db) >= KEEPS_TIME else _DROP_WITHOUT_TIME
    return db.execute(statement, (before_s, most)).rowcount
