"""Who is asking: operators by their key in either header, scoped to one workspace."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from cloud.context import CLOCK, STORE
from cloud.http.errors import ApiError, Handler
from cloud.http.peers import peer_of
from cloud.http.rights import endpoint_refusal, task_refusal
from cloud.link.sessions import Session
from cloud.store.access.actors import Actor
from cloud.store.access.keys import find_key
from cloud.store.schema.rows import AgentRow
from contract.nonce.sites import WORKSPACES
from contract.roles import role_of
from contract.task import Params, TaskName

OPERATOR_PREFIX: Final = "/private-api/"


ACTOR: Final = web.RequestKey("actor", Actor)
WORKSPACE_ID: Final = web.RequestKey("workspace_id", str)
AGENT: Final = web.RequestKey("agent", AgentRow)  # the row of the agent that calls
SESSION: Final = web.RequestKey("session", Session)


@web.middleware
async def operator_auth(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Guards everything under `/private-api/`; sets `request[ACTOR]` and `request[WORKSPACE_ID]`.

    401 without a valid key, 403 for a path of another workspace, and for what the role of the key does not reach: of
    an endpoint that declares none that is all but a manager.
    """
    if not request.path.startswith(OPERATOR_PREFIX):
        return await handler(request)
    key = await find_key(request.app[STORE], _secret(request), request.app[CLOCK].now())
    if key is None:
        raise ApiError(401, "Invalid or missing API key")
    parts = request.path.split("/")  # "", private-api, v1, workspace, ...
    is_of_any = request.path == WORKSPACES
    if len(parts) > 3 and parts[3] != key.workspace_id and not is_of_any:
        raise ApiError(403, "This API key has no permission for this workspace")
    role, resource = role_of(key.role), request.match_info.route.resource
    # what has no resource is no endpoint: 404 or 405
    if resource is not None and (
        refusal := endpoint_refusal(
            role, request.match_info.handler, f"{request.method} {resource.canonical}"
        )
    ):
        raise ApiError(403, refusal)
    request[WORKSPACE_ID] = key.workspace_id
    request[ACTOR] = Actor(
        type=key.actor_type,
        id=key.actor_id,
        name=key.actor_name,
        metadata=key.actor_metadata,
        role=role,
        key_id=key.id,
        address=peer_of(request),
    )
    return await handler(request)


def check_task(request: web.Request, name: TaskName, params: Params) -> None:
    """Before anything is done for a task. ApiError 403 where the role of the key that asks does not reach it."""
    refusal = task_refusal(request[ACTOR].role, name, params)
    if refusal is not None:
        raise ApiError(403, refusal)


def bearer(request: web.Request) -> str | None:
    """The token of `Authorization: Bearer <token>`; None for any other or no such header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def _secret(request: web.Request) -> str:
    secret = request.headers.get("x-api-key", "").strip()
    if secret:
        return secret
    if "Authorization" in request.headers:
        return bearer(request) or ""
    raise ApiError(401, "Missing x-api-key header")
