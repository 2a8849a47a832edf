"""What operators call about the playbooks of CPU/GPU rigs (ours).

GET    F/playbooks                              those of a farm
POST   F/playbooks                              make one
DELETE F/playbooks/{playbook_id}                forget one that no rig mines by
GET    F/rigs/{rig_id}/playbooks                those that a rig mines by
PUT    F/rigs/{rig_id}/playbooks/{playbook_id}  have it mine by one
DELETE F/rigs/{rig_id}/playbooks/{playbook_id}  have it not do so any more
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import web

from cloud.context import CLOCK, STORE
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes
from cloud.rigmonitor.operators import rig_of
from cloud.store.access.admin import NotThereError
from cloud.store.miners import playbooks
from cloud.store.miners.playbooks import ListedPlaybook, PlaybookConflictError
from contract.nonce.batches import NoBody
from contract.nonce.pages import Page
from contract.nonce.playbooks import CreatePlaybook, PlaybookItem, RemovedPlaybook
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.roles import Role

_NOT_FOUND: Final = "Playbook not found in this farm"
_ID_DIGITS: Final = 18  # of a number that a column of ids holds
log = structlog.get_logger(__name__)


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_playbooks(request: web.Request) -> web.Response:
    """GET F/playbooks, oldest first."""
    farm, page = await farm_of(request), page_of(request)
    found, total = await playbooks.page_of(request.app[STORE], farm.id, page)
    return many([_item(row) for row in found], page, total)


@needs(Role.OPERATOR)
@takes()
async def create_playbook(request: web.Request) -> web.Response:
    """POST F/playbooks. 409 where the farm keeps too many."""
    farm = await farm_of(request)
    body = await read_body(request, CreatePlaybook)
    with _refused():
        row = await playbooks.create(
            request.app[STORE],
            farm.id,
            body.model_dump(),
            request.app[CLOCK].now(),
            by=request[ACTOR],
        )
    log.info("playbook.created", playbook=row.id, farm=farm.id, actor=request[ACTOR].id)
    return one(_item(row))


@needs(Role.OPERATOR)
@takes()
async def remove_playbook(request: web.Request) -> web.Response:
    """DELETE F/playbooks/{playbook_id}. 409 while a rig mines by it."""
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    playbook_id = _playbook_id(request)
    with _refused():
        await playbooks.remove(
            request.app[STORE],
            playbook_id,
            request.app[CLOCK].now(),
            by=request[ACTOR],
            farm_id=farm.id,
        )
    log.info("playbook.removed", playbook=playbook_id, farm=farm.id, actor=request[ACTOR].id)
    return one(RemovedPlaybook(id=playbook_id))


@needs(Role.VIEWER)
@takes()
async def list_playbooks_of_rig(request: web.Request) -> web.Response:
    """GET F/rigs/{rig_id}/playbooks: all of them, in the order in which the rig is told of them."""
    rig = await rig_of(request)
    found = await playbooks.of_rig(request.app[STORE], rig.id)
    page = Page(1, playbooks.PLAYBOOKS_OF_RIG_MAX)
    return many([_item(row) for row in found], page, len(found))


@needs(Role.OPERATOR)
@takes()
async def assign_playbook(request: web.Request) -> web.Response:
    """PUT F/rigs/{rig_id}/playbooks/{playbook_id}. 409 for an ASIC, and for a second playbook of one program."""
    await read_body(request, NoBody, may_be_empty=True)
    rig, playbook_id = await rig_of(request), _playbook_id(request)
    with _refused():
        row = await playbooks.assign(
            request.app[STORE],
            playbook_id,
            rig.id,
            request.app[CLOCK].now(),
            by=request[ACTOR],
            farm_id=rig.farm_id,
        )
    log.info("playbook.assigned", playbook=row.id, rig=rig.id, actor=request[ACTOR].id)
    return one(_item(row))


@needs(Role.OPERATOR)
@takes()
async def take_playbook(request: web.Request) -> web.Response:
    """DELETE F/rigs/{rig_id}/playbooks/{playbook_id}: the rig stops what it mines by it, once it asks."""
    await read_body(request, NoBody, may_be_empty=True)
    rig, playbook_id = await rig_of(request), _playbook_id(request)
    with _refused():
        row = await playbooks.take_away(
            request.app[STORE],
            playbook_id,
            rig.id,
            request.app[CLOCK].now(),
            by=request[ACTOR],
            farm_id=rig.farm_id,
        )
    log.info("playbook.taken_away", playbook=row.id, rig=rig.id, actor=request[ACTOR].id)
    return one(_item(row))


@contextmanager
def _refused() -> Iterator[None]:
    """ApiError 404 for what is not there, 409 for what does not go together with what is."""
    try:
        yield
    except NotThereError:
        raise ApiError(404, _NOT_FOUND) from None
    except PlaybookConflictError as error:
        raise ApiError(409, str(error)) from None


def _playbook_id(request: web.Request) -> int:
    text = named(request, "playbook_id")
    if not (text.isascii() and text.isdigit() and len(text) <= _ID_DIGITS):
        raise ApiError(404, _NOT_FOUND)
    return int(text)


def _item(row: ListedPlaybook) -> PlaybookItem:
    times = {name: nonce_time(getattr(row, name)) for name in ("created_at", "updated_at")}
    return PlaybookItem(**playbooks.shown(row) | times)


ROUTES: Final = (
    web.get(FARM + "/playbooks", list_playbooks, allow_head=False),
    web.post(FARM + "/playbooks", create_playbook),
    web.delete(FARM + "/playbooks/{playbook_id}", remove_playbook),
    web.get(FARM + "/rigs/{rig_id}/playbooks", list_playbooks_of_rig, allow_head=False),
    web.put(FARM + "/rigs/{rig_id}/playbooks/{playbook_id}", assign_playbook),
    web.delete(FARM + "/rigs/{rig_id}/playbooks/{playbook_id}", take_playbook),
)
