"""Who did what: one row for each write of an operator, of the command line or of the system, in its transaction.

Rows are added and swept by age; nothing changes one. A change of many miners is one row with how many there were: what
each of them was before and after stands in its task, by which a search for a miner finds the row of its batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access.actors import Actor
from cloud.store.engine import Store, chunks
from cloud.store.filters import Condition
from cloud.store.schema.rows import AuditRow, read_rows
from cloud.store.schema.tables import audit, cloud_time, miners, task_batches, tasks
from contract.hiding import hidden
from contract.nonce.pages import Page

_SIDE_BYTES: Final = 64 * 1024  # of `before`, and of `after`, as JSON
_ADDRESS_MAX: Final = 64
_DAY_S: Final = 86_400.0


class MinerTask(msgspec.Struct, frozen=True, kw_only=True):
    """What one miner got of a change of many."""

    id: str
    batch_id: str
    group_id: str | None
    status: str
    pending_at: datetime | None
    ended_at: datetime | None
    params: dict[str, Any] | None
    result: dict[str, Any] | None


class ListedAudit(AuditRow, frozen=True, kw_only=True):
    """A row with the task of the miner that was searched for, if it stands for its batch or group."""

    task: MinerTask | None = None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; all that is given must hold. `actor` is an id or a name. `until` itself is left out."""

    workspace_id: str
    farm_id: str | None = None
    actor: str | None = None
    key: str | None = None
    actions: tuple[str, ...] | None = None
    target: str | None = None
    miner_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(
    connection: AsyncConnection,
    by: Actor,
    at: datetime,
    action: str,
    target: tuple[str, str],
    *,
    workspace_id: str,
    farm_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write down a write, within its transaction. `target`: of which kind, and its id. Passwords are hidden here."""
    kind, target_id = target
    told = {target_id: (before, after)}
    await record_each(
        connection, by, at, action, kind, told, workspace_id=workspace_id, farm_id=farm_id
    )


async def record_each(
    connection: AsyncConnection,
    by: Actor,
    at: datetime,
    action: str,
    kind: str,
    told: Mapping[str, tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]],
    *,
    workspace_id: str,
    farm_id: str | None,
) -> None:
    """The same of many targets of one kind that no task remembers: by their ids, what was before and after."""
    rows = [
        {"target_id": target_id, "before": _side(before), "after": _side(after)}
        for target_id, (before, after) in told.items()
    ]
    if not rows:
        return
    seconds = sa.select(cloud_time.c.seconds).scalar_subquery()
    await connection.execute(
        audit.insert().values(
            workspace_id=workspace_id,
            farm_id=farm_id,
            at=at,
            recorded_cloud_s=sa.func.coalesce(seconds, 0.0),
            actor_type=by.type,
            actor_id=by.id,
            actor_name=by.name,
            key_id=by.key_id,
            address=None if by.address is None else by.address[:_ADDRESS_MAX],
            action=action,
            target_kind=kind,
        ),
        rows,
    )


async def search(store: Store, wanted: AuditQuery, page: Page) -> tuple[list[ListedAudit], int]:
    """One page, newest first, and how many there are."""
    conditions = _conditions(wanted)
    query = (
        sa.select(audit)
        .where(*conditions)
        .order_by(audit.c.at.desc(), audit.c.id.desc())
        .limit(page.size)
        .offset(page.sql_offset)
    )
    count = sa.select(sa.func.count()).select_from(audit).where(*conditions)
    async with store.read() as connection:
        total = await connection.scalar(count) or 0
        found = read_rows(ListedAudit, await connection.execute(query))
        if wanted.miner_id is None:
            return found, total
        of_target = await _tasks_of(connection, wanted.miner_id, found)
    return [msgspec.structs.replace(row, task=of_target.get(row.target_id)) for row in found], total


async def farm_of_miner(store: Store, workspace_id: str, miner_id: str) -> str | None:
    """The farm of a miner of that workspace, be it deleted by now."""
    query = sa.select(miners.c.farm_id).where(
        miners.c.id == miner_id, miners.c.workspace_id == workspace_id
    )
    async with store.read() as connection:
        found: str | None = await connection.scalar(query)
    return found


async def prune(store: Store, now: datetime, cloud_s: float, *, kept_days: float, most: int) -> int:
    """Drop what was written down so long ago, by cloud time and by its stamp: at most so many, in one transaction.
    Returns how many.
    """
    long_ago = (
        sa.select(audit.c.id)
        .where(
            audit.c.recorded_cloud_s < cloud_s - kept_days * _DAY_S,
            audit.c.at < now - timedelta(days=kept_days),
        )
        .order_by(audit.c.recorded_cloud_s)
        .limit(most)
    )
    async with store.write() as connection:
        found = list(await connection.scalars(long_ago))
        for some in chunks(found):
            await connection.execute(audit.delete().where(audit.c.id.in_(some)))
    return len(found)


def _side(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """As it is kept: without passwords, and never longer than it may be."""
    if value is None:
        return None
    shown: dict[str, Any] = hidden(dict(value))
    size = len(msgspec.json.encode(shown))
    return shown if size <= _SIDE_BYTES else {"left_out": f"{size} bytes"}


def _conditions(wanted: AuditQuery) -> list[Condition]:
    found: list[Condition] = []
    workspace_id: sa.ColumnElement[str] = audit.c.workspace_id
    farm_id: sa.ColumnElement[str] = audit.c.farm_id
    if wanted.miner_id is not None:
        found.append(audit.c.target_id.in_(_targets(wanted.farm_id, wanted.miner_id)))
        # Few rows are about one miner: a database that went by the farm would read all of them.
        workspace_id, farm_id = sa.func.coalesce(workspace_id, ""), sa.func.coalesce(farm_id, "")
    for column, value in (
        (workspace_id, wanted.workspace_id),
        (farm_id, wanted.farm_id),
        (audit.c.key_id, wanted.key),
        (audit.c.target_id, wanted.target),
    ):
        if value is not None:
            found.append(column == value)
    if wanted.actor is not None:
        found.append(sa.or_(audit.c.actor_id == wanted.actor, audit.c.actor_name == wanted.actor))
    if wanted.actions is not None:
        found.append(audit.c.action.in_(wanted.actions))
    if wanted.since is not None:
        found.append(audit.c.at >= wanted.since)
    if wanted.until is not None:
        found.append(audit.c.at < wanted.until)
    return found


def _targets(farm_id: str | None, miner_id: str) -> sa.CompoundSelect[tuple[str]]:
    """What a row about one miner names: itself, a batch that it has a task of, or the group of such a batch."""
    batches = sa.select(tasks.c.batch_id).where(
        tasks.c.farm_id == farm_id, tasks.c.miner_id == miner_id
    )
    groups = sa.select(task_batches.c.group_id).where(task_batches.c.id.in_(batches))
    return sa.union_all(sa.select(sa.literal(miner_id)), batches, groups)


async def _tasks_of(
    connection: AsyncConnection, miner_id: str, rows: list[ListedAudit]
) -> dict[str | None, MinerTask]:
    """The tasks of one miner by what their rows name: their batch, or the group of it."""
    found: dict[str | None, MinerTask] = {}
    ids = [row.target_id for row in rows if row.target_id is not None]
    columns = (
        *(tasks.c.id, tasks.c.batch_id, task_batches.c.group_id, tasks.c.status),
        *(tasks.c.pending_at, tasks.c.ended_at, tasks.c.params, tasks.c.result),
    )
    for some in chunks(ids):
        query = (
            sa.select(*columns)
            .join(task_batches, task_batches.c.id == tasks.c.batch_id)
            .where(
                tasks.c.farm_id.in_({row.farm_id for row in rows}),
                tasks.c.miner_id == miner_id,
                sa.or_(tasks.c.batch_id.in_(some), task_batches.c.group_id.in_(some)),
            )
        )
        for task in read_rows(MinerTask, await connection.execute(query)):
            found[task.batch_id] = task
            if task.group_id is not None:
                found[task.group_id] = task
    return found
