"""Filters that people gave a name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store
from cloud.store.schema.rows import SelectionRow, read_row, read_rows
from cloud.store.schema.tables import selections
from contract.nonce.pages import Page


async def find(connection: AsyncConnection, farm_id: str, name: str) -> SelectionRow | None:
    """The one of that name."""
    query = sa.select(selections).where(selections.c.farm_id == farm_id, selections.c.name == name)
    return read_row(SelectionRow, await connection.execute(query))


async def page_of(store: Store, farm_id: str, page: Page) -> tuple[list[SelectionRow], int]:
    """One page of those of a farm, by name, and how many there are."""
    mine = selections.c.farm_id == farm_id
    query = sa.select(selections).where(mine).order_by(selections.c.name)
    async with store.read() as connection:
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return read_rows(SelectionRow, found), await number_of(connection, farm_id)


async def names(connection: AsyncConnection, farm_id: str) -> list[str]:
    """Those of a farm, in order."""
    query = sa.select(selections.c.name).where(selections.c.farm_id == farm_id)
    return list(await connection.scalars(query.order_by(selections.c.name)))


async def number_of(connection: AsyncConnection, farm_id: str) -> int:
    """How many a farm has."""
    query = sa.select(sa.func.count()).where(selections.c.farm_id == farm_id)
    return await connection.scalar(query) or 0


async def keep(connection: AsyncConnection, row: dict[str, Any]) -> None:
    """Store one in place of that of the same name. Keys are the table's columns."""
    await drop(connection, row["farm_id"], row["name"])
    await connection.execute(selections.insert(), [row])


async def drop(connection: AsyncConnection, farm_id: str, name: str) -> bool:
    """Whether there was one."""
    done = await connection.execute(
        selections.delete().where(selections.c.farm_id == farm_id, selections.c.name == name)
    )
    return bool(done.rowcount)
