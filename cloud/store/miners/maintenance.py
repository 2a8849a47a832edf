"""Miners that people work on: their agents are told, and what waits for them is called off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access.agents import settings_changed
from cloud.store.assets.pairs import GONE
from cloud.store.engine import Store, chunks
from cloud.store.miners.conditions import REPORTS_ITSELF
from cloud.store.schema.tables import IS_OPEN, miners, tasks
from cloud.store.tasks.handed import Confirmed
from cloud.store.tasks.settle import settle
from contract.errors import ErrorCode
from contract.link import MAINTAINED_MOST
from contract.outcome import Outcome
from contract.task import AssetStatus, Kind, TaskStatus

_CALLED_OFF: Final = {
    "outcome": Outcome.NOT_DONE,
    "verified": True,  # no agent ever had it
    "evidence": {},
    "error": {
        "code": ErrorCode.CANCELLED,
        "message": "The miner was put into maintenance before an agent took the task; nothing was sent to it. Create "
        "it again when the maintenance has ended, or with params.allow_maintenance = true",
    },
}


async def maintained(store: Store, farm_id: str) -> tuple[str, ...]:
    """The miners of a farm that are in maintenance, as their agents know them: by MAC, or `ip:ADDRESS`."""
    query = (
        sa.select(miners.c.identity)
        .where(
            miners.c.farm_id == farm_id,
            miners.c.ops_status == AssetStatus.MAINTENANCE,
            miners.c.identity.not_like(f"{REPORTS_ITSELF}%"),
            miners.c.identity.not_like("forgotten:%"),
            miners.c.identity.not_like(f"{GONE}%"),
        )
        .order_by(miners.c.identity)
        .limit(MAINTAINED_MOST)
    )
    async with store.read() as connection:
        return tuple(await connection.scalars(query))


async def changed(
    connection: AsyncConnection,
    farm_id: str,
    begun: Sequence[str],
    now: datetime,
    confirmed: Confirmed,
) -> frozenset[str]:
    """Some are in maintenance now, or are not any more: the agents of the farm fetch the list again. What would write
    to those of `begun` (ids) and has not begun itself is called off, unless it allows maintenance.

    Within the caller's transaction. Gives the agents to wake, which are asked to end what they hold.
    """
    await settings_changed(connection, farm_id)
    agent_ids: set[str] = set()
    for some in chunks(begun):
        never_handed = confirmed.never_handed().label("never_handed")
        query = sa.select(tasks.c.id, tasks.c.params, never_handed, tasks.c.agent_id).where(
            tasks.c.farm_id == farm_id,
            tasks.c.miner_id.in_(some),
            IS_OPEN,
            tasks.c.pending_at.is_(None),
            tasks.c.kind != Kind.LOOK,
        )
        found = [
            row
            for row in await connection.execute(query)
            if (row.params or {}).get("allow_maintenance") is not True
        ]
        waiting = [row.id for row in found if row.never_handed]
        await settle(connection, waiting, TaskStatus.CANCELLED, _CALLED_OFF, now)
        held = [row for row in found if not row.never_handed]
        await connection.execute(
            tasks.update()
            .where(tasks.c.id.in_([row.id for row in held]))
            .where(tasks.c.cancel_requested_at.is_(None))
            .values(cancel_requested_at=now)
        )
        agent_ids |= {row.agent_id for row in held if row.agent_id is not None}
    return frozenset(agent_ids)
