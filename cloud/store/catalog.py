"""Farms and agents as operators list them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from cloud.store.conditions import Condition, accepted, matches
from cloud.store.engine import Store, rows
from cloud.store.schema import agents, farms
from contract.link import OFFLINE_AFTER_S
from contract.nonce import EnumFilter, Page

AGENT_STATUSES = ("online", "offline")


async def list_farms(
    store: Store, workspace_id: str, page: Page
) -> tuple[list[dict[str, Any]], int]:
    """One page of the farms of a workspace, oldest first, and how many there are."""
    mine = farms.c.workspace_id == workspace_id
    query = sa.select(farms).where(mine).order_by(farms.c.created_at, farms.c.id)
    async with store.read() as connection:
        total = await connection.scalar(sa.select(sa.func.count()).select_from(farms).where(mine))
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return rows(found), total or 0


async def farm_of(store: Store, workspace_id: str, farm_id: str) -> dict[str, Any] | None:
    """The farm, if it exists in this workspace."""
    query = sa.select(farms).where(farms.c.id == farm_id, farms.c.workspace_id == workspace_id)
    async with store.read() as connection:
        found = rows(await connection.execute(query))
    return found[0] if found else None


async def list_agents(
    store: Store,
    workspace_id: str,
    page: Page,
    *,
    now: datetime,
    online: frozenset[str],
    farm_id: EnumFilter | None = None,
    status: EnumFilter | None = None,
) -> tuple[list[dict[str, Any]], int]:
    """One page of the agents of a workspace with `farm_name` and `online`, oldest first, and their number.

    `online` are the agents this server heard within the lease; the stored stamp, written once a
    minute at most, speaks for the others.
    """
    heard = sa.or_(
        agents.c.id.in_(sorted(online)),
        agents.c.last_online_at >= now - timedelta(seconds=OFFLINE_AFTER_S),
    )
    conditions: list[Condition] = [
        agents.c.workspace_id == workspace_id,
        agents.c.revoked_at.is_(None),
        *matches(agents.c.farm_id, farm_id),
    ]
    if status is not None:
        let_through = accepted(AGENT_STATUSES, status)
        if let_through == {"online"}:
            conditions.append(heard)
        elif let_through == {"offline"}:
            conditions.append(sa.not_(sa.func.coalesce(heard, sa.false())))
        elif not let_through:
            conditions.append(sa.false())
    query = (
        sa.select(
            agents,
            farms.c.name.label("farm_name"),
            sa.func.coalesce(heard, sa.false()).label("online"),
        )
        .join(farms, farms.c.id == agents.c.farm_id)
        .where(*conditions)
        .order_by(agents.c.created_at, agents.c.id)
    )
    count = sa.select(sa.func.count()).select_from(agents).where(*conditions)
    async with store.read() as connection:
        total = await connection.scalar(count)
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return rows(found), total or 0
