"""Which tasks no agent can have: not what the database holds, which may have been put back from a copy, but what its
agents have confirmed since this server began.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cloud.store.engine import Store
from cloud.store.schema.tables import agents, task_batches, tasks
from cloud.store.tasks.settle import settle
from contract.errors import ErrorCode
from contract.outcome import Outcome
from contract.task import TaskStatus

CALLED_OFF: Final = {
    "outcome": Outcome.NOT_DONE,
    "verified": True,  # no agent ever had it
    "evidence": {},
    "error": {
        "code": ErrorCode.CANCELLED,
        "message": "Called off before an agent took it; nothing was sent to the miner",
    },
}


class Confirmed(msgspec.Struct, frozen=True):
    """What is certain since this server began: `agent_ids` have told all that they know. Batches made after
    `found_until` are its own, which no copy of the database can have lost; `None`: it found no batch.
    """

    found_until: datetime | None
    agent_ids: frozenset[str]

    def never_handed(self) -> sa.ColumnElement[bool]:
        """Of tasks: no agent has it, nor ever had it. Of what was found, all those that may have got it have to confirm
        that: while a task is held, that is any agent of the farm.
        """
        may_have_it = sa.exists().where(
            agents.c.farm_id == tasks.c.farm_id,
            agents.c.revoked_at.is_(None),
            agents.c.token_hash.is_not(None),
            agents.c.id.not_in(self.agent_ids),
            sa.or_(
                tasks.c.agent_id.is_(None),
                tasks.c.held == sa.true(),
                agents.c.id == tasks.c.agent_id,
            ),
        )
        is_own: Any = (
            sa.true() if self.found_until is None else tasks.c.created_at > self.found_until
        )
        return sa.and_(tasks.c.handed_at.is_(None), sa.or_(is_own, ~may_have_it))


async def newest_batch_at(store: Store) -> datetime | None:
    """When the newest batch was made."""
    async with store.read() as connection:
        found: datetime | None = await connection.scalar(
            sa.select(sa.func.max(task_batches.c.created_at))
        )
    return found


async def end_called_off(store: Store, farm_id: str, confirmed: Confirmed, now: datetime) -> int:
    """End what was called off before it was certain that no agent has it, and is now. Returns how many."""
    query = sa.select(tasks.c.id).where(
        tasks.c.farm_id == farm_id,
        tasks.c.ended_at.is_(None),
        tasks.c.cancel_requested_at.is_not(None),
        confirmed.never_handed(),
    )
    async with store.write() as connection:
        ids = list(await connection.scalars(query))
        await settle(connection, ids, TaskStatus.CANCELLED, CALLED_OFF, now)
    return len(ids)
