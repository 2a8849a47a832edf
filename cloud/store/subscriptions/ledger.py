"""The local ledger as the cloud keeps it: entries that agents signed, taken by the rules in the order of a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks
from cloud.store.growth import Growth
from cloud.store.schema.rows import AgentRow, NodeRow
from cloud.store.schema.tables import ledger_entries
from cloud.store.subscriptions import catalogue, nodes
from cloud.store.subscriptions.nodes import LOCAL, NodeKey, Stated
from contract.subscription.entry import (
    NO_ENTRY,
    LedgerEntry,
    badge_of,
    chain_hash,
    decode_entry,
    digest_of,
    is_signed,
)
from contract.subscription.ids import SMALL_MAX
from contract.subscription.link import (
    ENTRIES_MOST,
    EntryResult,
    EntryState,
    LedgerReply,
    LedgerRequest,
    LedgerState,
    SignedEntry,
)
from contract.subscription.rules import Book, OperationKind, Terms, applied, judge


class RevokedError(Exception):
    """The agent was revoked while it called."""


@dataclass(frozen=True)
class OpenedEntry:
    """One entry of a request; `entry` None: it is none, of another badge, or not signed by this key."""

    signed: SignedEntry
    tx_digest: str
    entry: LedgerEntry | None


@dataclass
class _Chain:
    """That of the key that signed, as it grows."""

    agent: AgentRow
    public_key: bytes
    badge: bytes
    node: NodeRow | None  # of this agent, whoever's key it has
    is_ours: bool  # the node has this key
    is_closed: bool  # the key was given up for another one, or is that of another agent
    known: set[str]  # digests
    book: Book
    stated: dict[int, Stated] = field(default_factory=dict)
    taken: list[OpenedEntry] = field(default_factory=list)

    @property
    def sequence(self) -> int:
        return self.node.head_sequence if self.node is not None and self.is_ours else 0

    @property
    def head(self) -> bytes | None:
        return self.node.head if self.node is not None and self.is_ours else None


def opened(request: LedgerRequest) -> list[OpenedEntry]:
    """Decode the entries and check their signatures. Takes a tenth of a millisecond for each."""
    badge = badge_of(request.public_key)
    found = []
    for each in request.entries:
        try:
            entry = decode_entry(each.data)
        except ValueError:
            entry = None
        if entry is not None and not (
            entry.badge == badge
            and _is_small(entry)
            and is_signed(request.public_key, each.data, each.signature)
        ):
            entry = None
        found.append(OpenedEntry(each, digest_of(each.data), entry))
    return found


async def record(
    store: Store,
    agent: AgentRow,
    public_key: bytes,
    entries: Sequence[OpenedEntry],
    now: datetime,
    growth: Growth,
) -> LedgerReply:
    """Take them in order, as far as they follow one another and the rules take them; durable when this returns. Raises
    TooMuchError, and RevokedError; nothing has been changed then.
    """
    async with store.write() as connection:
        if not await nodes.is_enrolled(connection, agent.id):
            raise RevokedError
        chain = await _chain(connection, agent, public_key, entries)
        if any(each.tx_digest not in chain.known for each in entries):
            growth.check_entries(agent.id)
        results: list[EntryResult] = []
        for each in entries:
            if results and results[-1].state is not EntryState.SUCCESS:
                results.append(EntryResult(tx_digest=each.tx_digest, state=EntryState.GAP))
            else:
                results.append(await _take(connection, chain, each, now))
        if chain.taken:
            await _keep(connection, chain, now)
    growth.add_entries(agent.id, len(chain.taken))
    is_known = chain.node is not None and chain.is_ours
    return LedgerReply(
        results=tuple(results),
        node_small_id=chain.node.node_small_id if chain.node is not None and is_known else None,
        head_sequence=chain.sequence,
        head=chain.head,
    )


async def state_of(store: Store, agent: AgentRow, after: int) -> LedgerState:
    """What is held of the agent's node, and the catalogue of its workspace."""
    async with store.read() as connection:
        tasks = tuple(
            catalogue.task_class_of(row)
            for row in await catalogue.all_of(connection, agent.workspace_id)
        )
        found = await nodes.nodes_of(connection, agent.id, LOCAL)
        if not found:
            return LedgerState(ledger_id=agent.workspace_id, tasks=tasks)
        node = found[0]
        query = (
            sa.select(ledger_entries.c.data, ledger_entries.c.signature)
            .where(
                ledger_entries.c.workspace_id == agent.workspace_id,
                ledger_entries.c.badge == node.badge,
                ledger_entries.c.sequence > after,
            )
            .order_by(ledger_entries.c.sequence)
            .limit(ENTRIES_MOST)
        )
        entries = [
            SignedEntry(data=row.data, signature=row.signature)
            for row in await connection.execute(query)
        ]
        taken = await nodes.subscriptions_of(connection, agent.id, LOCAL)
        return LedgerState(
            ledger_id=agent.workspace_id,
            node_small_id=node.node_small_id,
            public_key=node.public_key,
            head_sequence=node.head_sequence,
            head=node.head,
            entries=tuple(entries),
            tasks=tasks,
            subscriptions=tuple(nodes.subscription_of(row) for row in taken),
        )


async def _chain(
    connection: AsyncConnection,
    agent: AgentRow,
    public_key: bytes,
    entries: Sequence[OpenedEntry],
) -> _Chain:
    badge = badge_of(public_key)
    found = await nodes.nodes_of(connection, agent.id, LOCAL)
    node = found[0] if found else None
    is_ours = node is not None and node.public_key == public_key
    of_badge = sa.select(ledger_entries.c.id).where(
        ledger_entries.c.workspace_id == agent.workspace_id, ledger_entries.c.badge == badge
    )
    is_closed = not is_ours and await connection.scalar(of_badge.limit(1)) is not None
    known: set[str] = set()
    for some in chunks([each.tx_digest for each in entries]):
        query = sa.select(ledger_entries.c.tx_digest).where(
            ledger_entries.c.agent_id == agent.id, ledger_entries.c.tx_digest.in_(some)
        )
        known.update(await connection.scalars(query))
    classes = await catalogue.all_of(connection, agent.workspace_id)
    taken = await nodes.subscriptions_of(connection, agent.id, LOCAL)
    book = Book(
        tasks=frozenset(row.task_small_id for row in classes),
        deprecated=frozenset(row.task_small_id for row in classes if row.deprecated_at),
        subscribed={
            row.task_small_id: Terms(row.price, row.max_units) for row in taken if row.valid
        },
    )
    return _Chain(agent, public_key, badge, node, is_ours, is_closed, known, book)


async def _take(
    connection: AsyncConnection, chain: _Chain, each: OpenedEntry, now: datetime
) -> EntryResult:
    """What becomes of one entry; one that is taken has moved the chain on."""
    if each.tx_digest in chain.known:
        return EntryResult(tx_digest=each.tx_digest, state=EntryState.SUCCESS)
    entry = each.entry
    refusal = _refusal(chain, entry)
    if refusal is not None or entry is None:
        return EntryResult(tx_digest=each.tx_digest, state=refusal or EntryState.INVALID)
    book, stated = chain.book, dict(chain.stated)
    for operation in entry.operations:
        abort = judge(operation, book)
        if abort is not None:
            return EntryResult(
                tx_digest=each.tx_digest, state=EntryState.ABORTED, abort_code=abort.code
            )
        book = applied(operation, book)
        if operation.task_small_id and operation.kind is not OperationKind.VOID:
            is_over = operation.kind is OperationKind.UNSUBSCRIBE
            stated[operation.task_small_id] = Stated(
                terms=None if is_over else operation.terms,
                sequence=entry.sequence,
                tx_digest=each.tx_digest,
            )
    if chain.node is None:
        small_id = await nodes.next_small_id(connection, chain.agent.workspace_id)
        created_at = now
    else:
        small_id, created_at = chain.node.node_small_id, chain.node.created_at
    chain.node = NodeRow(
        agent_id=chain.agent.id,
        ledger=LOCAL,
        node_small_id=small_id,
        workspace_id=chain.agent.workspace_id,
        public_key=chain.public_key,
        badge=chain.badge,
        head_sequence=entry.sequence,
        head=chain_hash(each.signed.data),
        created_at=created_at,
    )
    chain.is_ours, chain.book, chain.stated = True, book, stated
    chain.known.add(each.tx_digest)
    chain.taken.append(each)
    return EntryResult(tx_digest=each.tx_digest, state=EntryState.SUCCESS)


def _refusal(chain: _Chain, entry: LedgerEntry | None) -> EntryState | None:
    """Why it is no entry that could come next; None where it is."""
    if entry is None or entry.ledger_id != chain.agent.workspace_id or chain.is_closed:
        return EntryState.INVALID
    if entry.sequence > chain.sequence + 1:
        return EntryState.GAP
    if entry.sequence <= chain.sequence or entry.previous != (chain.head or NO_ENTRY):
        return EntryState.CONFLICT
    kinds = {operation.kind for operation in entry.operations}
    if entry.sequence == 1:
        registers = kinds == {OperationKind.REGISTER} and len(entry.operations) == 1
        return None if registers and entry.node_small_id == 0 else EntryState.INVALID
    is_ours = chain.node is not None and entry.node_small_id == chain.node.node_small_id
    return None if is_ours and OperationKind.REGISTER not in kinds else EntryState.INVALID


async def _keep(connection: AsyncConnection, chain: _Chain, now: datetime) -> None:
    node = chain.node
    assert node is not None  # an entry was taken
    await connection.execute(
        ledger_entries.insert(),
        [
            {
                "workspace_id": chain.agent.workspace_id,
                "agent_id": chain.agent.id,
                "ledger": LOCAL,
                "badge": chain.badge,
                "sequence": each.entry.sequence,
                "tx_digest": each.tx_digest,
                "data": each.signed.data,
                "signature": each.signed.signature,
                "taken_at": now,
            }
            for each in chain.taken
            if each.entry is not None
        ],
    )
    await nodes.keep_head(connection, node)
    await nodes.keep(
        connection, NodeKey(node.agent_id, node.ledger, node.node_small_id), chain.stated, now
    )


def _is_small(entry: LedgerEntry) -> bool:
    """Whether all its numbers are such as a column holds."""
    numbers = [entry.sequence, entry.node_small_id, entry.at_ms]
    for each in entry.operations:
        numbers += (each.task_small_id, each.terms.price, each.terms.max_units)
    return max(numbers) <= SMALL_MAX
