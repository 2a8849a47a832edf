"""What this agent keeps of its ledger on disk: transactions, the subscriptions that follow from them, its nodes.

A transaction is on disk before it is sent: what cannot be written is not sent. A file that is damaged, deleted or
replaced is set aside and a new one begun: what a ledger took is learned from it again, and what was pending then is
settled by nobody's memory, but by that ledger alone.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from agent.journal.disk import Presence, Trouble, is_damage, set_aside, trouble_of
from agent.journal.schema import DamagedError
from agent.subscriptions.ledger import LedgerTransaction, TransactionStatus
from contract.clock import Clock, from_text, to_text
from contract.subscription.link import Subscription
from contract.subscription.rules import LedgerOperation, OperationKind
from service.files import make_private

FAILURES_KEPT: Final = (
    1000  # of each ledger, the newest; what was taken or is pending is kept for good
)
_WAIT_S: Final = 5.0  # for another process that reads the file
_T = TypeVar("_T")

log: Any = structlog.get_logger(__name__)
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


class TransactionStoreError(Exception):
    """It is not on disk. The message says what is wrong with the disk, and what to do."""


@dataclass(frozen=True)
class NodeOperation:
    """What one node asked for, as part of a transaction."""

    node_small_id: int
    operation: LedgerOperation


@dataclass(frozen=True)
class SettledTransaction:
    """What became of a transaction. `operations` change the subscriptions where it was a success."""

    tx_digest: str
    status: TransactionStatus
    abort_code: int | None = None
    operations: tuple[NodeOperation, ...] = ()


class TransactionStore:
    """`subscriptions.db`. What its methods say is durable when they return; they raise TransactionStoreError."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="subscriptions")
        self._db: sqlite3.Connection | None = None
        self._presence: Presence | None = None
        self.mishap: str | None = None  # what happened to an earlier file, for the operator

    async def open(self) -> None:
        await self._do(lambda _db: None)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def add(self, transaction: LedgerTransaction) -> None:
        """Keep one that is about to be sent, or that a ledger told of. One that is kept already stays as it is."""
        await self._do(lambda db: _insert(db, (transaction,)))

    async def add_again(self, transaction: LedgerTransaction) -> None:
        """As `add`, but one that is kept as a failure is pending again: what was not sent may be asked for once more in
        the very same bytes.
        """

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "DELETE FROM ledger_tx WHERE tx_digest = ? AND status = ?",
                (transaction.tx_digest, TransactionStatus.FAILURE.value),
            )
            _insert(db, (transaction,))

        await self._do(work)

    async def settle(
        self, settled: Sequence[SettledTransaction], *, learned: Sequence[LedgerTransaction] = ()
    ) -> None:
        """What became of transactions, all at once, in this order. `learned`: those among them that were not kept
        before. One that is settled already stays as it is; `revoke` alone changes that.
        """
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> None:
            _insert(db, learned)
            for each in settled:
                _settle(db, each, now)
            for ledger in {each.ledger for each in learned} or _ledgers(db, settled):
                _drop_failures(db, ledger)

        await self._do(work)

    async def revoke(self, settled: Sequence[SettledTransaction]) -> None:
        """These were a success, and are a failure now: the ledger lost them and does not take them again. What they did
        to subscriptions stays until `mirror`.
        """
        now = to_text(self._clock.now())
        rows = [(each.status.value, each.abort_code, now, each.tx_digest) for each in settled]

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE ledger_tx SET status = ?, abort_code = ?, settled_at = ? WHERE tx_digest = ?",
                rows,
            )

        await self._do(work)

    async def transaction(self, tx_digest: str) -> LedgerTransaction | None:
        found = await self._all("SELECT * FROM ledger_tx WHERE tx_digest = ?", tx_digest)
        return _transaction(found[0]) if found else None

    async def pending(self, ledger: str) -> list[LedgerTransaction]:
        """Those of which nobody knows yet what became of them, the oldest first."""
        query = "SELECT * FROM ledger_tx WHERE ledger = ? AND status = ? ORDER BY number"
        found = await self._all(query, ledger, TransactionStatus.PENDING.value)
        return [_transaction(each) for each in found]

    async def taken(self, ledger: str, sender: bytes, after: int = 0) -> list[LedgerTransaction]:
        """The successes of one sender with a sequence above `after`, in its order."""
        query = (
            "SELECT * FROM ledger_tx WHERE ledger = ? AND status = ? AND sender = ? AND seq > ? "
            "ORDER BY seq"
        )
        found = await self._all(query, ledger, TransactionStatus.SUCCESS.value, sender, after)
        return [_transaction(each) for each in found]

    async def last_taken(self, ledger: str, sender: bytes) -> LedgerTransaction | None:
        """The success of one sender with the highest sequence."""
        query = (
            "SELECT * FROM ledger_tx WHERE ledger = ? AND status = ? AND sender = ? AND seq IS NOT NULL "
            "ORDER BY seq DESC LIMIT 1"
        )
        found = await self._all(query, ledger, TransactionStatus.SUCCESS.value, sender)
        return _transaction(found[0]) if found else None

    async def subscriptions(self, ledger: str) -> list[Subscription]:
        """Of all nodes, by node and class of work."""
        found = await self._all(
            "SELECT node_small_id, task_small_id, price_per_compute_unit, max_num_compute_units, valid "
            "FROM subscriptions WHERE ledger = ? ORDER BY node_small_id, task_small_id",
            ledger,
        )
        return [
            Subscription(
                node_small_id=node,
                task_small_id=task,
                price_per_compute_unit=price,
                max_num_compute_units=most,
                valid=bool(valid),
            )
            for node, task, price, most, valid in found
        ]

    async def mirror(self, ledger: str, node_small_id: int, rows: Iterable[Subscription]) -> None:
        """These are all subscriptions of this node, by the authority; what is so already keeps its digest."""
        told = [each for each in rows if each.node_small_id == node_small_id]
        now = to_text(self._clock.now())

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO subscriptions VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7) "
                "ON CONFLICT (ledger, node_small_id, task_small_id) DO UPDATE SET "
                "price_per_compute_unit = ?3, max_num_compute_units = ?4, valid = ?5, tx_digest = NULL, "
                "updated_at = ?7 "
                "WHERE (price_per_compute_unit, max_num_compute_units, valid) <> (?3, ?4, ?5)",
                [
                    (
                        node_small_id,
                        each.task_small_id,
                        each.price_per_compute_unit,
                        each.max_num_compute_units,
                        int(each.valid),
                        ledger,
                        now,
                    )
                    for each in told
                ],
            )
            kept = {each.task_small_id for each in told}
            held = db.execute(
                "SELECT task_small_id FROM subscriptions WHERE ledger = ? AND node_small_id = ?",
                (ledger, node_small_id),
            ).fetchall()
            db.executemany(
                "DELETE FROM subscriptions WHERE ledger = ? AND node_small_id = ? AND task_small_id = ?",
                [(ledger, node_small_id, task) for (task,) in held if task not in kept],
            )

        await self._do(work)

    async def nodes(self, ledger: str) -> dict[int, bytes]:
        """The registered nodes: small id and badge."""
        query = "SELECT node_small_id, badge FROM nodes WHERE ledger = ? ORDER BY node_small_id"
        return dict(await self._all(query, ledger))

    async def keep_nodes(self, ledger: str, nodes: Mapping[int, bytes]) -> None:
        """These are all registered nodes; subscriptions of others go."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM nodes WHERE ledger = ?", (ledger,))
            db.executemany(
                "INSERT INTO nodes VALUES (?, ?, ?)",
                [(ledger, node, badge) for node, badge in nodes.items()],
            )
            db.execute(
                "DELETE FROM subscriptions WHERE ledger = ?1 AND node_small_id NOT IN "
                "(SELECT node_small_id FROM nodes WHERE ledger = ?1)",
                (ledger,),
            )

        await self._do(work)

    async def note(self, key: str, value: bytes) -> None:
        """Keep a small thing of a ledger: its catalogue, how far it has told of itself."""
        await self._do(
            lambda db: db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))
        )

    async def noted(self, key: str) -> bytes | None:
        found = await self._all("SELECT value FROM notes WHERE key = ?", key)
        return found[0][0] if found else None

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


def _insert(db: sqlite3.Connection, transactions: Iterable[LedgerTransaction]) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO ledger_tx (tx_digest, ledger, sender, seq, kind, payload, signature, status, "
        "abort_code, created_at, settled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                each.tx_digest,
                each.ledger,
                each.sender,
                each.sequence,
                int(each.kind),
                each.payload,
                each.signature,
                each.status.value,
                each.abort_code,
                to_text(each.created_at),
                None if each.settled_at is None else to_text(each.settled_at),
            )
            for each in transactions
        ],
    )


def _settle(db: sqlite3.Connection, settled: SettledTransaction, now: datetime) -> None:
    at = to_text(now)
    row = db.execute(
        "UPDATE ledger_tx SET status = ?, abort_code = ?, settled_at = ? WHERE tx_digest = ? AND status = ? "
        "RETURNING ledger",
        (
            settled.status.value,
            settled.abort_code,
            at,
            settled.tx_digest,
            TransactionStatus.PENDING.value,
        ),
    ).fetchone()
    if row is not None and settled.status is TransactionStatus.SUCCESS:
        for each in settled.operations:
            _apply(db, each, str(row[0]), settled.tx_digest, at)


def _apply(db: sqlite3.Connection, each: NodeOperation, ledger: str, digest: str, at: str) -> None:
    task, terms = each.operation.task_small_id, each.operation.terms
    if each.operation.kind in (OperationKind.SUBSCRIBE, OperationKind.UPDATE):
        db.execute(
            "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
            (each.node_small_id, task, terms.price, terms.max_units, ledger, digest, at),
        )
    elif each.operation.kind is OperationKind.UNSUBSCRIBE:
        db.execute(
            "UPDATE subscriptions SET valid = 0, tx_digest = ?, updated_at = ? "
            "WHERE ledger = ? AND node_small_id = ? AND task_small_id = ?",
            (digest, at, ledger, each.node_small_id, task),
        )


def _ledgers(db: sqlite3.Connection, settled: Iterable[SettledTransaction]) -> set[str]:
    found = (
        db.execute("SELECT ledger FROM ledger_tx WHERE tx_digest = ?", (each.tx_digest,)).fetchone()
        for each in settled
    )
    return {str(row[0]) for row in found if row is not None}


def _drop_failures(db: sqlite3.Connection, ledger: str) -> None:
    db.execute(
        "DELETE FROM ledger_tx WHERE ledger = ?1 AND status = ?2 AND number <= (SELECT number FROM ledger_tx "
        "WHERE ledger = ?1 AND status = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
        (ledger, TransactionStatus.FAILURE.value, FAILURES_KEPT),
    )


def _transaction(row: Sequence[Any]) -> LedgerTransaction:
    digest, ledger, sender, sequence, kind, payload, signature, status, abort, at, ended = row[1:]
    return LedgerTransaction(
        tx_digest=digest,
        ledger=ledger,
        sender=sender,
        sequence=sequence,
        kind=OperationKind(kind),
        payload=payload,
        signature=signature,
        status=TransactionStatus(status),
        abort_code=abort,
        created_at=from_text(at),
        settled_at=None if ended is None else from_text(ended),
    )
