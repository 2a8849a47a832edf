"""Tasks as operators look at them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks
from cloud.store.filters import Condition
from cloud.store.schema.rows import LogRow, TaskRow, read_rows
from cloud.store.schema.tables import IS_OPEN, task_files, task_logs, tasks
from contract.nonce.pages import Page
from contract.task import TaskName, TaskStatus


class LastOfKind(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks a miner already had that change the same: how many are open, and when the last one ended."""

    still_open: int
    ended_at: datetime | None


class AskedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that will be carried out, if nothing comes between."""

    miner_id: str
    name: str
    params: dict[str, Any] | None


class TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file that a task brought."""

    task_id: str
    name: str
    size_bytes: int


class ListedTask(TaskRow, kw_only=True):
    """A task with its file, and with its logs where they were asked for."""

    file: TaskFile | None = None
    logs: list[LogRow] = msgspec.field(default_factory=list)


async def last_of_kind(
    connection: AsyncConnection,
    farm_id: str,
    names: Collection[TaskName],
    miner_ids: Collection[str],
) -> dict[str, LastOfKind]:
    """Of these names, by miner id; a miner that never had one is missing."""
    found: dict[str, LastOfKind] = {}
    for some in chunks(list(miner_ids)):
        still_open = sa.func.sum(sa.case((tasks.c.ended_at.is_(None), 1), else_=0))
        query = (
            sa.select(tasks.c.miner_id, still_open, sa.func.max(tasks.c.ended_at))
            .where(tasks.c.farm_id == farm_id, tasks.c.miner_id.in_(some), tasks.c.name.in_(names))
            .group_by(tasks.c.miner_id)
        )
        for miner_id, number, ended_at in await connection.execute(query):
            found[miner_id] = LastOfKind(still_open=number, ended_at=ended_at)
    return found


async def last_open(
    connection: AsyncConnection,
    farm_id: str,
    names: Collection[str],
    miner_ids: Collection[str],
) -> dict[str, AskedTask]:
    """By miner id, the newest of its open tasks of these names; without those that are called off before they began."""
    found: dict[str, AskedTask] = {}
    for some in chunks(list(miner_ids)):
        query = (
            sa.select(tasks.c.miner_id, tasks.c.name, tasks.c.params)
            .where(
                tasks.c.farm_id == farm_id,
                tasks.c.miner_id.in_(some),
                tasks.c.name.in_(list(names)),
                IS_OPEN,
                sa.or_(tasks.c.cancel_requested_at.is_(None), tasks.c.pending_at.is_not(None)),
            )
            .order_by(tasks.c.created_at, tasks.c.id)
        )
        for row in read_rows(AskedTask, await connection.execute(query)):
            found[row.miner_id] = row
    return found


async def of_batch(
    connection: AsyncConnection,
    batch_id: str,
    *,
    statuses: Collection[str] | None = None,
    page: Page | None = None,
) -> tuple[list[ListedTask], int]:
    """The tasks of a batch that is known to be of the farm, in the order of their making, and their number."""
    conditions = [tasks.c.batch_id == batch_id]
    if statuses is not None:
        conditions.append(tasks.c.status.in_(list(statuses)))
    return await _select(connection, conditions, page, newest_first=False)


async def of_miner(
    store: Store,
    farm_id: str,
    miner_id: str,
    page: Page,
    *,
    since: datetime,
    until: datetime,
    name: TaskName | None = None,
    status: TaskStatus | None = None,
) -> tuple[list[ListedTask], int]:
    """One page of the tasks of a miner with their logs, newest first, and how many match."""
    conditions = [
        tasks.c.farm_id == farm_id,
        tasks.c.miner_id == miner_id,
        tasks.c.created_at >= since,
        tasks.c.created_at <= until,
    ]
    if name is not None:
        conditions.append(tasks.c.name == name)
    if status is not None:
        conditions.append(tasks.c.status == status)
    async with store.read() as connection:
        found, total = await _select(connection, conditions, page, newest_first=True)
        logs = await _logs(connection, [row.id for row in found if row.log_lines])
    for row in found:
        row.logs = logs.get(row.id, [])
    return found, total


async def _select(
    connection: AsyncConnection,
    conditions: Sequence[Condition],
    page: Page | None,
    *,
    newest_first: bool,
) -> tuple[list[ListedTask], int]:
    query = sa.select(tasks).where(*conditions)
    query = (
        query.order_by(tasks.c.created_at.desc(), tasks.c.id)
        if newest_first
        else query.order_by(tasks.c.created_at, tasks.c.id)
    )
    total = None
    if page is not None:
        count = sa.select(sa.func.count()).select_from(tasks).where(*conditions)
        total = await connection.scalar(count)
        query = query.limit(page.size).offset(page.sql_offset)
    found = read_rows(ListedTask, await connection.execute(query))
    files = await _files(connection, [row.id for row in found])
    for row in found:
        row.file = files.get(row.id)
    return found, len(found) if total is None else total


async def _files(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, TaskFile]:
    """The first finished file of each task; a task makes one."""
    found: dict[str, TaskFile] = {}
    for some in chunks(ids):
        query = (
            sa.select(task_files.c.task_id, task_files.c.name, task_files.c.size_bytes)
            .where(task_files.c.task_id.in_(some), task_files.c.completed_at.is_not(None))
            .order_by(task_files.c.created_cloud_s)
        )
        for row in read_rows(TaskFile, await connection.execute(query)):
            found.setdefault(row.task_id, row)
    return found


async def _logs(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, list[LogRow]]:
    found: dict[str, list[LogRow]] = {}
    for some in chunks(ids):
        query = sa.select(task_logs).where(task_logs.c.task_id.in_(some)).order_by(task_logs.c.id)
        for row in read_rows(LogRow, await connection.execute(query)):
            found.setdefault(row.task_id, []).append(row)
    return found
