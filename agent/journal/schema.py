"""The journal's file: how it is opened, and how an older one becomes a newer one."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

from agent.journal.migrations import MIGRATIONS, Migration
from service.files import make_private


class JournalVersionError(Exception):
    """Not a journal that this agent may work on. Nothing was touched."""


class JournalTooNewError(JournalVersionError):
    """A later version of the agent wrote this journal."""


class JournalTooOldError(JournalVersionError):
    """To work on it, an agent that is not proven yet would bring it so far forward that the release before could not
    read it any more.
    """


def open_database(
    path: Path, migrations: Sequence[Migration] = MIGRATIONS, *, may_step: bool = True
) -> tuple[sqlite3.Connection, str]:
    """Open or create; bring up to date as `migrate` does. Gives the connection and the journal's id.

    Raises JournalVersionError; OSError; sqlite3.Error, of which SQLITE_CORRUPT and SQLITE_NOTADB mean a damaged file.
    """
    make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        _check(connection)
        migrate(connection, migrations, may_step=may_step)
        return connection, _journal_id(connection)
    except BaseException:
        connection.close()
        raise


def schema_of(connection: sqlite3.Connection) -> int:
    """How many steps it has taken; 0 of a file that was just made."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(
    connection: sqlite3.Connection,
    migrations: Sequence[Migration] = MIGRATIONS,
    *,
    may_step: bool = True,
) -> None:
    """Take every step not yet taken, all of them or none. Without `may_step` none: a new file is made as the one before
    the newest, so that the release before can read it.

    Raises JournalVersionError.
    """
    version, newest = schema_of(connection), len(migrations)
    if version > newest:
        raise JournalTooNewError(
            f"The journal is of version {version}, this agent knows {newest}. Install the newer agent again."
        )
    if may_step:
        _take(connection, migrations, version, newest)
    elif version == 0:
        _take(connection, migrations, version, newest - 1)
    elif version < newest - 1:
        raise JournalTooOldError(
            f"The journal is of version {version}, and this agent, which is not proven yet, works on {newest - 1} and "
            f"{newest}. Install a release in between first."
        )


def _take(
    connection: sqlite3.Connection, migrations: Sequence[Migration], version: int, until: int
) -> None:
    if version == until:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[version:until]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {until}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk ends it by itself
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
