"""Where miners were last proven to be set to hash: what another pool is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import chunks
from cloud.store.schema.tables import miners, tasks
from contract.clock import to_text
from contract.condition.judgement import pool_name
from contract.task import TaskName, TaskStatus


async def keep_proven_pools(connection: AsyncConnection, task_ids: Sequence[str]) -> None:
    """Of those of these tasks that set pools and were proven, note the pools with their miners, unless a later task has
    set others. Inside the transaction that ended them.
    """
    for some in chunks(task_ids):
        query = (
            sa.select(tasks.c.miner_id, tasks.c.ended_at, tasks.c.result, miners.c.pools_set)
            .join(miners, miners.c.id == tasks.c.miner_id)
            .where(
                tasks.c.id.in_(some),
                tasks.c.name == TaskName.POOLS,
                tasks.c.status == TaskStatus.SUCCEED,
            )
            .order_by(tasks.c.ended_at, tasks.c.id)
        )
        for miner_id, ended_at, result, before in await connection.execute(query):
            found = _pools_set(result, ended_at)
            if found is not None and (before is None or before["at"] <= found["at"]):
                await connection.execute(
                    miners.update().where(miners.c.id == miner_id).values(pools_set=found)
                )


def _pools_set(result: Any, at: datetime) -> dict[str, Any] | None:
    """`{at, pools: [host/account]}` of what the miner showed afterwards; None where it did not show it."""
    if not isinstance(result, dict) or result.get("verified") is not True:
        return None
    after = (result.get("evidence") or {}).get("after")
    shown = after.get("pools") if isinstance(after, dict) else None
    if not isinstance(shown, list):
        return None
    pools = [
        pool_name(str(pool["url"]), str(pool.get("user") or ""))
        for pool in shown
        if isinstance(pool, dict) and pool.get("url")
    ]
    return {"at": to_text(at), "pools": pools} if pools else None
