"""Who did what (ours): of a workspace, of a farm, of a miner."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from aiohttp import web
from msgspec import UNSET

from cloud.context import STORE
from cloud.http.auth import WORKSPACE_ID
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, time_or_none
from cloud.nonce.requests import PAGE, farm_of, miner_ids_of, page_of, takes, text_of, words_of
from cloud.store.access import audit
from cloud.store.access.audit import AuditQuery, ListedAudit, MinerTask
from cloud.store.schema.rows import FarmRow
from contract.hiding import hidden
from contract.nonce.answers import ActorItem
from contract.nonce.audit import AuditItem, AuditTaskItem
from contract.nonce.sites import FARM, WORKSPACE
from contract.nonce.times import nonce_time, parse_time
from contract.roles import Role

_FILTERS: Final = ("actor", "key", "target", "miner", "from_time", "to_time")


@needs(Role.VIEWER)
@takes(*PAGE, *_FILTERS, lists=("action",))
async def list_workspace_audit(request: web.Request) -> web.Response:
    """GET W/audit: all that was done in the workspace, newest first."""
    return await _audit(request, None)


@needs(Role.VIEWER)
@takes(*PAGE, *_FILTERS, lists=("action",))
async def list_farm_audit(request: web.Request) -> web.Response:
    """GET F/audit: what was done on one farm, newest first."""
    return await _audit(request, await farm_of(request))


async def _audit(request: web.Request, farm: FarmRow | None) -> web.Response:
    store, page, miner_id = request.app[STORE], page_of(request), text_of(request, "miner")
    since, until = _time(request, "from_time"), _time(request, "to_time")
    if since is not None and until is not None and since > until:
        raise ApiError(400, "from_time must not be after to_time")
    farm_id = None if farm is None else farm.id
    if miner_id is not None:
        if farm is not None:
            miner_id = (await miner_ids_of(request, farm, [miner_id]))[miner_id]
        its_farm = await audit.farm_of_miner(store, request[WORKSPACE_ID], miner_id)
        if its_farm is None or farm_id not in (None, its_farm):
            raise ApiError(404, "miner: no miner here has this id")
        farm_id = its_farm
    wanted = AuditQuery(
        workspace_id=request[WORKSPACE_ID],
        farm_id=farm_id,
        actor=text_of(request, "actor"),
        key=text_of(request, "key"),
        actions=words_of(request, "action"),
        target=text_of(request, "target"),
        miner_id=miner_id,
        since=since,
        until=until,
    )
    rows, total = await audit.search(store, wanted, page)
    return many([_item(row) for row in rows], page, total)


def _time(request: web.Request, name: str) -> datetime | None:
    text = text_of(request, name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise ApiError(400, f"{name} {error}") from None


def _item(row: ListedAudit) -> AuditItem:
    return AuditItem(
        id=row.id,
        at=nonce_time(row.at),
        actor=ActorItem(type=row.actor_type, id=row.actor_id, name=row.actor_name),
        key_id=row.key_id,
        address=row.address,
        action=row.action,
        target_kind=row.target_kind,
        target_id=row.target_id,
        farm_id=row.farm_id,
        before=row.before,
        after=row.after,
        task=UNSET if row.task is None else _task(row.task),
    )


def _object(value: Any) -> dict[str, Any]:
    """What an agent told, if it is one."""
    return value if isinstance(value, dict) else {}


def _task(row: MinerTask) -> AuditTaskItem:
    result: dict[str, Any] = hidden(row.result or {})
    evidence, error = (_object(result.get(key)) for key in ("evidence", "error"))
    return AuditTaskItem(
        id=row.id,
        status=row.status,
        begun_at=time_or_none(row.pending_at),
        ended_at=time_or_none(row.ended_at),
        params=hidden(row.params),
        outcome=result.get("outcome"),
        error=error.get("message"),
        before=evidence.get("before"),
        after=evidence.get("after"),
    )


ROUTES: Final = (
    web.get(WORKSPACE + "/audit", list_workspace_audit, allow_head=False),
    web.get(FARM + "/audit", list_farm_audit, allow_head=False),
)
