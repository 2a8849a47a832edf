"""Selections of miners that operators saved under a name."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.tables import selections


async def filters_of(connection: AsyncConnection, farm_id: str, name: str) -> dict[str, Any] | None:
    """The filters of one, as the body of a search has them; None where there is none of that name."""
    query = sa.select(selections.c.filters).where(
        selections.c.farm_id == farm_id, selections.c.name == name
    )
    found: dict[str, Any] | None = await connection.scalar(query)
    return found


async def names(connection: AsyncConnection, farm_id: str) -> list[str]:
    """Those of a farm, in order."""
    query = sa.select(selections.c.name).where(selections.c.farm_id == farm_id)
    return list(await connection.scalars(query.order_by(selections.c.name)))
