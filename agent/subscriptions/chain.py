"""The chain of a node's key, as this agent holds it: its head, the next entry, and whether entries told by the cloud
follow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.subscriptions.key import LedgerKey
from agent.subscriptions.ledger import LedgerTransaction, TransactionStatus
from agent.subscriptions.store import NodeOperation, SettledTransaction
from contract.subscription.entry import (
    NO_ENTRY,
    LedgerEntry,
    chain_hash,
    decode_entry,
    digest_of,
    is_signed,
    sign,
)
from contract.subscription.link import SignedEntry
from contract.subscription.rules import LedgerOperation, OperationKind

LOCAL: Final = "local"


class ForkError(Exception):
    """The cloud holds another chain than this agent, and neither follows the other. The message is for a person."""

    def __init__(self, found: str) -> None:
        super().__init__(
            f"{found}; this agent, or another with a copy of its disk, signed something else since: begin a new chain "
            "with miner-agent subscription register --new-key (subscriptions stay as the control plane has them)"
        )


@dataclass(frozen=True)
class Head:
    """The last entry of a chain; of none: `sequence` 0."""

    sequence: int = 0
    hash: bytes = NO_ENTRY
    ledger_id: str | None = None


def head_of(last: LedgerTransaction | None) -> Head:
    """The head, from the success with the highest sequence."""
    if last is None or last.sequence is None:
        return Head()
    return Head(last.sequence, chain_hash(last.payload), decode_entry(last.payload).ledger_id)


def next_entry(
    key: LedgerKey,
    head: Head,
    operation: LedgerOperation,
    *,
    ledger_id: str,
    node_small_id: int,
    at: datetime,
) -> LedgerTransaction:
    """The signed entry that would follow, still to be sent."""
    data = LedgerEntry(
        ledger_id=ledger_id,
        sequence=head.sequence + 1,
        previous=head.hash,
        badge=key.badge,
        node_small_id=node_small_id,
        operations=(operation,),
        at_ms=max(0, int(at.timestamp() * 1000)),
    ).encode()
    return LedgerTransaction(
        tx_digest=digest_of(data),
        ledger=LOCAL,
        kind=operation.kind,
        status=TransactionStatus.PENDING,
        created_at=at,
        payload=data,
        signature=sign(key.private, data),
        sequence=head.sequence + 1,
        sender=key.badge,
    )


def signed(transaction: LedgerTransaction) -> SignedEntry:
    """As it is sent."""
    return SignedEntry(data=transaction.payload, signature=transaction.signature)


def following(
    key: LedgerKey, head: Head, entries: Iterable[SignedEntry], at: datetime
) -> list[LedgerTransaction]:
    """Entries that the cloud tells of, as they follow the head one after the other. Raises ForkError for one that does
    not, or that this key never signed.
    """
    found: list[LedgerTransaction] = []
    sequence, previous = head.sequence, head.hash
    for each in entries:
        try:
            entry = decode_entry(each.data)
        except ValueError as error:
            raise ForkError(f"the control plane holds what is no entry ({error})") from None
        sequence += 1
        place = (entry.sequence, entry.previous, entry.badge)
        if place != (sequence, previous, key.badge) or head.ledger_id not in (
            None,
            entry.ledger_id,
        ):
            raise ForkError(f"entry {sequence} of the control plane does not follow ours")
        if not is_signed(key.public, each.data, each.signature):
            raise ForkError(f"entry {sequence} of the control plane is not signed by our key")
        previous = chain_hash(each.data)
        found.append(
            LedgerTransaction(
                tx_digest=digest_of(each.data),
                ledger=LOCAL,
                kind=entry.operations[0].kind,
                status=TransactionStatus.PENDING,
                created_at=at,
                payload=each.data,
                signature=each.signature,
                sequence=sequence,
                sender=key.badge,
            )
        )
    return found


def taken(transaction: LedgerTransaction, node_small_id: int | None) -> SettledTransaction:
    """It is a success, and what it changes. `node_small_id`: of the node, where the entry asked for one."""
    entry = decode_entry(transaction.payload)
    node = entry.node_small_id or node_small_id or 0
    return SettledTransaction(
        transaction.tx_digest,
        TransactionStatus.SUCCESS,
        operations=tuple(
            NodeOperation(node, each)
            for each in entry.operations
            if each.kind not in (OperationKind.REGISTER, OperationKind.VOID)
        ),
    )


def refused(transaction: LedgerTransaction, abort_code: int | None = None) -> SettledTransaction:
    """It never counts."""
    return SettledTransaction(transaction.tx_digest, TransactionStatus.FAILURE, abort_code)
