"""Dispatch that obeys subscriptions: what a claim of an agent may lease, and the stacks that its work becomes.

A stack is made in the transaction that leases the first of its tasks, by a statement that judges each of them, under
the terms of that moment. Its tasks are a commitment from then on: they go out as there is room, whatever is subscribed
to by then. Stacks of one batch at one agent come one after another.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.rows import AgentRow, read_rows
from cloud.store.schema.tables import agents, stacks, tasks
from cloud.store.subscriptions.judged import (
    AGENT,
    COMMITTED,
    FARM,
    PLAIN,
    WORKSPACE,
    Condition,
    judged,
    waiting,
)

ROOM: Final = sa.bindparam("of_room", type_=sa.Integer)
_CLOUD_S: Final = sa.bindparam("of_cloud_s", type_=sa.Float)
_BATCH: Final = sa.bindparam("of_batch", type_=sa.String)
_CLASS: Final = sa.bindparam("of_class", type_=sa.BigInteger)
_MOST: Final = sa.bindparam("of_most", type_=sa.BigInteger)
_STACK: Final = sa.bindparam("of_stack", type_=sa.BigInteger)


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one batch and one class that may go to an agent, and what it takes them for."""

    batch_id: str
    task_small_id: int
    units: int
    ledger: str
    node_small_id: int
    price: int
    max_units: int
    sequence: int
    tx_digest: str


# Of a task: it waits for this agent, or for any of its farm.
QUEUED: Final[tuple[Condition, ...]] = (
    tasks.c.farm_id == FARM,
    sa.or_(tasks.c.agent_id == AGENT, tasks.c.agent_id.is_(None)),
    tasks.c.ended_at.is_(None),
    tasks.c.held == sa.false(),
    tasks.c.journal_id.is_(None),
    tasks.c.queue_expires_cloud_s > _CLOUD_S,
)
IS_ENROLLED: Final = sa.exists().where(agents.c.id == AGENT, agents.c.revoked_at.is_(None))
IS_KNOWN: Final = tasks.c.name.in_(sa.bindparam("of_names", expanding=True))


def given(
    agent: AgentRow, cloud_s: float, knows: Collection[str], *, room: int = 1
) -> dict[str, Any]:
    """What the statements with these conditions are executed with. `knows`: the names of tasks that the agent knows."""
    return {
        AGENT.key: agent.id,
        FARM.key: agent.farm_id,
        WORKSPACE.key: agent.workspace_id,
        _CLOUD_S.key: cloud_s,
        "of_names": list(knows),
        ROOM.key: room,
    }


_ALL: Final = judged(waiting(AGENT, *QUEUED, IS_KNOWN))
_OF_BATCH: Final = judged(waiting(AGENT, *QUEUED, IS_KNOWN, tasks.c.batch_id == _BATCH))


def _busy() -> sa.Select[Any]:
    """Batches of which this agent has something that has not ended."""
    other = tasks.alias()
    return sa.select(other.c.batch_id).where(
        other.c.farm_id == FARM,
        other.c.ended_at.is_(None),
        other.c.held == sa.false(),
        other.c.agent_id == AGENT,
        other.c.batch_id.is_not(None),
        sa.or_(other.c.stack_id.is_not(None), other.c.journal_id.is_not(None)),
    )


_IS_FREE: Final = sa.and_(_ALL.c.reason.is_(None), _ALL.c.ledger.is_(None))
_IS_DUE: Final = sa.and_(
    _ALL.c.reason.is_(None), _ALL.c.ledger.is_not(None), _ALL.c.batch_id.not_in(_busy())
)
# Of a task that waits: it may be leased as it is.
MAY_BE_LEASED: Final = sa.or_(
    PLAIN, COMMITTED, tasks.c.id.in_(sa.select(_ALL.c.id).where(_IS_FREE))
)
# The same, or it may be once a stack is made of it.
MAY_GO: Final = sa.or_(
    PLAIN, COMMITTED, tasks.c.id.in_(sa.select(_ALL.c.id).where(sa.or_(_IS_FREE, _IS_DUE)))
)

_DUE: Final = (
    sa.select(*(_ALL.c[name] for name in _Due.__struct_fields__))
    .where(_IS_DUE, IS_ENROLLED)
    .group_by(_ALL.c.batch_id, _ALL.c.task_small_id)
    .order_by(sa.func.min(_ALL.c.created_at), sa.func.min(_ALL.c.id))
    .limit(ROOM)
)
_COMMIT: Final = (
    tasks.update()
    .where(
        tasks.c.id.in_(
            sa.select(_OF_BATCH.c.id)
            .where(
                _OF_BATCH.c.reason.is_(None),
                _OF_BATCH.c.ledger.is_not(None),
                _OF_BATCH.c.task_small_id == _CLASS,
            )
            .order_by(_OF_BATCH.c.created_at, _OF_BATCH.c.id)
            .limit(_MOST)
        )
    )
    .values(stack_id=_STACK, agent_id=AGENT)
)


async def make_stacks(
    connection: AsyncConnection, agent: AgentRow, now: datetime, values: dict[str, Any]
) -> bool:
    """Of what waits for this agent under a subscription, the oldest first, stacks until their tasks fill the room.
    `values` are `given` with a room above 0. Whether there are any. Inside the transaction that leases.
    """
    room = values[ROOM.key]
    begun: set[str] = set()
    for due in read_rows(_Due, await connection.execute(_DUE, values)):
        if due.batch_id in begun:
            continue  # another class of work of a batch has its turn after this one
        if room <= 0:
            break
        begun.add(due.batch_id)
        units = min(due.units, due.max_units)
        stack_id = await _new(connection, agent, due, units, now)
        terms = {_CLASS.key: due.task_small_id, _MOST.key: due.max_units, _STACK.key: stack_id}
        await connection.execute(_COMMIT, values | terms | {_BATCH.key: due.batch_id})
        room -= units
    return bool(begun)


async def _new(
    connection: AsyncConnection, agent: AgentRow, due: _Due, units: int, now: datetime
) -> int:
    last = sa.select(sa.func.max(stacks.c.stack_small_id)).where(
        stacks.c.workspace_id == agent.workspace_id
    )
    made = await connection.execute(
        stacks.insert().values(
            workspace_id=agent.workspace_id,
            stack_small_id=(await connection.scalar(last) or 0) + 1,
            farm_id=agent.farm_id,
            agent_id=agent.id,
            created_at=now,
            **(msgspec.structs.asdict(due) | {"units": units}),
        )
    )
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])
