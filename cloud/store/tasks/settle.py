"""Ending tasks from the cloud's side (lost, expired, cancelled), and what leaves the database with every end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import chunks, rows
from cloud.store.schema.tables import IS_OPEN, task_batches, task_groups, tasks
from contract.errors import ErrorCode
from contract.hiding import hidden
from contract.outcome import Outcome
from contract.task import WITH_PASSWORDS, TaskStatus


def closed_result(outcome: Outcome, code: ErrorCode, message: str) -> dict[str, Any]:
    """A `result` for a task that ended without a word from its agent."""
    return {
        "outcome": outcome,
        "verified": False,
        "evidence": {},
        "error": {"code": code, "message": message},
    }


def lost_result(outcome: Outcome, message: str) -> dict[str, Any]:
    """For tasks whose agent lost its memory."""
    return closed_result(outcome, ErrorCode.LOST_AGENT, message)


async def settle(
    connection: AsyncConnection,
    task_ids: Sequence[str],
    status: TaskStatus,
    result: dict[str, Any],
    now: datetime,
) -> None:
    """End these tasks, those that have not ended meanwhile. Inside the caller's write transaction."""
    for some in chunks(task_ids):
        await connection.execute(
            tasks.update()
            .where(tasks.c.id.in_(some), IS_OPEN)
            .values(status=status, result=result, ended_at=now, **{f"{status}_at": now})
        )
    await forget_passwords(connection, task_ids)


async def forget_passwords(connection: AsyncConnection, task_ids: Sequence[str]) -> None:
    """Hide the passwords in the parameters of those of these tasks that have ended, and in their batch once all of its
    tasks have, and in its group once all of its batches have. Inside the transaction that ended them.
    """
    batch_ids: set[str] = set()
    for some in chunks(task_ids):
        ended = sa.select(tasks.c.id, tasks.c.params, tasks.c.batch_id).where(
            tasks.c.id.in_(some), tasks.c.ended_at.is_not(None), tasks.c.name.in_(WITH_PASSWORDS)
        )
        for row in rows(await connection.execute(ended)):
            if await _hide(connection, tasks, row) and row["batch_id"] is not None:
                batch_ids.add(row["batch_id"])
    still_open = sa.exists().where(
        tasks.c.batch_id == task_batches.c.id, tasks.c.ended_at.is_(None)
    )
    for some in chunks(sorted(batch_ids)):
        whole = sa.select(task_batches.c.id, task_batches.c.params, task_batches.c.group_id).where(
            task_batches.c.id.in_(some), ~still_open
        )
        group_ids: set[str] = set()
        for row in rows(await connection.execute(whole)):
            if await _hide(connection, task_batches, row) and row["group_id"] is not None:
                group_ids.add(row["group_id"])
        for group_id in sorted(group_ids):
            await _forget_of_group(connection, group_id)


async def _forget_of_group(connection: AsyncConnection, group_id: str) -> None:
    still_open = (
        sa.select(tasks.c.id)
        .join(task_batches, task_batches.c.id == tasks.c.batch_id)
        .where(task_batches.c.group_id == group_id, IS_OPEN)
        .limit(1)
    )
    if await connection.scalar(still_open) is not None:
        return
    whole = sa.select(task_groups.c.id, task_groups.c.params).where(task_groups.c.id == group_id)
    for row in rows(await connection.execute(whole)):
        await _hide(connection, task_groups, row)


async def _hide(connection: AsyncConnection, table: sa.Table, row: dict[str, Any]) -> bool:
    """Whether there was something to hide."""
    shown = hidden(row["params"])
    if shown == row["params"]:
        return False
    await connection.execute(table.update().where(table.c.id == row["id"]).values(params=shown))
    return True
