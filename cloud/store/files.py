"""Which files tasks brought, and how far their uploads are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cloud.store.engine import Store, rows
from cloud.store.schema import task_files, tasks


async def may_upload(store: Store, agent: dict[str, Any], task_id: str) -> bool:
    """Whether this agent was given that task."""
    query = sa.select(tasks.c.id).where(
        tasks.c.id == task_id,
        tasks.c.farm_id == agent["farm_id"],
        tasks.c.agent_id == agent["id"],
    )
    async with store.read() as connection:
        return (await connection.execute(query)).first() is not None


async def find_file(store: Store, task_id: str, name: str) -> dict[str, Any] | None:
    """The record of one file, complete or not."""
    query = task_files.select().where(task_files.c.task_id == task_id, task_files.c.name == name)
    async with store.read() as connection:
        row = (await connection.execute(query)).mappings().first()
    return dict(row) if row else None


async def begin_file(
    store: Store, farm_id: str, task_id: str, name: str, size_bytes: int, sha256: str, now: datetime
) -> None:
    """Record an upload that begins, or begins anew with other content."""
    async with store.write() as connection:
        await connection.execute(
            task_files.delete().where(task_files.c.task_id == task_id, task_files.c.name == name)
        )
        await connection.execute(
            task_files.insert().values(
                task_id=task_id,
                name=name,
                farm_id=farm_id,
                size_bytes=size_bytes,
                sha256=sha256,
                created_at=now,
            )
        )


async def complete_file(store: Store, task_id: str, name: str, now: datetime) -> None:
    """Its checksum matched."""
    async with store.write() as connection:
        await connection.execute(
            task_files.update()
            .where(task_files.c.task_id == task_id, task_files.c.name == name)
            .values(completed_at=now)
        )


async def all_files(store: Store) -> list[dict[str, Any]]:
    """Oldest first."""
    async with store.read() as connection:
        return rows(await connection.execute(task_files.select().order_by(task_files.c.created_at)))


async def forget_file(store: Store, task_id: str, name: str) -> None:
    """Drop the record of a file that was removed."""
    async with store.write() as connection:
        await connection.execute(
            task_files.delete().where(task_files.c.task_id == task_id, task_files.c.name == name)
        )
