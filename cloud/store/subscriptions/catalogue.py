"""The classes of work of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import Store
from cloud.store.schema.rows import TaskClassRow, read_row, read_rows
from cloud.store.schema.tables import task_classes
from contract.clock import to_text
from contract.nonce.pages import Page
from contract.subscription.catalogue import BUILT_IN, task_id_of
from contract.subscription.link import TASKS_MOST, TaskClass
from contract.task import TaskName

CLASSES_MAX: Final = (
    1000  # of one workspace, deprecated ones included; far below what a message holds
)
assert CLASSES_MAX <= TASKS_MOST


class NoSuchClassError(Exception):
    """The workspace has no class of work of that number."""


class ClassConflictError(Exception):
    """The catalogue stands against it; in words for the operator."""


async def fill(connection: AsyncConnection, workspace_id: str, now: datetime) -> None:
    """The classes that a new workspace begins with."""
    await connection.execute(
        task_classes.insert(),
        [
            _row(workspace_id, small_id, operation, None, now)
            for small_id, operation in enumerate(BUILT_IN, start=1)
        ],
    )


async def all_of(connection: AsyncConnection, workspace_id: str) -> list[TaskClassRow]:
    """In the order of their numbers, deprecated ones too."""
    return read_rows(TaskClassRow, await connection.execute(_classes(workspace_id)))


async def page_of(store: Store, workspace_id: str, page: Page) -> tuple[list[TaskClassRow], int]:
    """One page of them, and how many there are."""
    async with store.read() as connection:
        query = _classes(workspace_id).limit(page.size).offset(page.sql_offset)
        found = read_rows(TaskClassRow, await connection.execute(query))
        return found, await _count(connection, workspace_id)


async def create(
    store: Store,
    workspace_id: str,
    operation: TaskName,
    model_name: str | None,
    now: datetime,
    *,
    by: Actor,
) -> TaskClassRow:
    """A class of work with the next number. Raises ClassConflictError for one that there is, and for one too many."""
    async with store.write() as connection:
        count = await _count(connection, workspace_id)
        if count >= CLASSES_MAX:
            raise ClassConflictError(f"this workspace has {CLASSES_MAX} classes of work already")
        row = _row(workspace_id, count + 1, operation, model_name, now)
        same = await connection.scalar(
            sa.select(task_classes.c.task_small_id).where(
                task_classes.c.workspace_id == workspace_id,
                task_classes.c.operation == operation,
                task_classes.c.family == row["family"],
                task_classes.c.deprecated_at.is_(None),
            )
        )
        if same is not None:
            raise ClassConflictError(f"class of work {same} is the same already")
        await connection.execute(task_classes.insert().values(**row))
        made = await _known(connection, workspace_id, count + 1)
        await _tell(connection, by, now, "task_class.create", made, after=_audited(made))
        return made


async def deprecate(
    store: Store, workspace_id: str, task_small_id: int, now: datetime, *, by: Actor
) -> TaskClassRow:
    """Nothing is dispatched by it any more, nor subscribed to. One that is deprecated stays as it is. Raises
    NoSuchClassError.
    """
    async with store.write() as connection:
        row = await _known(connection, workspace_id, task_small_id)
        if row.deprecated_at is not None:
            return row
        await connection.execute(
            task_classes.update()
            .where(
                task_classes.c.workspace_id == workspace_id,
                task_classes.c.task_small_id == task_small_id,
            )
            .values(deprecated_at=now)
        )
        await _tell(connection, by, now, "task_class.deprecate", row, before=_audited(row))
        return await _known(connection, workspace_id, task_small_id)


def task_class_of(row: TaskClassRow) -> TaskClass:
    """As the link carries it."""
    return TaskClass(
        task_small_id=row.task_small_id,
        task_id=task_id_of(row.workspace_id, row.task_small_id),
        operation=row.operation,
        model_name=row.model_name,
        is_deprecated=row.deprecated_at is not None,
        deprecated_at=None if row.deprecated_at is None else to_text(row.deprecated_at),
    )


def _row(
    workspace_id: str, small_id: int, operation: TaskName, model_name: str | None, now: datetime
) -> dict[str, Any]:
    return {
        "workspace_id": workspace_id,
        "task_small_id": small_id,
        "operation": operation.value,
        "model_name": model_name,
        "family": (model_name or "").lower(),
        "created_at": now,
    }


def _classes(workspace_id: str) -> sa.Select[Any]:
    mine = task_classes.c.workspace_id == workspace_id
    return sa.select(task_classes).where(mine).order_by(task_classes.c.task_small_id)


async def _count(connection: AsyncConnection, workspace_id: str) -> int:
    """Also the highest number: none is ever taken away."""
    mine = task_classes.c.workspace_id == workspace_id
    query = sa.select(sa.func.count()).select_from(task_classes).where(mine)
    return await connection.scalar(query) or 0


async def _known(
    connection: AsyncConnection, workspace_id: str, task_small_id: int
) -> TaskClassRow:
    query = _classes(workspace_id).where(task_classes.c.task_small_id == task_small_id)
    row = read_row(TaskClassRow, await connection.execute(query))
    if row is None:
        raise NoSuchClassError(f"there is no class of work {task_small_id}")
    return row


def _audited(row: TaskClassRow) -> dict[str, Any]:
    return {"operation": row.operation, "model_name": row.model_name}


async def _tell(
    connection: AsyncConnection,
    by: Actor,
    now: datetime,
    action: str,
    row: TaskClassRow,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    await audit.record(
        connection,
        by,
        now,
        action,
        ("task_class", str(row.task_small_id)),
        workspace_id=row.workspace_id,
        before=before,
        after=after,
    )
