"""Groups of batches that were ordered as one: made, counted, and what waits for a canary let go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store
from cloud.store.filters import Condition
from cloud.store.schema.rows import GroupRow, read_rows
from cloud.store.schema.tables import IS_OPEN, At, agents, miners, task_batches, task_groups, tasks
from cloud.store.tasks.batches import Counts, counts_of
from contract.nonce.pages import Page
from contract.outcome import Outcome
from contract.task import TaskStatus

CANARY: Final = "canary"  # a key in the metadata of a batch: its miners go first


class ListedGroup(GroupRow, kw_only=True):
    """A group with its batches and tasks counted; `held` of the open ones wait, of `unknown` ones nobody knows what
    became.
    """

    batch_count: int = 0
    counts: Counts = msgspec.field(default_factory=Counts)
    held: int = 0
    unknown: int = 0


class BatchOfGroup(msgspec.Struct, kw_only=True):
    """One of its batches, with its tasks counted."""

    id: str
    task_name: str
    metadata: dict[str, Any] | None
    counts: Counts = msgspec.field(default_factory=Counts)

    @property
    def is_canary(self) -> bool:
        return bool((self.metadata or {}).get(CANARY))


class CanaryTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of those that go first."""

    id: str
    miner_id: str | None
    status: str
    ended_at: datetime | None
    result: dict[str, Any] | None
    ip: str | None

    @property
    def is_proven(self) -> bool:
        """Whether it is done, or was so already, and was seen to be."""
        return proves(self.status, self.result)


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What was let go, and whose turn it is. An agent of None is whoever of the farm asks first."""

    group_id: str
    farm_id: str
    number: int
    agent_ids: frozenset[str | None]


def proves(status: str, result: dict[str, Any] | None) -> bool:
    """Whether a task that ended so is done, or was so already, and was seen to be."""
    told = result or {}
    return (
        status == TaskStatus.SUCCEED
        and told.get("outcome") == Outcome.DONE
        and told.get("verified") is True
    )


def ended_words(status: str, result: dict[str, Any] | None) -> str:
    """How a task ended that proves nothing, and why."""
    told = result or {}
    error = told.get("error")
    said = (error.get("message") if isinstance(error, dict) else None) or told.get("reason")
    words = said or ("it cannot be verified" if status == TaskStatus.SUCCEED else "")
    return status + (f" ({words})" if words else "")


async def insert(connection: AsyncConnection, group: dict[str, Any]) -> None:
    """Store a group, within the caller's transaction and before its batches. Keys are the table's columns."""
    await connection.execute(task_groups.insert(), [group])


async def find(connection: AsyncConnection, farm_id: str, group_id: str) -> ListedGroup | None:
    """One group."""
    found = await listed(
        connection, [task_groups.c.farm_id == farm_id, task_groups.c.id == group_id]
    )
    return found[0] if found else None


async def page_of(store: Store, farm_id: str, page: Page) -> tuple[list[ListedGroup], int]:
    """One page of the groups of a farm, newest first, and how many there are."""
    mine = task_groups.c.farm_id == farm_id
    async with store.read() as connection:
        count = sa.select(sa.func.count()).select_from(task_groups).where(mine)
        total = await connection.scalar(count) or 0
        return await listed(connection, [mine], page) if total else [], total


async def batches_of(connection: AsyncConnection, group_id: str) -> list[BatchOfGroup]:
    """Its batches, those of the canary first."""
    query = (
        sa.select(task_batches.c.id, task_batches.c.task_name, task_batches.c.meta)
        .where(task_batches.c.group_id == group_id)
        .order_by(task_batches.c.created_at, task_batches.c.id)
    )
    found = read_rows(BatchOfGroup, await connection.execute(query))
    counts = await counts_of(connection, query.order_by(None).with_only_columns(task_batches.c.id))
    for row in found:
        row.counts = counts.get(row.id, row.counts)
    return sorted(found, key=lambda row: not row.is_canary)


async def canary_tasks(connection: AsyncConnection, group_id: str) -> list[CanaryTask]:
    """The tasks of those that go first."""
    first = sa.select(task_batches.c.id).where(
        task_batches.c.group_id == group_id, task_batches.c.meta[CANARY].as_boolean()
    )
    query = (
        sa.select(
            *(tasks.c.id, tasks.c.miner_id, tasks.c.status, tasks.c.ended_at, tasks.c.result),
            miners.c.ip,
        )
        .select_from(tasks.outerjoin(miners, miners.c.id == tasks.c.miner_id))
        .where(tasks.c.batch_id.in_(first))
        .order_by(miners.c.ip_number, tasks.c.id)
    )
    return read_rows(CanaryTask, await connection.execute(query))


async def watts_now(connection: AsyncConnection, group_id: str) -> float:
    """What its miners take by their last looks, of those that answered."""
    query = (
        sa.select(sa.func.coalesce(sa.func.sum(miners.c.power_w), 0.0))
        .select_from(
            task_batches.join(tasks, tasks.c.batch_id == task_batches.c.id).join(
                miners, miners.c.id == tasks.c.miner_id
            )
        )
        .where(
            task_batches.c.group_id == group_id,
            sa.func.coalesce(miners.c.last_ok, sa.true()),
        )
    )
    return float(await connection.scalar(query) or 0.0)


async def open_retry_of(connection: AsyncConnection, farm_id: str, group_id: str) -> str | None:
    """The group that retries this one, if some of its tasks have not ended."""
    query = (
        sa.select(task_groups.c.id)
        .join(task_batches, task_batches.c.group_id == task_groups.c.id)
        .join(tasks, tasks.c.batch_id == task_batches.c.id)
        .where(
            task_groups.c.farm_id == farm_id,
            task_groups.c.retry_of == group_id,
            IS_OPEN,
        )
        .limit(1)
    )
    found: str | None = await connection.scalar(query)
    return found


async def mark_cancelled(connection: AsyncConnection, group_id: str, now: datetime) -> None:
    """That it was called off, the first time it was."""
    await connection.execute(
        task_groups.update()
        .where(task_groups.c.id == group_id, task_groups.c.cancelled_at.is_(None))
        .values(cancelled_at=now)
    )


async def release(
    connection: AsyncConnection,
    group_id: str,
    farm_id: str,
    now: datetime,
    *,
    expires_cloud_s: float,
    by: dict[str, Any] | None,
) -> Released:
    """Let go what is held, once: their queue life begins now. `by` is the operator who wants it so; None: all that went
    first are proven. Inside the caller's write transaction.
    """
    first_time = await connection.execute(
        task_groups.update()
        .where(
            task_groups.c.id == group_id,
            task_groups.c.released_at.is_(None),
            task_groups.c.cancelled_at.is_(None),
        )
        .values(released_at=now, released_by=by)
    )
    if not first_time.rowcount:
        return Released(group_id=group_id, farm_id=farm_id, number=0, agent_ids=frozenset())
    waiting = sa.and_(
        tasks.c.batch_id.in_(
            sa.select(task_batches.c.id).where(task_batches.c.group_id == group_id)
        ),
        tasks.c.held == sa.true(),
        IS_OPEN,
    )
    await connection.execute(
        tasks.update().where(waiting).values(agent_id=sa.func.coalesce(*_looks_after()))
    )
    agent_ids = frozenset(
        await connection.scalars(sa.select(tasks.c.agent_id).where(waiting).distinct())
    )
    done = await connection.execute(
        tasks.update()
        .where(waiting)
        .values(
            held=False,
            queue_expires_cloud_s=expires_cloud_s,
            status=sa.case(
                (tasks.c.agent_id.is_(None), TaskStatus.CREATED.value),
                else_=TaskStatus.QUEUING.value,
            ),
            queuing_at=sa.case(
                (tasks.c.agent_id.is_(None), sa.null()), else_=sa.literal(now, At())
            ),
        )
    )
    return Released(group_id=group_id, farm_id=farm_id, number=done.rowcount, agent_ids=agent_ids)


def _looks_after() -> tuple[sa.ScalarSelect[str], sa.ScalarSelect[str]]:
    """Of a task: the agent that looks at its miner by now, and the one it was ordered for; null for one that is
    revoked, as days may have passed.
    """
    enrolled = sa.select(agents.c.id).where(agents.c.revoked_at.is_(None))
    by_now = sa.select(miners.c.agent_id).where(miners.c.id == tasks.c.miner_id).scalar_subquery()
    return (
        enrolled.where(
            agents.c.id == by_now, agents.c.farm_id == tasks.c.farm_id
        ).scalar_subquery(),
        enrolled.where(agents.c.id == tasks.c.agent_id).scalar_subquery(),
    )


async def release_proven(store: Store, now: datetime, *, expires_cloud_s: float) -> list[Released]:
    """Let go what waits for a canary that is proven by now: in one transaction for each group."""
    waiting = sa.select(task_groups.c.id, task_groups.c.farm_id).where(
        task_groups.c.canary.is_not(None),
        task_groups.c.turns.is_(None),  # those go by `cloud.updates.turns`
        task_groups.c.released_at.is_(None),
        task_groups.c.cancelled_at.is_(None),
        sa.exists().where(
            task_batches.c.group_id == task_groups.c.id,
            tasks.c.batch_id == task_batches.c.id,
            tasks.c.held == sa.true(),
            IS_OPEN,
        ),
    )
    async with store.read() as connection:
        found = (await connection.execute(waiting)).all()
        due = [row for row in found if all_proven(await canary_tasks(connection, row.id))]
    released = []
    for row in due:
        async with store.write() as connection:
            # What has ended stays so, and a cancel that came between is seen by `release`.
            released.append(
                await release(
                    connection, row.id, row.farm_id, now, expires_cloud_s=expires_cloud_s, by=None
                )
            )
    return [each for each in released if each.number]


def all_proven(first: Collection[CanaryTask]) -> bool:
    """Whether those that went first all are; of none, nothing is known."""
    return bool(first) and all(task.is_proven for task in first)


async def listed(
    connection: AsyncConnection, conditions: Sequence[Condition], page: Page | None = None
) -> list[ListedGroup]:
    """The groups for which these hold, newest first, with their tasks counted."""
    query = (
        sa.select(task_groups)
        .where(*conditions)
        .order_by(task_groups.c.created_at.desc(), task_groups.c.id)
    )
    if page is not None:
        query = query.limit(page.size).offset(page.sql_offset)
    found = {row.id: row for row in read_rows(ListedGroup, await connection.execute(query))}
    numbers = (
        sa.select(task_batches.c.group_id, sa.func.count())
        .where(task_batches.c.group_id.in_(list(found)))
        .group_by(task_batches.c.group_id)
    )
    for group_id, number in await connection.execute(numbers):
        found[group_id].batch_count = number
    unknown = sa.and_(
        tasks.c.status.in_((TaskStatus.FAILED, TaskStatus.TIMED_OUT)),
        tasks.c.result["outcome"].as_string() == Outcome.UNKNOWN.value,
    )
    sums = (
        sa.select(
            task_batches.c.group_id,
            tasks.c.status,
            sa.func.count(),
            sa.func.sum(sa.case((tasks.c.held == sa.true(), 1), else_=0)),
            sa.func.sum(sa.case((unknown, 1), else_=0)),
        )
        .join(tasks, tasks.c.batch_id == task_batches.c.id)
        .where(task_batches.c.group_id.in_(list(found)))
        .group_by(task_batches.c.group_id, tasks.c.status)
    )
    by_status: dict[str, dict[str, int]] = {}
    for group_id, status, number, held, doubtful in await connection.execute(sums):
        by_status.setdefault(group_id, {})[status] = number
        if status == TaskStatus.CREATED:
            found[group_id].held += held
        found[group_id].unknown += doubtful
    for group_id, counted in by_status.items():
        found[group_id].counts = Counts(**counted)
    return list(found.values())
