"""What the agents of a farm get of the classes of work that they never subscribed to."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import Store
from cloud.store.schema.rows import FarmRow
from cloud.store.schema.tables import farms
from contract.subscription.dispatch import DispatchPolicy


async def set_policy(
    store: Store, farm: FarmRow, policy: DispatchPolicy, now: datetime, *, by: Actor
) -> None:
    """From the next claim on."""
    async with store.write() as connection:
        here = farms.c.id == farm.id
        before = await connection.scalar(sa.select(farms.c.dispatch_policy).where(here))
        await connection.execute(
            farms.update().where(here).values(dispatch_policy=policy.value, updated_at=now)
        )
        await audit.record(
            connection,
            by,
            now,
            "farm.dispatch",
            ("farm", farm.id),
            workspace_id=farm.workspace_id,
            farm_id=farm.id,
            before={"policy": before},
            after={"policy": policy.value},
        )


async def farm_ids(store: Store, workspace_id: str) -> list[str]:
    """All farms of a workspace."""
    query = sa.select(farms.c.id).where(farms.c.workspace_id == workspace_id)
    async with store.read() as connection:
        return list(await connection.scalars(query))
