"""Ending tasks from the cloud's side: lost, expired, cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import chunks
from cloud.store.schema import tasks
from contract.errors import ErrorCode
from contract.task import Outcome, TaskStatus


def closed_result(outcome: Outcome, code: ErrorCode, message: str) -> dict[str, Any]:
    """A `result` for a task that ended without a word from its agent."""
    return {
        "outcome": outcome,
        "verified": False,
        "evidence": {},
        "error": {"code": code, "message": message},
    }


def lost_result(outcome: Outcome, message: str) -> dict[str, Any]:
    """For tasks whose agent lost its memory."""
    return closed_result(outcome, ErrorCode.LOST_AGENT, message)


async def settle(
    connection: AsyncConnection,
    task_ids: Sequence[str],
    status: TaskStatus,
    result: dict[str, Any],
    now: datetime,
) -> None:
    """End these tasks, those that have not ended meanwhile. Inside the caller's write transaction."""
    for some in chunks(task_ids):
        await connection.execute(
            tasks.update()
            .where(tasks.c.id.in_(some), tasks.c.ended_at.is_(None))
            .values(status=status, result=result, ended_at=now, **{f"{status}_at": now})
        )
