"""Task subscriptions as operators see and set them (ours).

GET  W/task-classes                             the catalogue
POST W/task-classes                             add a class of work
POST W/task-classes/{task_small_id}/deprecate   nothing more is dispatched by it
GET  F/subscriptions                            what the agents of a farm take work for
GET  F/dispatch                                 what they get that they never subscribed to
PUT  F/dispatch
GET  F/amounts                                  units done, and what they come to, by day and class
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import structlog
from aiohttp import web

from cloud.context import CLOCK, STORE, WAKE_UPS
from cloud.http.auth import ACTOR, WORKSPACE_ID
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one, time_or_none
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes, text_of
from cloud.store.schema.rows import SubscriptionRow, TaskClassRow
from cloud.store.subscriptions import catalogue, policy, shown
from cloud.store.subscriptions.catalogue import ClassConflictError, NoSuchClassError
from contract.nonce.batches import NoBody
from contract.nonce.sites import FARM, WORKSPACE
from contract.nonce.subscriptions import (
    AmountItem,
    CreateTaskClass,
    DispatchItem,
    SetDispatch,
    SubscriptionItem,
    TaskClassItem,
)
from contract.nonce.times import nonce_time, parse_time
from contract.roles import Role
from contract.subscription.catalogue import task_id_of
from contract.subscription.ids import object_id_text

_NOT_FOUND: Final = "Class of work not found in this workspace"
_ID_DIGITS: Final = 9  # of a number that a column of ids holds
_DAYS_DEFAULT: Final = 30
log = structlog.get_logger(__name__)


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_task_classes(request: web.Request) -> web.Response:
    """GET W/task-classes, by number."""
    page = page_of(request)
    found, total = await catalogue.page_of(request.app[STORE], request[WORKSPACE_ID], page)
    return many([_class(row) for row in found], page, total)


@needs(Role.MANAGER)
@takes()
async def create_task_class(request: web.Request) -> web.Response:
    """POST W/task-classes. 409 for one that there is already."""
    body = await read_body(request, CreateTaskClass)
    with _refused():
        row = await catalogue.create(
            request.app[STORE],
            request[WORKSPACE_ID],
            body.operation,
            body.model_name,
            request.app[CLOCK].now(),
            by=request[ACTOR],
        )
    return await _changed(request, row, "task_class.created")


@needs(Role.MANAGER)
@takes()
async def deprecate_task_class(request: web.Request) -> web.Response:
    """POST W/task-classes/{task_small_id}/deprecate."""
    await read_body(request, NoBody, may_be_empty=True)
    text = named(request, "task_small_id")
    if not text.isascii() or not text.isdigit() or len(text) > _ID_DIGITS:
        raise ApiError(404, _NOT_FOUND)
    with _refused():
        row = await catalogue.deprecate(
            request.app[STORE],
            request[WORKSPACE_ID],
            int(text),
            request.app[CLOCK].now(),
            by=request[ACTOR],
        )
    return await _changed(request, row, "task_class.deprecated")


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_subscriptions(request: web.Request) -> web.Response:
    """GET F/subscriptions, by agent and class; those that are no longer valid too."""
    farm, page = await farm_of(request), page_of(request)
    found, total = await shown.in_force(request.app[STORE], farm.id, page)
    return many([_subscription(row) for row in found], page, total)


@needs(Role.VIEWER)
@takes()
async def get_dispatch(request: web.Request) -> web.Response:
    """GET F/dispatch."""
    farm = await farm_of(request)
    return one(DispatchItem(farm_id=farm.id, policy=farm.dispatch_policy))


@needs(Role.MANAGER)
@takes()
async def set_dispatch(request: web.Request) -> web.Response:
    """PUT F/dispatch; what waits is judged by it at once."""
    farm = await farm_of(request)
    body = await read_body(request, SetDispatch)
    await policy.set_policy(
        request.app[STORE], farm, body.policy, request.app[CLOCK].now(), by=request[ACTOR]
    )
    request.app[WAKE_UPS].wake_farm(farm.id)
    return one(DispatchItem(farm_id=farm.id, policy=body.policy))


@needs(Role.VIEWER)
@takes("from_time", "to_time")
async def list_amounts(request: web.Request) -> web.Response:
    """GET F/amounts: of the last thirty days, or as given; all of it, without pages."""
    farm, now = await farm_of(request), request.app[CLOCK].now()
    bounds = {"from_time": now - timedelta(days=_DAYS_DEFAULT), "to_time": now}
    for name in bounds:
        text = text_of(request, name)
        if text is not None:
            try:
                bounds[name] = parse_time(text)
            except ValueError as error:
                raise ApiError(400, f"{name} {error}") from None
    found = await shown.days_of_work(
        request.app[STORE], farm.id, bounds["from_time"], bounds["to_time"]
    )
    return one([AmountItem(**each) for each in shown.totals(found)])


async def _changed(request: web.Request, row: TaskClassRow, event: str) -> web.Response:
    """Told, and what waits is judged by it at once."""
    workspace_id = request[WORKSPACE_ID]
    log.info(event, task=row.task_small_id, workspace=workspace_id, actor=request[ACTOR].id)
    for farm_id in await policy.farm_ids(request.app[STORE], workspace_id):
        request.app[WAKE_UPS].wake_farm(farm_id)
    return one(_class(row))


@contextmanager
def _refused() -> Iterator[None]:
    """Within the block, what the catalogue refuses is answered as such."""
    try:
        yield
    except NoSuchClassError:
        raise ApiError(404, _NOT_FOUND) from None
    except ClassConflictError as error:
        raise ApiError(409, str(error)) from None


def _class(row: TaskClassRow) -> TaskClassItem:
    return TaskClassItem(
        task_small_id=row.task_small_id,
        task_id=object_id_text(task_id_of(row.workspace_id, row.task_small_id)),
        operation=row.operation,
        model_name=row.model_name,
        is_deprecated=row.deprecated_at is not None,
        created_at=nonce_time(row.created_at),
        deprecated_at=time_or_none(row.deprecated_at),
    )


def _subscription(row: SubscriptionRow) -> SubscriptionItem:
    return SubscriptionItem(
        agent_id=row.agent_id,
        ledger=row.ledger,
        node_small_id=row.node_small_id,
        task_small_id=row.task_small_id,
        price_per_compute_unit=row.price,
        max_num_compute_units=row.max_units,
        valid=row.valid,
        tx_digest=row.tx_digest,
        updated_at=nonce_time(row.updated_at),
    )


ROUTES: Final = (
    web.get(WORKSPACE + "/task-classes", list_task_classes, allow_head=False),
    web.post(WORKSPACE + "/task-classes", create_task_class),
    web.post(WORKSPACE + "/task-classes/{task_small_id}/deprecate", deprecate_task_class),
    web.get(FARM + "/subscriptions", list_subscriptions, allow_head=False),
    web.get(FARM + "/dispatch", get_dispatch, allow_head=False),
    web.put(FARM + "/dispatch", set_dispatch),
    web.get(FARM + "/amounts", list_amounts, allow_head=False),
)
