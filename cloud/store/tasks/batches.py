"""Batches of tasks: made, counted, searched, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks, rows
from cloud.store.filters import Condition, accepted, matches, within
from cloud.store.schema.rows import BatchRow, read_rows
from cloud.store.schema.tables import IS_OPEN, agents, task_batches, tasks
from cloud.store.tasks.handed import CALLED_OFF, Confirmed
from cloud.store.tasks.settle import forget_passwords
from contract.nonce.batches import ACTOR_TYPES, SearchBatches
from contract.nonce.pages import Page
from contract.task import WITH_PASSWORDS, BatchStatus, TaskStatus

_BATCHES_AT_ONCE: Final = 50  # so that the rows of none of our queries are many
_UNSUCCESSFUL: Final = (TaskStatus.FAILED, TaskStatus.TIMED_OUT, TaskStatus.CANCELLED)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks of a batch are in each state. The status of a batch follows from these, it is never stored."""

    created: int = 0
    queuing: int = 0
    pending: int = 0
    succeed: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        return self.open + self.succeed + self.unsuccessful

    @property
    def open(self) -> int:
        return self.created + self.queuing + self.pending

    @property
    def unsuccessful(self) -> int:
        return self.failed + self.timed_out + self.cancelled

    @property
    def status(self) -> BatchStatus:
        """Nonce's word for the batch."""
        if self.open:
            return BatchStatus.PENDING
        if not self.unsuccessful:
            return BatchStatus.SUCCEED
        return BatchStatus.PARTIAL_SUCCEED if self.succeed else BatchStatus.FAILED


class ListedBatch(BatchRow, kw_only=True):
    """A batch with its tasks counted."""

    counts: Counts = msgspec.field(default_factory=Counts)


class EnrolledAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that may get a task: when it was made, and last heard from in cloud time."""

    id: str
    name: str | None
    created_at: datetime
    last_online_cloud_s: float | None


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What a cancel did: tasks ended at once, tasks whose agent was asked, and the agents to wake."""

    at_once: int
    requested: int
    agent_ids: frozenset[str]


async def insert(
    connection: AsyncConnection,
    new_batches: Sequence[dict[str, Any]],
    new_tasks: Sequence[dict[str, Any]],
) -> None:
    """Store batches and tasks of these, or of those that are there, within the caller's transaction. Keys are the
    tables' columns.
    """
    if new_batches:
        await connection.execute(task_batches.insert(), list(new_batches))
    if new_tasks:
        await connection.execute(tasks.insert(), list(new_tasks))


async def executors(connection: AsyncConnection, farm_id: str) -> list[EnrolledAgent]:
    """The enrolled agents of a farm, the one heard from last first."""
    query = (
        sa.select(agents.c.id, agents.c.name, agents.c.created_at, agents.c.last_online_cloud_s)
        .where(
            agents.c.farm_id == farm_id,
            agents.c.revoked_at.is_(None),
            agents.c.token_hash.is_not(None),
        )
        .order_by(agents.c.last_online_at.desc().nulls_last(), agents.c.created_at, agents.c.id)
    )
    return read_rows(EnrolledAgent, await connection.execute(query))


async def find(connection: AsyncConnection, farm_id: str, batch_id: str) -> ListedBatch | None:
    """One batch."""
    found = await _select(
        connection, [task_batches.c.farm_id == farm_id, task_batches.c.id == batch_id]
    )
    return found[0] if found else None


async def open_retry_of(connection: AsyncConnection, farm_id: str, batch_id: str) -> str | None:
    """The batch that retries this one, if some of its tasks have not ended."""
    query = (
        sa.select(task_batches.c.id)
        .join(tasks, tasks.c.batch_id == task_batches.c.id)
        .where(
            task_batches.c.farm_id == farm_id,
            task_batches.c.retry_of == batch_id,
            IS_OPEN,
        )
        .limit(1)
    )
    found: str | None = await connection.scalar(query)
    return found


async def search(
    store: Store, farm_id: str, wanted: SearchBatches, page: Page
) -> tuple[list[ListedBatch], int]:
    """One page of batches, newest first, and how many match."""
    conditions: list[Condition] = [
        task_batches.c.farm_id == farm_id,
        *matches(task_batches.c.task_name, wanted.task_name),
        *within(task_batches.c.created_at, wanted.created_at),
    ]
    if wanted.actor_type is not None:
        kind = ACTOR_TYPES.get(wanted.actor_type.eq)
        conditions.append(task_batches.c.actor_type == kind if kind else sa.false())
    if wanted.status is not None:
        conditions.append(_has_status(accepted([*BatchStatus], wanted.status), farm_id))
    count = sa.select(sa.func.count()).select_from(task_batches).where(*conditions)
    async with store.read() as connection:
        total = await connection.scalar(count) or 0
        return await _select(connection, conditions, page) if total else [], total


async def cancel(
    connection: AsyncConnection,
    batch_ids: Sequence[str],
    now: datetime,
    confirmed: Confirmed,
    result: dict[str, Any] = CALLED_OFF,
) -> Cancelled:
    """Of these batches, which the caller may cancel, end what no agent ever had, with that result; ask for the rest.
    Only the agent knows whether it has begun, and one that went offline may have, so there nothing is ended here.
    """
    done = [
        await _cancel_some(connection, some, now, confirmed, result)
        for some in chunks(batch_ids, _BATCHES_AT_ONCE)
    ]
    return Cancelled(
        at_once=sum(each.at_once for each in done),
        requested=sum(each.requested for each in done),
        agent_ids=frozenset().union(*(each.agent_ids for each in done)),
    )


async def _cancel_some(
    connection: AsyncConnection,
    batch_ids: Sequence[str],
    now: datetime,
    confirmed: Confirmed,
    result: dict[str, Any],
) -> Cancelled:
    of_batches = tasks.c.batch_id.in_(batch_ids)
    mine = sa.and_(of_batches, IS_OPEN)
    at_once = await connection.execute(
        tasks.update()
        .where(mine, confirmed.never_handed())
        .values(status=TaskStatus.CANCELLED, cancelled_at=now, ended_at=now, result=result)
    )
    with_passwords = sa.select(tasks.c.id).where(of_batches, tasks.c.name.in_(WITH_PASSWORDS))
    await forget_passwords(connection, list(await connection.scalars(with_passwords)))
    asked = rows(await connection.execute(sa.select(tasks.c.id, tasks.c.agent_id).where(mine)))
    await connection.execute(
        tasks.update()
        .where(mine, tasks.c.cancel_requested_at.is_(None))
        .values(cancel_requested_at=now)
    )
    return Cancelled(
        at_once=at_once.rowcount,
        requested=len(asked),
        agent_ids=frozenset(row["agent_id"] for row in asked if row["agent_id"]),
    )


async def _select(
    connection: AsyncConnection, conditions: Sequence[Condition], page: Page | None = None
) -> list[ListedBatch]:
    query = (
        sa.select(task_batches)
        .where(*conditions)
        .order_by(task_batches.c.created_at.desc(), task_batches.c.id)
    )
    if page is not None:
        query = query.limit(page.size).offset(page.sql_offset)
    found = read_rows(ListedBatch, await connection.execute(query))
    counts = await counts_of(connection, query.with_only_columns(task_batches.c.id))
    for row in found:
        row.counts = counts.get(row.id, row.counts)
    return found


async def counts_of(
    connection: AsyncConnection, ids: sa.Select[tuple[Any, ...]]
) -> dict[str, Counts]:
    """The tasks of those batches, counted; a batch without any is missing."""
    wanted = ids.subquery()
    query = (
        sa.select(tasks.c.batch_id, tasks.c.status, sa.func.count())
        .where(tasks.c.batch_id.in_(sa.select(wanted.c.id)))
        .group_by(tasks.c.batch_id, tasks.c.status)
    )
    found: dict[str, dict[str, int]] = {}
    for batch_id, status, number in await connection.execute(query):
        found.setdefault(batch_id, {})[status] = number
    return {batch_id: Counts(**by_status) for batch_id, by_status in found.items()}


def _has_status(let_through: frozenset[str], farm_id: str) -> Condition:
    """Whether the derived status of a batch is among some."""
    if len(let_through) == len(BatchStatus):
        return sa.true()

    def number(condition: Condition) -> sa.ColumnElement[int]:
        return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)

    done = number(tasks.c.status == TaskStatus.SUCCEED)
    bad = number(tasks.c.status.in_(_UNSUCCESSFUL))
    still_open = number(tasks.c.ended_at.is_(None))
    having = {
        BatchStatus.PENDING: still_open > 0,
        BatchStatus.SUCCEED: sa.and_(still_open == 0, bad == 0),
        BatchStatus.FAILED: sa.and_(still_open == 0, bad > 0, done == 0),
        BatchStatus.PARTIAL_SUCCEED: sa.and_(still_open == 0, bad > 0, done > 0),
    }
    chosen = (
        sa.select(tasks.c.batch_id)
        .where(tasks.c.farm_id == farm_id, tasks.c.batch_id.is_not(None))
        .group_by(tasks.c.batch_id)
        .having(sa.or_(sa.false(), *(having[BatchStatus(word)] for word in let_through)))
    )
    return task_batches.c.id.in_(chosen)
