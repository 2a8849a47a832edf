"""What other ledgers took, as agents announce it: mirrored beside the local ledger, and in force instead of it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from cloud.store.engine import Store
from cloud.store.growth import Growth
from cloud.store.schema.rows import AgentRow, NodeRow
from cloud.store.schema.tables import ledger_entries
from cloud.store.subscriptions import nodes
from cloud.store.subscriptions.catalogue import CLASSES_MAX
from cloud.store.subscriptions.ledger import RevokedError
from cloud.store.subscriptions.nodes import NodeKey, Stated
from contract.subscription.link import AnnouncedOperation, Announcement
from contract.subscription.rules import OperationKind, Terms

NODES_MAX: Final = 64  # of one agent in one ledger


class TooManyNodesError(Exception):
    """An agent says that it is more nodes than one may be."""


async def announce(
    store: Store, agent: AgentRow, message: Announcement, now: datetime, growth: Growth
) -> int:
    """The number of the last announcement that was taken; durable when this returns. Raises TooMuchError, RevokedError
    and TooManyNodesError; nothing has been changed then.
    """
    async with store.write() as connection:
        if not await nodes.is_enrolled(connection, agent.id):
            raise RevokedError
        known = {
            row.node_small_id: row
            for row in await nodes.nodes_of(connection, agent.id, message.ledger)
        }
        last = max((row.head_sequence for row in known.values()), default=0)
        if message.sequence <= last:
            return last
        growth.check_entries(agent.id)
        named = {each.node_small_id for each in message.operations}
        if len(named | known.keys()) > NODES_MAX:
            raise TooManyNodesError
        taken = await connection.scalar(
            sa.select(ledger_entries.c.id).where(
                ledger_entries.c.agent_id == agent.id,
                ledger_entries.c.tx_digest == message.tx_digest,
            )
        )
        if taken is None:
            await connection.execute(
                ledger_entries.insert().values(
                    workspace_id=agent.workspace_id,
                    agent_id=agent.id,
                    ledger=message.ledger,
                    sequence=message.sequence,
                    tx_digest=message.tx_digest,
                    data=msgspec.json.encode(message),
                    taken_at=now,
                )
            )
        for small_id in sorted(named):
            row = known.get(small_id) or _new(agent, message.ledger, small_id, now)
            await nodes.keep_head(
                connection, msgspec.structs.replace(row, head_sequence=message.sequence)
            )
        if taken is None:
            for small_id, stated in _stated(message).items():
                key = NodeKey(agent.id, message.ledger, small_id)
                await nodes.keep(connection, key, stated, now)
    growth.add_entries(agent.id, 1)
    return message.sequence


def _stated(message: Announcement) -> dict[int, dict[int, Stated]]:
    """By node and class, what holds after it. Numbers that no class of work can have are left out."""
    found: dict[int, dict[int, Stated]] = defaultdict(dict)
    for each in message.operations:
        stated = found[each.node_small_id]
        if each.kind in (OperationKind.REGISTER, OperationKind.VOID):
            continue
        if 1 <= each.task_small_id <= CLASSES_MAX:
            stated[each.task_small_id] = Stated(
                terms=_terms(each), sequence=message.sequence, tx_digest=message.tx_digest
            )
    return found


def _terms(each: AnnouncedOperation) -> Terms | None:
    if each.kind is OperationKind.UNSUBSCRIBE:
        return None
    return Terms(each.price_per_compute_unit, each.max_num_compute_units)


def _new(agent: AgentRow, ledger: str, small_id: int, now: datetime) -> NodeRow:
    return NodeRow(
        agent_id=agent.id,
        ledger=ledger,
        node_small_id=small_id,
        workspace_id=agent.workspace_id,
        public_key=None,
        badge=None,
        head_sequence=0,
        head=None,
        created_at=now,
    )
