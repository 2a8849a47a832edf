"""Updates of agents, groups with a task for each: whom there is, how far each is, whose turn comes let go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks
from cloud.store.schema.rows import FarmRow, read_rows
from cloud.store.schema.tables import (
    IS_OPEN,
    agents,
    farms,
    miners,
    task_batches,
    task_groups,
    tasks,
)
from cloud.store.tasks.groups import CANARY, ListedGroup, listed, proves
from contract.nonce.pages import Page
from contract.task import TaskName, TaskStatus


class EnrolledSite(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolled agent with what an update of it goes by, as it is stored. `open_tasks` wait for it or run there;
    `is_updating`: one of them is an update.
    """

    id: str
    name: str | None
    farm_id: str
    farm_name: str | None
    version: str | None
    release: str | None
    health: dict[str, Any] | None
    created_at: datetime
    last_online_cloud_s: float | None
    open_tasks: int
    is_updating: bool
    miners: int


class TurnTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of such a group, with whose it is."""

    id: str
    batch_id: str
    meta: dict[str, Any] | None  # of its batch
    agent_id: str
    agent_name: str | None
    farm_id: str
    farm_name: str | None
    last_online_cloud_s: float | None
    status: str
    held: bool
    cancel_requested_at: datetime | None
    ended_at: datetime | None
    result: dict[str, Any] | None

    @property
    def who(self) -> str:
        """What people call its agent."""
        return self.agent_name or self.agent_id

    @property
    def is_first(self) -> bool:
        return bool((self.meta or {}).get(CANARY))

    @property
    def is_proven(self) -> bool:
        """Whether it is done, and was seen to be."""
        return proves(self.status, self.result)


class OpenTurns(msgspec.Struct, frozen=True, kw_only=True):
    """Such a group in which something waits."""

    id: str
    workspace_id: str
    turns: dict[str, Any]
    created_at: datetime


async def sites_of(connection: AsyncConnection, workspace_id: str) -> list[EnrolledSite]:
    """The enrolled agents of a workspace, oldest first."""
    mine = sa.and_(tasks.c.agent_id == agents.c.id, tasks.c.farm_id == agents.c.farm_id, IS_OPEN)
    query = (
        sa.select(
            *(agents.c.id, agents.c.name, agents.c.farm_id, farms.c.name.label("farm_name")),
            *(agents.c.version, agents.c.release, agents.c.health, agents.c.created_at),
            agents.c.last_online_cloud_s,
            _number(tasks, mine).label("open_tasks"),
            sa.exists().where(mine, tasks.c.name == TaskName.SELF_UPDATE).label("is_updating"),
            _number(
                miners, sa.and_(miners.c.agent_id == agents.c.id, miners.c.deleted_at.is_(None))
            ).label("miners"),
        )
        .join(farms, farms.c.id == agents.c.farm_id)
        .where(
            agents.c.workspace_id == workspace_id,
            agents.c.revoked_at.is_(None),
            agents.c.token_hash.is_not(None),
        )
        .order_by(agents.c.created_at, agents.c.id)
    )
    return read_rows(EnrolledSite, await connection.execute(query))


def _number(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(table).where(condition).scalar_subquery()


async def farms_by_id(connection: AsyncConnection, ids: Collection[str]) -> dict[str, FarmRow]:
    """The farms of these ids, as far as there are any."""
    found: list[FarmRow] = []
    for some in chunks(sorted(ids)):
        query = farms.select().where(farms.c.id.in_(some))
        found += read_rows(FarmRow, await connection.execute(query))
    return {row.id: row for row in found}


async def find(connection: AsyncConnection, workspace_id: str, group_id: str) -> ListedGroup | None:
    """One such group."""
    found = await listed(connection, [*_of(workspace_id), task_groups.c.id == group_id])
    return found[0] if found else None


async def page_of(
    connection: AsyncConnection, workspace_id: str, page: Page
) -> tuple[list[ListedGroup], int]:
    """One page of those of a workspace, newest first, and how many there are."""
    count = sa.select(sa.func.count()).select_from(task_groups).where(*_of(workspace_id))
    total = await connection.scalar(count) or 0
    return await listed(connection, _of(workspace_id), page) if total else [], total


def _of(workspace_id: str) -> list[sa.ColumnElement[bool]]:
    return [task_groups.c.workspace_id == workspace_id, task_groups.c.turns.is_not(None)]


async def tasks_of(connection: AsyncConnection, group_id: str) -> list[TurnTask]:
    """Its tasks, that of the first agent first, then by the age of their agents."""
    query = (
        sa.select(
            *(tasks.c.id, tasks.c.batch_id, task_batches.c.meta.label("meta")),
            *(tasks.c.agent_id, agents.c.name.label("agent_name"), agents.c.last_online_cloud_s),
            *(tasks.c.farm_id, farms.c.name.label("farm_name")),
            *(tasks.c.status, tasks.c.held, tasks.c.cancel_requested_at),
            *(tasks.c.ended_at, tasks.c.result),
        )
        .join(task_batches, task_batches.c.id == tasks.c.batch_id)
        .join(agents, agents.c.id == tasks.c.agent_id)
        .join(farms, farms.c.id == tasks.c.farm_id)
        .where(task_batches.c.group_id == group_id)
        .order_by(agents.c.created_at, agents.c.id)
    )
    found = read_rows(TurnTask, await connection.execute(query))
    return sorted(found, key=lambda task: not task.is_first)


async def with_waiting(store: Store) -> list[OpenTurns]:
    """Those that may have a next turn: something is held, and was not called off."""
    query = sa.select(
        *(task_groups.c.id, task_groups.c.workspace_id),
        *(task_groups.c.turns, task_groups.c.created_at),
    ).where(
        task_groups.c.turns.is_not(None),
        sa.exists().where(
            task_batches.c.group_id == task_groups.c.id,
            tasks.c.batch_id == task_batches.c.id,
            tasks.c.cancel_requested_at.is_(None),
            IS_OPEN,
        ),
    )
    async with store.read() as connection:
        return read_rows(OpenTurns, await connection.execute(query))


async def let_go(
    connection: AsyncConnection, task_ids: Sequence[str], now: datetime, expires_cloud_s: float
) -> None:
    """These may be handed to their agents: their queue life begins now."""
    await connection.execute(
        tasks.update()
        .where(tasks.c.id.in_(task_ids), tasks.c.held == sa.true(), IS_OPEN)
        .values(
            held=False,
            status=TaskStatus.QUEUING,
            queuing_at=now,
            queue_expires_cloud_s=expires_cloud_s,
        )
    )
