"""Which files tasks brought, and how far their uploads are."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store
from cloud.store.schema.rows import AgentRow, FileRow, read_row, read_rows
from cloud.store.schema.tables import task_files, tasks

FILES_PER_TASK: Final = 8  # a log task brings one, a scan none


async def may_upload(store: Store, agent: AgentRow, task_id: str) -> bool:
    """Whether this agent was given that task."""
    query = sa.select(tasks.c.id).where(
        tasks.c.id == task_id,
        tasks.c.farm_id == agent.farm_id,
        tasks.c.agent_id == agent.id,
    )
    async with store.read() as connection:
        return (await connection.execute(query)).first() is not None


async def find_file(store: Store, task_id: str, name: str) -> FileRow | None:
    """The record of one file, complete or not."""
    query = task_files.select().where(task_files.c.task_id == task_id, task_files.c.name == name)
    async with store.read() as connection:
        return read_row(FileRow, await connection.execute(query))


class FilesFullError(Exception):
    """All files together would be over the cap."""


class TooManyFilesError(Exception):
    """One task brings more files than any task has."""


async def begin_file(
    store: Store,
    farm_id: str,
    task_id: str,
    name: str,
    size_bytes: int,
    sha256: str,
    cloud_s: float,
    *,
    cap_bytes: int,
) -> None:
    """Record an upload that begins, or starts over with other content. Its whole size counts from now on.

    Raises FilesFullError if all files together would be over `cap_bytes`, TooManyFilesError; then nothing changed.
    """
    async with store.write() as connection:
        await connection.execute(
            task_files.delete().where(task_files.c.task_id == task_id, task_files.c.name == name)
        )
        names = sa.select(sa.func.count()).where(task_files.c.task_id == task_id)
        if (await connection.execute(names)).scalar_one() >= FILES_PER_TASK:
            raise TooManyFilesError
        if await _held_bytes(connection) + size_bytes > cap_bytes:
            raise FilesFullError
        await connection.execute(
            task_files.insert().values(
                task_id=task_id,
                name=name,
                farm_id=farm_id,
                size_bytes=size_bytes,
                sha256=sha256,
                created_cloud_s=cloud_s,
            )
        )


async def oldest_beyond(
    store: Store, size_bytes: int, before_s: float, *, cap_bytes: int
) -> list[FileRow]:
    """The oldest files that must go for `size_bytes` to fit; none if that is not enough.

    An upload that began after `before_s` (cloud time) and is not complete yet stays.
    """
    finished = sa.or_(
        task_files.c.completed_at.is_not(None), task_files.c.created_cloud_s < before_s
    )
    query = task_files.select().where(finished).order_by(task_files.c.created_cloud_s)
    async with store.read() as connection:
        beyond = await _held_bytes(connection) + size_bytes - cap_bytes
        going: list[FileRow] = []
        if beyond <= 0:
            return going
        for row in read_rows(FileRow, await connection.execute(query)):
            going.append(row)
            beyond -= row.size_bytes
            if beyond <= 0:
                return going
    return []


async def complete_file(store: Store, task_id: str, name: str, now: datetime) -> None:
    """Its checksum matched."""
    async with store.write() as connection:
        await connection.execute(
            task_files.update()
            .where(task_files.c.task_id == task_id, task_files.c.name == name)
            .values(completed_at=now)
        )


async def all_files(store: Store) -> list[FileRow]:
    """Oldest first."""
    async with store.read() as connection:
        return read_rows(
            FileRow,
            await connection.execute(task_files.select().order_by(task_files.c.created_cloud_s)),
        )


async def forget_file(store: Store, task_id: str, name: str) -> None:
    """Drop the record of a file that was removed."""
    async with store.write() as connection:
        await connection.execute(
            task_files.delete().where(task_files.c.task_id == task_id, task_files.c.name == name)
        )


async def _held_bytes(connection: AsyncConnection) -> int:
    total = sa.select(sa.func.coalesce(sa.func.sum(task_files.c.size_bytes), 0))
    return int((await connection.execute(total)).scalar_one())
