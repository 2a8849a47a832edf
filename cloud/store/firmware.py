"""The firmware library: which images a workspace has, how much of the disk they may take, and which tasks need one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store
from cloud.store.schema.rows import FirmwareRow, read_row, read_rows
from cloud.store.schema.tables import firmware, tasks
from contract.nonce.pages import Page
from contract.task import TaskName


class LibraryConflictError(Exception):
    """What is there does not go together with an image that is to be added."""


class LibraryFullError(Exception):
    """The images of all workspaces would be over the cap."""


async def find(connection: AsyncConnection, workspace_id: str, name: str) -> FirmwareRow | None:
    """The image of that name, complete or not."""
    query = firmware.select().where(
        firmware.c.workspace_id == workspace_id, firmware.c.name == name
    )
    return read_row(FirmwareRow, await connection.execute(query))


async def by_sha256(
    connection: AsyncConnection, workspace_id: str, digests: Collection[str]
) -> dict[str, FirmwareRow]:
    """The images with these contents, complete or not."""
    query = firmware.select().where(
        firmware.c.workspace_id == workspace_id, firmware.c.sha256.in_(digests)
    )
    found = read_rows(FirmwareRow, await connection.execute(query))
    return {row.sha256: row for row in found}


async def page_of(store: Store, workspace_id: str, page: Page) -> tuple[list[FirmwareRow], int]:
    """One page of those of a workspace, by name, and how many there are."""
    mine = firmware.c.workspace_id == workspace_id
    query = firmware.select().where(mine).order_by(firmware.c.name)
    async with store.read() as connection:
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return read_rows(FirmwareRow, found), await _number(connection, workspace_id)


async def names(connection: AsyncConnection, workspace_id: str) -> list[str]:
    """Those of a workspace whose files are whole, in order."""
    query = sa.select(firmware.c.name).where(
        firmware.c.workspace_id == workspace_id, firmware.c.completed_at.is_not(None)
    )
    return list(await connection.scalars(query.order_by(firmware.c.name)))


async def add(
    connection: AsyncConnection, values: dict[str, Any], *, most: int, cap_bytes: int
) -> None:
    """Record an image whose file is to come; its whole size counts from now on. `values` are columns of the table.

    Raises LibraryConflictError for one that is there under another name, and for one too many; LibraryFullError.
    """
    workspace_id, sha256 = values["workspace_id"], values["sha256"]
    same = (await by_sha256(connection, workspace_id, [sha256])).get(sha256)
    if same is not None:
        raise LibraryConflictError(f"This file is in the library already, as {same.name}")
    if await _number(connection, workspace_id) >= most:
        raise LibraryConflictError(f"A library has room for {most} images: remove some first")
    held = sa.select(sa.func.coalesce(sa.func.sum(firmware.c.size_bytes), 0))
    if int(await connection.scalar(held) or 0) + values["size_bytes"] > cap_bytes:
        raise LibraryFullError
    await connection.execute(firmware.insert().values(**values))


async def complete(store: Store, row: FirmwareRow, now: datetime) -> None:
    """Its checksum matched."""
    async with store.write() as connection:
        await connection.execute(firmware.update().where(*_is(row)).values(completed_at=now))


async def drop(connection: AsyncConnection, row: FirmwareRow) -> None:
    """Forget an image."""
    await connection.execute(firmware.delete().where(*_is(row)))


async def needed_by(connection: AsyncConnection, row: FirmwareRow) -> int:
    """How many open tasks were ordered with this image."""
    query = sa.select(sa.func.count()).where(
        tasks.c.workspace_id == row.workspace_id,
        tasks.c.name == TaskName.FIRMWARE,
        tasks.c.ended_at.is_(None),
        tasks.c.params["firmware"].as_string().is_not(None),
        tasks.c.params["sha256"].as_string() == row.sha256,
    )
    return await connection.scalar(query) or 0


async def abandoned(store: Store, before_s: float) -> list[FirmwareRow]:
    """Images that were announced before that cloud time, and whose files never became whole."""
    query = firmware.select().where(
        firmware.c.completed_at.is_(None), firmware.c.created_cloud_s < before_s
    )
    async with store.read() as connection:
        return read_rows(FirmwareRow, await connection.execute(query))


async def contents(store: Store) -> set[tuple[str, str]]:
    """The workspace and the sha256 of all there are."""
    query = sa.select(firmware.c.workspace_id, firmware.c.sha256)
    async with store.read() as connection:
        return {(row.workspace_id, row.sha256) for row in await connection.execute(query)}


def _is(row: FirmwareRow) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        firmware.c.workspace_id == row.workspace_id,
        firmware.c.name == row.name,
        firmware.c.sha256 == row.sha256,
    )


async def _number(connection: AsyncConnection, workspace_id: str) -> int:
    query = sa.select(sa.func.count()).where(firmware.c.workspace_id == workspace_id)
    return await connection.scalar(query) or 0
