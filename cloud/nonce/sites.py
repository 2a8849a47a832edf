"""ListWorkspaces, ListFarms, GetFarm, ListAgents, GetAgent and SearchAgents."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cloud.context import SESSIONS, SETTINGS, STORE
from cloud.http.auth import ACTOR, WORKSPACE_ID
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.link.sessions import Sessions
from cloud.nonce.answers import many, one, time_or_none
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes
from cloud.store.access import listing
from cloud.store.access.listing import ListedAgent
from cloud.store.schema.rows import FarmRow
from cloud.updates.newest import Newest, newer_than, newest_in
from contract.nonce.filters import EnumFilter
from contract.nonce.pages import Page
from contract.nonce.searches import BODY_INSTEAD
from contract.nonce.sites import (
    FARM,
    WORKSPACE,
    WORKSPACES,
    AgentItem,
    FarmItem,
    FarmRef,
    SearchAgents,
    WorkspaceItem,
)
from contract.roles import PERMISSIONS, Role


@needs(Role.VIEWER)
@takes()
async def list_workspaces(request: web.Request) -> web.Response:
    """GET /private-api/v1/workspaces (path ours): the one that the key is of."""
    row = await listing.workspace(request.app[STORE], request[WORKSPACE_ID])
    permissions = list(PERMISSIONS[request[ACTOR].role])
    item = WorkspaceItem(id=row.id, name=row.name, slug=row.id, permissions=permissions)
    return one([item])


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_farms(request: web.Request) -> web.Response:
    """GET W/farms."""
    page = page_of(request)
    rows, total = await listing.list_farms(request.app[STORE], request[WORKSPACE_ID], page)
    return many([_farm(row) for row in rows], page, total)


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_agents(request: web.Request) -> web.Response:
    """GET W/agents."""
    return await _agents(request, page_of(request))


@needs(Role.VIEWER)
@takes()
async def search_agents(request: web.Request) -> web.Response:
    """POST W/agents/search."""
    wanted = await read_body(request, SearchAgents, may_be_empty=True, instead=BODY_INSTEAD)
    return await _agents(request, wanted.page, wanted.farm_id, wanted.status)


@needs(Role.VIEWER)
@takes()
async def get_farm(request: web.Request) -> web.Response:
    """GET W/farms/{farm_id}."""
    return one(_farm(await farm_of(request)))


@needs(Role.VIEWER)
@takes()
async def get_agent(request: web.Request) -> web.Response:
    """GET W/agents/{agent_id}."""
    row = await listing.agent_of(
        request.app[STORE], request[WORKSPACE_ID], named(request, "agent_id")
    )
    if row is None:
        raise ApiError(404, "Agent not found in this workspace")
    newest = await newest_in(request.app[SETTINGS].data)
    return one(_agent(row, request.app[SESSIONS], newest))


async def _agents(
    request: web.Request,
    page: Page,
    farm_id: EnumFilter | None = None,
    status: EnumFilter | None = None,
) -> web.Response:
    sessions = request.app[SESSIONS]
    newest = await newest_in(request.app[SETTINGS].data)
    rows, total = await listing.list_agents(
        request.app[STORE],
        request[WORKSPACE_ID],
        page,
        is_online=sessions.is_online,
        farm_id=farm_id,
        status=status,
    )
    return many([_agent(row, sessions, newest) for row in rows], page, total)


def _farm(row: FarmRow) -> FarmItem:
    return FarmItem(**{name: getattr(row, name) for name in FarmItem.__struct_fields__})


def _agent(row: ListedAgent, sessions: Sessions, newest: Newest) -> AgentItem:
    """As it said of itself last: what is stored may lag a minute."""
    online = sessions.is_online(row.id, row.last_online_cloud_s)
    told_at = [row.last_updated_at]
    version, release, uptime_s, host = row.version, row.release, row.uptime_s, row.host
    if (last := sessions.last_beat(row.id)) is not None:
        beat, beat_at = last
        version, release, uptime_s, host = beat.version, beat.release, beat.uptime_s, beat.host
        told_at.append(beat_at)
    return AgentItem(
        id=row.id,
        farm_id=row.farm_id,
        farm=FarmRef(id=row.farm_id, name=row.farm_name),
        workspace_id=row.workspace_id,
        status="online" if online else "offline",
        version=version,
        release=release,
        newer_version=newer_than(version, newest),
        uptime=uptime_s,
        last_online_at=time_or_none(sessions.last_online_at(row.id, row.last_online_at)),
        last_updated_at=time_or_none(max((at for at in told_at if at is not None), default=None)),
        host=host,
    )


ROUTES: Final = (
    web.get(WORKSPACES, list_workspaces, allow_head=False),
    web.get(WORKSPACE + "/farms", list_farms, allow_head=False),
    web.get(FARM, get_farm, allow_head=False),
    web.get(WORKSPACE + "/agents", list_agents, allow_head=False),
    web.get(WORKSPACE + "/agents/{agent_id}", get_agent, allow_head=False),
    web.post(WORKSPACE + "/agents/search", search_agents),
)
