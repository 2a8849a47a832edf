"""Workspaces, farms and agents as operators list them."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from cloud.store.engine import Store, chunks
from cloud.store.filters import Condition, accepted, matches
from cloud.store.schema.rows import AgentRow, FarmRow, WorkspaceRow, read_row, read_rows
from cloud.store.schema.tables import agents, farms, workspaces
from contract.nonce.filters import EnumFilter
from contract.nonce.pages import Page


class ListedAgent(AgentRow, kw_only=True):
    """An agent with the name of its farm."""

    farm_name: str | None


async def workspace(store: Store, workspace_id: str) -> WorkspaceRow:
    """One that is known to exist."""
    query = sa.select(workspaces).where(workspaces.c.id == workspace_id)
    async with store.read() as connection:
        row = read_row(WorkspaceRow, await connection.execute(query))
    assert row is not None
    return row


async def list_farms(store: Store, workspace_id: str, page: Page) -> tuple[list[FarmRow], int]:
    """One page of the farms of a workspace, oldest first, and how many there are."""
    mine = farms.c.workspace_id == workspace_id
    query = sa.select(farms).where(mine).order_by(farms.c.created_at, farms.c.id)
    async with store.read() as connection:
        total = await connection.scalar(sa.select(sa.func.count()).select_from(farms).where(mine))
        found = await connection.execute(query.limit(page.size).offset(page.sql_offset))
        return read_rows(FarmRow, found), total or 0


async def farm_of(store: Store, workspace_id: str, farm_id: str) -> FarmRow | None:
    """The farm, if it exists in this workspace."""
    query = sa.select(farms).where(farms.c.id == farm_id, farms.c.workspace_id == workspace_id)
    async with store.read() as connection:
        return read_row(FarmRow, await connection.execute(query))


async def agent_of(store: Store, workspace_id: str, agent_id: str) -> ListedAgent | None:
    """The agent, if it is of this workspace and not revoked."""
    query = (
        sa.select(agents, farms.c.name.label("farm_name"))
        .join(farms, farms.c.id == agents.c.farm_id)
        .where(
            agents.c.id == agent_id,
            agents.c.workspace_id == workspace_id,
            agents.c.revoked_at.is_(None),
        )
    )
    async with store.read() as connection:
        return read_row(ListedAgent, await connection.execute(query))


async def list_agents(
    store: Store,
    workspace_id: str,
    page: Page,
    *,
    is_online: Callable[[str, float | None], bool],
    farm_id: EnumFilter | None = None,
    status: EnumFilter | None = None,
) -> tuple[list[ListedAgent], int]:
    """One page of the agents of a workspace, oldest first, and how many match.

    `is_online` is asked with an agent's id and its stored `last_online_cloud_s`: who is there is known in memory only.
    """
    conditions: list[Condition] = [
        agents.c.workspace_id == workspace_id,
        agents.c.revoked_at.is_(None),
        *matches(agents.c.farm_id, farm_id),
    ]
    order = (agents.c.created_at, agents.c.id)
    stamps = (
        sa.select(agents.c.id, agents.c.last_online_cloud_s).where(*conditions).order_by(*order)
    )
    async with store.read() as connection:
        ids = [
            id_
            for id_, stamp in await connection.execute(stamps)
            if status is None
            or accepted(["online" if is_online(id_, stamp) else "offline"], status)
        ]
        found: list[ListedAgent] = []
        for some in chunks(ids[page.offset : page.offset + page.size]):
            query = (
                sa.select(agents, farms.c.name.label("farm_name"))
                .join(farms, farms.c.id == agents.c.farm_id)
                .where(agents.c.id.in_(some))
                .order_by(*order)
            )
            found += read_rows(ListedAgent, await connection.execute(query))
        return found, len(ids)
