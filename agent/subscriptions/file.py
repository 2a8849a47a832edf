"""The file under a ledger's store, on a disk that may fill up, fail, or be tampered with."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from agent.journal.disk import Presence, Trouble, is_damage, set_aside, trouble_of
from agent.journal.schema import DamagedError
from contract.clock import Clock
from service.files import make_private

_WAIT_S: Final = 5.0  # for another process that reads the file
_T = TypeVar("_T")
_TROUBLES: Final = {
    Trouble.FULL: "the disk of the agent's state folder is full: free some space",
    Trouble.READ_ONLY: "the agent's state folder cannot be written: check its mount and owner",
    Trouble.FAILING: "the disk of the agent's state folder gives errors: check it",
}
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ledger_tx (
    number INTEGER PRIMARY KEY AUTOINCREMENT, tx_digest TEXT NOT NULL UNIQUE, ledger TEXT NOT NULL, sender BLOB,
    seq INTEGER, kind INTEGER NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL, status TEXT NOT NULL,
    abort_code INTEGER, created_at TEXT NOT NULL, settled_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS ledger_tx_status ON ledger_tx (ledger, status, number);
CREATE TABLE IF NOT EXISTS subscriptions (
    node_small_id INTEGER NOT NULL, task_small_id INTEGER NOT NULL, price_per_compute_unit INTEGER NOT NULL,
    max_num_compute_units INTEGER NOT NULL, valid INTEGER NOT NULL, ledger TEXT NOT NULL, tx_digest TEXT,
    updated_at TEXT NOT NULL, PRIMARY KEY (ledger, node_small_id, task_small_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS nodes (
    ledger TEXT NOT NULL, node_small_id INTEGER NOT NULL, badge BLOB NOT NULL, PRIMARY KEY (ledger, node_small_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"""


log: Any = structlog.get_logger(__name__)


class TransactionStoreError(Exception):
    """It is not on disk. The message says what is wrong with the disk, and what to do."""


class TransactionFile:
    """`subscriptions.db`, made when it is first used. Base of the store."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="subscriptions")
        self._db: sqlite3.Connection | None = None
        self._presence: Presence | None = None
        self.mishap: str | None = None  # what happened to an earlier file, for the operator

    async def open(self) -> None:
        """Raises TransactionStoreError."""
        await self._do(lambda _db: None)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _all(self, query: str, *values: object) -> list[Any]:
        return await self._do(lambda db: db.execute(query, values).fetchall())

    async def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, work)

    # --- in the thread ---

    def _commit(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """One transaction. Raises TransactionStoreError."""
        try:
            db = self._database()
            with db:
                db.execute("BEGIN IMMEDIATE")
                return work(db)
        except (sqlite3.Error, OSError) as error:
            self._close()
            if is_damage(error):
                self._set_aside("damaged", error)
                raise TransactionStoreError(
                    "the file of the subscriptions was damaged; a new one was begun: try again"
                ) from None
            said = _TROUBLES[trouble_of(error)]
            log.warning("subscriptions.disk", error=str(error), fix=said)
            raise TransactionStoreError(said) from None

    def _database(self) -> sqlite3.Connection:
        if self._db is not None and self._presence is not None and not self._presence.intact():
            # what would be written now would be gone with this process
            self._close()
            self.mishap = "subscriptions.db was deleted or replaced under the running agent."
            log.error("subscriptions.replaced", path=str(self._path))
        if self._db is None:
            try:
                self._db = _open(self._path)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._set_aside("damaged", error)
                self._db = _open(self._path)
            self._presence = Presence(self._path)
        return self._db

    def _set_aside(self, word: str, error: Exception) -> None:
        try:
            aside = set_aside(self._path, self._clock.now(), word)
        except OSError as again:
            raise TransactionStoreError(_TROUBLES[trouble_of(again)]) from None
        self.mishap = f"subscriptions.db was damaged and is kept as {aside.name}; a new one was begun. Check the disk."
        log.error("subscriptions.damaged", error=str(error), kept_as=aside.name)

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def _open(path: Path) -> sqlite3.Connection:
    """Raises sqlite3.Error, OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA journal_size_limit = 1048576")
        verdict = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        if verdict != "ok":
            raise DamagedError(verdict)
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db
