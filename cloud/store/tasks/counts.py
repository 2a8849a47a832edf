"""How many tasks of a farm are open, and how many failed of late."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.schema.tables import tasks
from contract.task import TERMINAL, TaskStatus

_KINDS_MAX: Final = 100
_OPEN: Final = tuple(status for status in TaskStatus if status not in TERMINAL)
_FAILED: Final = (TaskStatus.FAILED, TaskStatus.TIMED_OUT)


async def open_tasks(connection: AsyncConnection, farm_id: str) -> list[tuple[str, str, int]]:
    """(name, status, how many), the most first."""
    count = sa.func.count()
    found = await connection.execute(
        sa.select(tasks.c.name, tasks.c.status, count)
        .where(tasks.c.farm_id == farm_id, tasks.c.status.in_(_OPEN))
        .group_by(tasks.c.name, tasks.c.status)
        .order_by(count.desc(), tasks.c.name, tasks.c.status)
        .limit(_KINDS_MAX)
    )
    return [(name, status, number) for name, status, number in found]


async def failed_tasks(
    connection: AsyncConnection, farm_id: str, since: datetime
) -> list[tuple[str, str, str | None, int]]:
    """(name, status, code of the error, how many) of those that ended since then, the most first."""
    count = sa.func.count()
    code = tasks.c.result["error"]["code"].as_string().label("code")
    found = await connection.execute(
        sa.select(tasks.c.name, tasks.c.status, code, count)
        .where(tasks.c.farm_id == farm_id, tasks.c.status.in_(_FAILED), tasks.c.ended_at >= since)
        .group_by(tasks.c.name, tasks.c.status, "code")
        .order_by(count.desc(), tasks.c.name, tasks.c.status, "code")
        .limit(_KINDS_MAX)
    )
    return [(name, status, each, number) for name, status, each, number in found]
