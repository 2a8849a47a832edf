"""Changes of our own records of miners: what the event tasks do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.assets import parts, proposals
from cloud.store.schema.tables import miners

_FORGOTTEN = (
    "mac", "serial", "moving", "slow", "static", "raw", "hours", "mode", "mode_preset", "hashrate_hs",
    "hashrate_ideal_hs", "hashrate_24h_hs", "power_w", "temp_c", "uptime_s", "comment", "name", "hall", "row",
    "rack", "position", "hostname",
    "state", "expected_hs", "expected_w", "pool", "pools_set", "parts",
)  # fmt: skip


async def set_asset_status(
    connection: AsyncConnection,
    ids: Sequence[str],
    status: Mapping[str, str | None],
    comment: str | None,
    now: datetime,
) -> None:
    """Move miners in the farm's books. `status` holds `asset_status` and the `ops_status` that it means."""
    values: dict[str, Any] = {**status, "updated_at": now}
    if comment is not None:
        values["comment"] = comment
    await connection.execute(miners.update().where(miners.c.id.in_(ids)).values(values))


async def mark_deleted(
    connection: AsyncConnection, ids: Sequence[str], comment: str | None, now: datetime
) -> None:
    """Take miners out of every list; their rows stay. What was proposed of them waits for nobody any more."""
    await proposals.drop_open_of(connection, ids)
    values: dict[str, Any] = {"deleted_at": now, "updated_at": now}
    if comment is not None:
        values["comment"] = comment
    await connection.execute(miners.update().where(miners.c.id.in_(ids)).values(values))


async def forget(connection: AsyncConnection, ids: Sequence[str], now: datetime) -> None:
    """Erase what is known of miners, for good. An empty row stays because their tasks point at it; a
    device that shows up again is a new miner.
    """
    await parts.forget(connection, ids)
    await proposals.forget(connection, ids)
    await connection.execute(
        miners.update()
        .where(miners.c.id.in_(ids))
        .values(
            identity=sa.literal("forgotten:") + miners.c.id,
            deleted_at=sa.func.coalesce(
                miners.c.deleted_at, sa.bindparam("gone_at", now, miners.c.deleted_at.type)
            ),
            updated_at=now,
            tags=[],
            serials="",
            anomaly_flags=0,
            troubles=0,
            **dict.fromkeys(_FORGOTTEN),
        )
    )


async def set_tags(connection: AsyncConnection, tags: dict[str, list[str]], now: datetime) -> None:
    """Give each miner (by id) its new list of tags."""
    await _each(
        connection,
        [{"row_id": id_, "new_tags": new} for id_, new in tags.items()],
        {"tags": sa.bindparam("new_tags", type_=miners.c.tags.type), "updated_at": now},
    )


async def set_places(
    connection: AsyncConnection, places: dict[str, tuple[str | None, int | None]], now: datetime
) -> None:
    """Give each miner (by id) its rack and position; `None` clears."""
    await _each(
        connection,
        [
            {"row_id": id_, "new_rack": rack, "new_position": position}
            for id_, (rack, position) in places.items()
        ],
        {
            "rack": sa.bindparam("new_rack"),
            "position": sa.bindparam("new_position"),
            "updated_at": now,
        },
    )


async def _each(
    connection: AsyncConnection, changes: list[dict[str, Any]], values: dict[str, Any]
) -> None:
    if changes:
        await connection.execute(
            miners.update().where(miners.c.id == sa.bindparam("row_id")).values(values), changes
        )
