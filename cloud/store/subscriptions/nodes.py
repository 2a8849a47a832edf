"""Agents as nodes: which ones there are, what they take, and which of that is in force."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.rows import NodeRow, SubscriptionRow, read_row, read_rows
from cloud.store.schema.tables import agents, nodes, subscriptions
from contract.subscription.link import Subscription
from contract.subscription.rules import Terms

LOCAL: Final = "local"


class NodeKey(msgspec.Struct, frozen=True):
    """One node of one agent."""

    agent_id: str
    ledger: str
    node_small_id: int

    def is_of(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Of a table with these three columns: rows of this node."""
        return sa.and_(*(table.c[name] == value for name, value in self.columns().items()))

    def columns(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says of one class of work. `terms` None: those before stay, and are no longer valid."""

    terms: Terms | None
    sequence: int
    tx_digest: str


async def is_enrolled(connection: AsyncConnection, agent_id: str) -> bool:
    """Whether the agent was not revoked meanwhile."""
    query = sa.select(agents.c.id).where(agents.c.id == agent_id, agents.c.revoked_at.is_(None))
    return await connection.scalar(query) is not None


async def nodes_of(connection: AsyncConnection, agent_id: str, ledger: str) -> list[NodeRow]:
    """Of the local ledger an agent has one at most."""
    query = (
        sa.select(nodes)
        .where(nodes.c.agent_id == agent_id, nodes.c.ledger == ledger)
        .order_by(nodes.c.node_small_id)
    )
    return read_rows(NodeRow, await connection.execute(query))


async def next_small_id(connection: AsyncConnection, workspace_id: str) -> int:
    """For a node of the local ledger."""
    query = sa.select(sa.func.max(nodes.c.node_small_id)).where(
        nodes.c.workspace_id == workspace_id, nodes.c.ledger == LOCAL
    )
    return (await connection.scalar(query) or 0) + 1


async def subscriptions_of(
    connection: AsyncConnection, agent_id: str, ledger: str
) -> list[SubscriptionRow]:
    """By node and class, those that are no longer valid too."""
    query = (
        sa.select(subscriptions)
        .where(subscriptions.c.agent_id == agent_id, subscriptions.c.ledger == ledger)
        .order_by(subscriptions.c.node_small_id, subscriptions.c.task_small_id)
    )
    return read_rows(SubscriptionRow, await connection.execute(query))


def subscription_of(row: SubscriptionRow) -> Subscription:
    """As the link carries it."""
    return Subscription(
        node_small_id=row.node_small_id,
        task_small_id=row.task_small_id,
        price_per_compute_unit=row.price,
        max_num_compute_units=row.max_units,
        valid=row.valid,
    )


async def keep(
    connection: AsyncConnection, node: NodeKey, stated: Mapping[int, Stated], now: datetime
) -> None:
    """Write what entries said of classes of work, and put it in force: what another ledger said of this agent is not
    any more. Inside the transaction that keeps the entries.
    """
    for task_small_id, each in stated.items():
        values: dict[str, Any] = {
            "valid": each.terms is not None,
            "sequence": each.sequence,
            "tx_digest": each.tx_digest,
            "updated_at": now,
        }
        if each.terms is not None:
            values |= {"price": each.terms.price, "max_units": each.terms.max_units}
        changed = await connection.execute(
            subscriptions.update()
            .where(node.is_of(subscriptions), subscriptions.c.task_small_id == task_small_id)
            .values(**values)
        )
        if not changed.rowcount and each.terms is not None:
            await connection.execute(
                subscriptions.insert().values(
                    **node.columns(), task_small_id=task_small_id, in_force=False, **values
                )
            )
    await _put_in_force(connection, node.agent_id, node.ledger)


async def _put_in_force(connection: AsyncConnection, agent_id: str, ledger: str) -> None:
    """Of each class of work one row: of several nodes the first that takes it."""
    chosen: dict[int, SubscriptionRow] = {}
    for row in await subscriptions_of(connection, agent_id, ledger):
        before = chosen.get(row.task_small_id)
        if before is None or (row.valid and not before.valid):
            chosen[row.task_small_id] = row
    mine = subscriptions.c.agent_id == agent_id
    found = read_rows(
        SubscriptionRow,
        await connection.execute(
            sa.select(subscriptions).where(mine, subscriptions.c.in_force == sa.true())
        ),
    )
    wanted = list(chosen.values())
    changes = [(row, False) for row in found if row not in wanted]
    changes += [(row, True) for row in wanted if not row.in_force]
    for row, in_force in changes:
        key = NodeKey(row.agent_id, row.ledger, row.node_small_id)
        await connection.execute(
            subscriptions.update()
            .where(key.is_of(subscriptions), subscriptions.c.task_small_id == row.task_small_id)
            .values(in_force=in_force)
        )


async def node_of(connection: AsyncConnection, node: NodeKey) -> NodeRow | None:
    query = sa.select(nodes).where(node.is_of(nodes))
    return read_row(NodeRow, await connection.execute(query))


async def keep_head(connection: AsyncConnection, row: NodeRow) -> None:
    """The node as it is now; made where it is new."""
    values = msgspec.structs.asdict(row)
    key = NodeKey(row.agent_id, row.ledger, row.node_small_id)
    changed = await connection.execute(nodes.update().where(key.is_of(nodes)).values(**values))
    if not changed.rowcount:
        await connection.execute(nodes.insert().values(**values))
