"""Ranges of addresses that people gave a name."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.rows import RangeRow, read_rows
from cloud.store.schema.tables import ip_ranges


async def of_farm(connection: AsyncConnection, farm_id: str) -> list[RangeRow]:
    """All of a farm, by name."""
    query = sa.select(ip_ranges).where(ip_ranges.c.farm_id == farm_id).order_by(ip_ranges.c.name)
    return read_rows(RangeRow, await connection.execute(query))


async def keep(connection: AsyncConnection, row: RangeRow) -> None:
    """Store one more."""
    values = {name: getattr(row, name) for name in row.__struct_fields__}
    await connection.execute(ip_ranges.insert(), [values])


async def drop(connection: AsyncConnection, farm_id: str, range_id: str) -> None:
    """Forget the one of that id."""
    await connection.execute(
        ip_ranges.delete().where(ip_ranges.c.farm_id == farm_id, ip_ranges.c.id == range_id)
    )
