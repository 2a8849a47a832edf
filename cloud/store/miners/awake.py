"""The mode that a miner is to come back to: what readings do not tell of it, the task that stops it does."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.tables import miners
from contract.miner import PowerMode


async def keep_awake_mode(
    connection: AsyncConnection, miner_id: str, mode: PowerMode, seen_at: datetime
) -> None:
    """It hashed in this mode right before it was stopped, at that time; a later look that shows it awake knows better.
    Inside the caller's write transaction.
    """
    row = miners.c
    is_news = sa.or_(
        row.slow_read_at.is_(None),
        row.slow_read_at <= seen_at,
        row.mode.is_(None),
        row.mode == PowerMode.SLEEP,
    )
    await connection.execute(
        miners.update()
        .where(row.id == miner_id, row.awake_mode.is_distinct_from(mode), is_news)
        .values(awake_mode=mode)
    )
