"""What this agent keeps of its ledger on disk: transactions, the subscriptions that follow from them, its nodes.

A transaction is on disk before it is sent: what cannot be written is not sent. A file that is damaged, deleted or
replaced is set aside and a new one begun: what a ledger took is learned from it again, and what was pending then is
settled by nobody's memory, but by that ledger alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent.subscriptions.file import TransactionFile
from agent.subscriptions.ledger import LedgerTransaction, TransactionStatus
from contract.clock import from_text, to_text
from contract.subscription.link import Subscription
from contract.subscription.rules import LedgerOperation, OperationKind

FAILURES_KEPT: Final = (
    1000  # of each ledger, the newest; what was taken or is pending is kept for good
)


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


class TransactionStore(TransactionFile):
    """What its methods say is durable when they return; they raise TransactionStoreError."""

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
        before. A success stays one, whatever is said of it later (but for `revoke`); a failure that the ledger turns
        out to hold is a success.
        """
        if not settled and not learned:
            return
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

    async def taken(
        self, ledger: str, sender: bytes, after: int = 0, *, most: int = -1
    ) -> list[LedgerTransaction]:
        """The successes of one sender with a sequence above `after`, in its order; `most` of them, -1: all."""
        query = (
            "SELECT * FROM ledger_tx WHERE ledger = ? AND status = ? AND sender = ? AND seq > ? "
            "ORDER BY seq LIMIT ?"
        )
        found = await self._all(query, ledger, TransactionStatus.SUCCESS.value, sender, after, most)
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
                "INSERT INTO subscriptions (node_small_id, task_small_id, price_per_compute_unit, "
                "max_num_compute_units, valid, ledger, tx_digest, updated_at) "
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7) "
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
                "INSERT INTO nodes (ledger, node_small_id, badge) VALUES (?, ?, ?)",
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
            lambda db: db.execute(
                "INSERT OR REPLACE INTO notes (key, value) VALUES (?, ?)", (key, value)
            )
        )

    async def noted(self, key: str) -> bytes | None:
        found = await self._all("SELECT value FROM notes WHERE key = ?", key)
        return found[0][0] if found else None


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
        "UPDATE ledger_tx SET status = ?1, abort_code = ?2, settled_at = ?3 WHERE tx_digest = ?4 "
        "AND status <> ?5 AND (status = ?6 OR ?1 = ?5) RETURNING ledger",
        (
            settled.status.value,
            settled.abort_code,
            at,
            settled.tx_digest,
            TransactionStatus.SUCCESS.value,
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
            "INSERT OR REPLACE INTO subscriptions (node_small_id, task_small_id, price_per_compute_unit, "
            "max_num_compute_units, valid, ledger, tx_digest, updated_at) VALUES (?, ?, ?, ?, 1, ?, ?, ?)",
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
    # what a later version of the agent may have added comes after these
    digest, ledger, sender, sequence, kind, payload, signature, status, abort, at, ended = row[1:12]
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
