"""The journal's tables, how an older file becomes a newer one, and how the file is opened."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from service.files import make_private

Migration = tuple[str, ...]

MIGRATIONS: Final[tuple[Migration, ...]] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        """CREATE TABLE tasks (
            task_id TEXT PRIMARY KEY,
            epoch INTEGER NOT NULL,
            name TEXT NOT NULL,
            params TEXT NOT NULL,
            accepted_at TEXT NOT NULL,
            expires_at TEXT NOT NULL,
            limit_s REAL NOT NULL,
            miner TEXT,
            batch_id TEXT,
            origin TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('accepted', 'intent', 'settled', 'reported')),
            status TEXT,
            intent_at TEXT,
            settled_at TEXT,
            plan TEXT,
            notes TEXT NOT NULL,
            result TEXT
        ) STRICT""",
        "CREATE INDEX tasks_open ON tasks (state) WHERE state <> 'reported'",
        "CREATE INDEX tasks_ended ON tasks (settled_at) WHERE state = 'reported'",
        # AUTOINCREMENT: a number is never used twice, also not after its row is gone.
        """CREATE TABLE outbox (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            task_id TEXT NOT NULL,
            state TEXT NOT NULL,
            at TEXT NOT NULL,
            terminal INTEGER NOT NULL,
            logs TEXT NOT NULL
        ) STRICT""",
    ),
    # The reporter asks which events of one task are still unsent when it is handed out again.
    ("CREATE INDEX outbox_task ON outbox (task_id)",),
    # Why no cloud ever took the outcome of a task that is told no more.
    (
        "ALTER TABLE tasks ADD COLUMN untold TEXT",
        "CREATE INDEX tasks_untold ON tasks (settled_at) WHERE untold IS NOT NULL",
    ),
    # By which begin id a task began, and under which number the cloud has taken its outcome.
    (
        "ALTER TABLE tasks ADD COLUMN begin_id TEXT",
        "ALTER TABLE tasks ADD COLUMN told_seq INTEGER",
        "CREATE INDEX tasks_told ON tasks (told_seq) WHERE told_seq IS NOT NULL",
    ),
    # Its queue life as it is counted; `expires_at` is the same on the wall.
    ("ALTER TABLE tasks ADD COLUMN queue_life TEXT",),
    # When it was reported, in the journal's own time (`age`), which begins now.
    (
        "ALTER TABLE tasks ADD COLUMN reported_s REAL NOT NULL DEFAULT 0",
        "DROP INDEX tasks_ended",
        "CREATE INDEX tasks_reported ON tasks (reported_s) WHERE state = 'reported'",
    ),
)


class JournalTooNewError(Exception):
    """A later version of the agent wrote this journal. Nothing was touched."""


def open_database(
    path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> tuple[sqlite3.Connection, str]:
    """Open or create; bring up to date. Gives the connection and the journal's id.

    Raises JournalTooNewError; OSError; sqlite3.Error, of which SQLITE_CORRUPT and SQLITE_NOTADB mean a damaged file.
    """
    make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        _check(connection)
        migrate(connection, migrations)
        return connection, _journal_id(connection)
    except BaseException:
        connection.close()
        raise


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Take every step not yet taken, each in a transaction of its own."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(migrations):
        raise JournalTooNewError(
            f"The journal is of version {version}, this agent knows {len(migrations)}. Install the newer agent again."
        )
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(str(verdict))


class DamagedError(sqlite3.DatabaseError):
    """`quick_check` found damage."""


def _journal_id(connection: sqlite3.Connection) -> str:
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('journal_id', ?)", (str(uuid.uuid4()),)
    )
    row = connection.execute("SELECT value FROM meta WHERE key = 'journal_id'").fetchone()
    return str(row[0])
