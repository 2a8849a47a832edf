"""What operators and agents are shown: why tasks wait, which stacks there are, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks
from cloud.store.schema.rows import AgentRow, FarmRow, StackRow, SubscriptionRow, read_rows
from cloud.store.schema.tables import IS_OPEN, agents, miners, stacks, subscriptions, tasks
from cloud.store.subscriptions.judged import FARM, WORKSPACE, is_plain_farm, judged, waiting
from contract.clock import to_text
from contract.nonce.pages import Page
from contract.subscription.catalogue import stack_id_of
from contract.subscription.link import STACKS_MOST, Stack
from contract.task import TaskName, TaskStatus

# Tasks that no agent holds, and that wait for no canary.
_NOBODY_S: Final = (tasks.c.held == sa.false(), tasks.c.journal_id.is_(None))
_WAITS: Final = (tasks.c.ended_at.is_(None), *_NOBODY_S)
_DONE: Final = sa.and_(tasks.c.stack_id == stacks.c.id, tasks.c.status == TaskStatus.SUCCEED)


class HeldTask(msgspec.Struct, frozen=True, kw_only=True):
    """One that is not handed to its agent."""

    id: str
    batch_id: str
    reason: str


class DayOfWork(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one class that an agent did on a day, as `YYYY-MM-DD`, at one price."""

    day: str
    agent_id: str
    task_small_id: int
    price: int
    units: int


async def held_of(
    connection: AsyncConnection, farm_id: str, workspace_id: str, batch_ids: Sequence[str]
) -> list[HeldTask]:
    """Of these batches of a farm, the tasks that subscriptions, or the policy, hold back."""
    where = {FARM.key: farm_id, WORKSPACE.key: workspace_id}
    if not batch_ids or await connection.scalar(sa.select(is_plain_farm()), where):
        return []
    found: list[HeldTask] = []
    for some in chunks(batch_ids):
        seen = judged(
            waiting(
                tasks.c.agent_id,
                tasks.c.batch_id.in_(some),
                IS_OPEN,
                *_NOBODY_S,
            )
        )
        query = sa.select(*(seen.c[name] for name in HeldTask.__struct_fields__))
        found += read_rows(
            HeldTask, await connection.execute(query.where(seen.c.reason.is_not(None)))
        )
    return found


async def held_in(
    connection: AsyncConnection, farm_id: str, workspace_id: str
) -> list[tuple[str, str, int]]:
    """(name, reason, how many) of all tasks of a farm that are held back so, the most first."""
    where = {FARM.key: farm_id, WORKSPACE.key: workspace_id}
    if await connection.scalar(sa.select(is_plain_farm()), where):
        return []
    seen = judged(waiting(tasks.c.agent_id, tasks.c.farm_id == farm_id, *_WAITS))
    count = sa.func.count()
    found = await connection.execute(
        sa.select(seen.c.name, seen.c.reason, count)
        .where(seen.c.reason.is_not(None))
        .group_by(seen.c.name, seen.c.reason)
        .order_by(count.desc(), seen.c.name, seen.c.reason)
    )
    return [(name, reason, number) for name, reason, number in found]


async def would_be_held(
    connection: AsyncConnection,
    farm: FarmRow,
    name: TaskName,
    batch: Sequence[str],
    executors: Sequence[str],
    *,
    max_price: int | None,
    may_split: bool,
) -> dict[str, str]:
    """By miner id, the reasons for those of one batch that does not exist yet. `executors`: the enrolled agents of the
    farm, the one first that carries out what no other looks after.
    """
    where = {FARM.key: farm.id, WORKSPACE.key: farm.workspace_id}
    if not executors or await connection.scalar(sa.select(is_plain_farm()), where):
        return {}
    agent_id = sa.case((miners.c.agent_id.in_(executors), miners.c.agent_id), else_=executors[0])
    # One piece, as its units are counted together: a batch has no more miners than one that is named may have.
    planned = sa.select(
        miners.c.id,
        sa.literal("").label("batch_id"),
        miners.c.created_at,
        sa.literal(name.value).label("name"),
        miners.c.farm_id,
        miners.c.workspace_id,
        miners.c.model,
        agent_id.label("agent_id"),
        sa.literal(max_price, sa.BigInteger).label("max_price"),
        sa.literal(may_split, sa.Boolean).label("may_split"),
    ).where(miners.c.id.in_(batch))
    seen = judged(planned)
    query = sa.select(seen.c.id, seen.c.reason).where(seen.c.reason.is_not(None))
    return {row.id: row.reason for row in await connection.execute(query)}


async def amounts_of(connection: AsyncConnection, batch_ids: Sequence[str]) -> dict[str, int]:
    """By batch, the units done times the price of their stack; one without a stack is missing."""
    found: dict[str, int] = {}
    for some in chunks(batch_ids):
        query = (
            sa.select(stacks.c.batch_id, stacks.c.price, sa.func.count(tasks.c.id))
            .select_from(stacks.outerjoin(tasks, _DONE))
            .where(stacks.c.batch_id.in_(some))
            .group_by(stacks.c.id)
        )
        # Multiplied here: a price may be as large as an integer of the database can be.
        for batch_id, price, units in await connection.execute(query):
            found[batch_id] = found.get(batch_id, 0) + price * units
    return found


async def days_of_work(
    store: Store, farm_id: str, since: datetime, until: datetime | None
) -> list[DayOfWork]:
    """What was done from `since` on and before `until`, if that is given, the first day first."""
    day = sa.func.date(tasks.c.succeed_at)
    keys = (day, stacks.c.agent_id, stacks.c.task_small_id, stacks.c.price)
    query = (
        sa.select(
            sa.cast(day, sa.String).label("day"),
            stacks.c.agent_id,
            stacks.c.task_small_id,
            stacks.c.price,
            sa.func.count().label("units"),
        )
        .select_from(stacks.join(tasks, _DONE))
        .where(
            stacks.c.farm_id == farm_id,
            tasks.c.succeed_at >= since,
            sa.true() if until is None else tasks.c.succeed_at < until,
        )
        .group_by(*keys)
        .order_by(*keys)
    )
    async with store.read() as connection:
        return read_rows(DayOfWork, await connection.execute(query))


async def in_force(store: Store, farm_id: str, page: Page) -> tuple[list[SubscriptionRow], int]:
    """One page of what the agents of a farm take classes of work for, or did, and how many there are."""
    of_farm = agents.c.id == subscriptions.c.agent_id
    conditions = (
        of_farm,
        agents.c.farm_id == farm_id,
        agents.c.revoked_at.is_(None),
        subscriptions.c.in_force == sa.true(),
    )
    query = (
        sa.select(subscriptions)
        .where(*conditions)
        .order_by(subscriptions.c.agent_id, subscriptions.c.task_small_id)
    )
    count = sa.select(sa.func.count()).select_from(subscriptions, agents).where(*conditions)
    async with store.read() as connection:
        total = await connection.scalar(count) or 0
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return read_rows(SubscriptionRow, found), total


async def stacks_of(store: Store, agent: AgentRow) -> list[Stack]:
    """What was dispatched to an agent, the newest first, so many at most."""
    async with store.read() as connection:
        query = (
            sa.select(stacks)
            .where(stacks.c.agent_id == agent.id)
            .order_by(stacks.c.id.desc())
            .limit(STACKS_MOST)
        )
        found = read_rows(StackRow, await connection.execute(query))
        counts: dict[int, tuple[int, int]] = {}
        for some in chunks([row.id for row in found]):
            done = sa.func.sum(sa.case((tasks.c.status == TaskStatus.SUCCEED, 1), else_=0))
            numbers = (
                sa.select(tasks.c.stack_id, sa.func.count(tasks.c.ended_at), done)
                .where(tasks.c.stack_id.in_(some))
                .group_by(tasks.c.stack_id)
            )
            for stack_id, ended, computed in await connection.execute(numbers):
                counts[stack_id] = (ended, computed)
    return [_stack_of(row, *counts.get(row.id, (0, 0))) for row in found]


def _stack_of(row: StackRow, ended: int, computed: int) -> Stack:
    return Stack(
        stack_small_id=row.stack_small_id,
        stack_id=stack_id_of(row.batch_id, row.stack_small_id),
        batch_id=row.batch_id,
        task_small_id=row.task_small_id,
        node_small_id=row.node_small_id,
        num_compute_units=row.units,
        price=row.price,
        max_num_compute_units=row.max_units,
        already_computed_units=computed,
        ended_units=ended,
        created_at=to_text(row.created_at),
    )


def totals(days: Sequence[DayOfWork]) -> list[dict[str, Any]]:
    """The same by day, agent and class, with the sum of units times price."""
    found: dict[tuple[str, str, int], tuple[int, int]] = {}
    for each in days:
        key = (each.day, each.agent_id, each.task_small_id)
        units, amount = found.get(key, (0, 0))
        found[key] = (units + each.units, amount + each.units * each.price)
    return [
        {
            "day": day,
            "agent_id": agent_id,
            "task_small_id": task_small_id,
            "units": units,
            "amount": str(amount),
        }
        for (day, agent_id, task_small_id), (units, amount) in found.items()
    ]
