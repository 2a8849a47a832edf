"""CreateTaskBatch, GetTaskBatch, ListTaskBatches, SearchTaskBatches; ours: cancel and retry, orders by selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.assets.ranges import check_ranges
from cloud.context import CLOCK, SESSIONS, STORE, WAKE_UPS
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import BY_TASK, needs
from cloud.nonce import creation
from cloud.nonce.answers import actor_of, many, one
from cloud.nonce.orders import BatchOrder, GroupOrder, Ordered, named_miners
from cloud.nonce.planning import BatchRequest
from cloud.nonce.requests import (
    PAGE,
    batch_of,
    farm_of,
    miner_ids_of,
    named,
    page_of,
    read_body,
    refused,
    takes,
    words_of,
)
from cloud.nonce.selections import selected
from cloud.nonce.standing import BatchStanding, dispatch_of, shown_dispatch, standing_of
from cloud.nonce.tasks import is_unknown, masked_params, signer, task_item
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.schema.rows import FarmRow, TaskRow
from cloud.store.tasks import batches, lookup
from cloud.store.tasks.batches import ListedBatch
from cloud.store.tasks.lookup import ListedTask
from contract.keys import NAMES_LIKENESS, nearest
from contract.nonce.batches import (
    BatchDetail,
    BatchHead,
    BatchItem,
    CreateBatch,
    NoBody,
    RetryBatch,
    SearchBatches,
    Skip,
)
from contract.nonce.filters import EnumFilter
from contract.nonce.pages import Page
from contract.nonce.searches import BODY_INSTEAD
from contract.nonce.sites import FARM
from contract.nonce.subscriptions import Dispatch
from contract.nonce.times import nonce_time
from contract.roles import Role
from contract.task import (
    SPECS,
    Kind,
    ParamsError,
    TaskName,
    TaskStatus,
    parse_params,
    stored_params,
)


@needs(BY_TASK)
@takes()
async def create_batch(request: web.Request) -> web.Response:
    """POST F/tasks/batches: a task for each miner (or agent) that is not skipped, in one transaction."""
    farm = await farm_of(request)
    body = await _by_id(request, farm, await read_body(request, CreateBatch))
    order = _order_of(body)
    if not SPECS[order.request.name].wants_miner:
        await check_ranges(request.app[STORE], farm, order.request.params)
        return json_response(await creation.create_for_agents(request, farm, order))
    wanted = _wanted(request, farm, body, order)
    if body.dry_run:
        return one(await creation.preview(request, farm, wanted))
    return json_response(await creation.create(request, farm, wanted))


@needs(Role.VIEWER)
@takes()
async def get_batch(request: web.Request) -> web.Response:
    """GET F/tasks/batches/{batch_id}."""
    farm = await farm_of(request)
    batch_id = named(request, "batch_id")
    async with request.app[STORE].read() as connection:
        row = await batch_of(connection, farm, batch_id)
        rows, _ = await lookup.of_batch(connection, batch_id)
        standing = await standing_of(connection, farm, [batch_id])
    sign, counts, held = signer(request), row.counts, standing.reasons
    actor, made = actor_of(row), nonce_time(row.created_at)
    return one(
        BatchDetail(
            batch=BatchHead(
                id=row.id,
                task_name=row.task_name,
                status=counts.status,
                created_by=actor,
                created_at=made,
            ),
            tasks=[task_item(each, sign, held.get(each.id)) for each in rows],
            batch_id=row.id,
            task_name=row.task_name,
            status=counts.status,
            task_count=counts.total,
            created_count=counts.created,
            queuing_count=counts.queuing,
            pending_count=counts.pending,
            succeed_count=counts.succeed,
            failed_count=counts.failed,
            timed_out_count=counts.timed_out,
            cancelled_count=counts.cancelled,
            task_params=masked_params(row.params),
            metadata=row.metadata,
            created_by=actor,
            created_at=made,
            dispatch=shown_dispatch(row),
            held_reasons=standing.held_reasons([batch_id]),
            amount=standing.amount([batch_id]),
        )
    )


@needs(Role.VIEWER)
@takes(*PAGE, lists=("task_name",))
async def list_batches(request: web.Request) -> web.Response:
    """GET F/tasks/batches, newest first; `task_name` may be several."""
    farm = await farm_of(request)
    names = words_of(request, "task_name")
    wanted = SearchBatches(
        task_name=None if names is None else EnumFilter.model_validate({"in": list(names)})
    )
    return await _search(request, farm, wanted, page_of(request))


@needs(Role.VIEWER)
@takes()
async def search_batches(request: web.Request) -> web.Response:
    """POST F/tasks/search, newest first."""
    farm = await farm_of(request)
    wanted = await read_body(request, SearchBatches, may_be_empty=True, instead=BODY_INSTEAD)
    return await _search(request, farm, wanted, wanted.page)


@needs(Role.OPERATOR)
@takes()
async def cancel_batch(request: web.Request) -> web.Response:
    """POST F/tasks/batches/{batch_id}/cancel (ours): what no agent has ends now, the rest ends as what
    truly happens. Answers how many of each.
    """
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    batch_id, now = named(request, "batch_id"), request.app[CLOCK].now()
    async with request.app[STORE].write() as connection:
        before = await batch_of(connection, farm, batch_id)
        done = await batches.cancel(connection, [batch_id], now, request.app[SESSIONS].confirmed())
        row = await batch_of(connection, farm, batch_id)
        after = {
            "status": row.counts.status,
            "cancelled_count": done.at_once,
            "cancel_requested_count": done.requested,
        }
        await audit.record(
            connection,
            request[ACTOR],
            now,
            "batch.cancel",
            ("batch", batch_id),
            workspace_id=farm.workspace_id,
            farm_id=farm.id,
            before={"status": before.counts.status},
            after=after,
        )
    request.app[WAKE_UPS].wake(*done.agent_ids)
    return one({"batch_id": batch_id, **after})


@needs(Role.OPERATOR)
@takes()
async def retry_batch(request: web.Request) -> web.Response:
    """POST F/tasks/batches/{batch_id}/retry (ours): the failed and timed-out tasks again, as a new batch.

    A one-shot whose outcome is unknown may have happened: it is left out unless `include_unknown`.
    409 while an earlier retry of the same batch still has open tasks, for parameters that are not taken any more, and
    where a password was given: it is not kept once all tasks of the batch have ended.
    """
    farm = await farm_of(request)
    body = await read_body(request, RetryBatch, may_be_empty=True)
    batch_id = named(request, "batch_id")
    async with request.app[STORE].read() as connection:
        batch = await batch_of(connection, farm, batch_id)
        rows, _ = await lookup.of_batch(
            connection,
            batch_id,
            statuses=(TaskStatus.FAILED, TaskStatus.TIMED_OUT),
        )
    name = TaskName(batch.task_name)
    spec = SPECS[name]
    doubtful = [] if body.include_unknown else doubtful_of(name, rows)
    again = [row for row in rows if row not in doubtful]
    order = BatchOrder(
        request=again_as_ordered(name, batch.params, again),
        params=batch.params,
        retry_of=batch_id,
        dispatch=body.dispatch or dispatch_of(batch),
        only_agents=frozenset(row.agent_id for row in again if row.agent_id),
    )
    if not spec.wants_miner:
        return json_response(
            await creation.create_for_agents(request, farm, order, *doubt(doubtful))
        )
    wanted = named_miners(order, *doubt(doubtful))
    return json_response(await creation.create(request, farm, wanted))


def again_as_ordered(
    name: TaskName, params: dict[str, Any] | None, rows: Sequence[TaskRow]
) -> BatchRequest:
    """For the miners of these tasks, with the parameters of their batch. ApiError 409 for parameters that are not taken
    any more, those whose passwords are gone among them.
    """
    # The places of a rack batch stand beside its parameters, as they did in its body.
    given = {key: value for key, value in (params or {}).items() if key != "updates"}
    try:
        parsed = parse_params(name, given)
    except ParamsError as error:
        raise ApiError(
            409, f"Its parameters are not taken any more, make a new batch: {error}"
        ) from None
    return BatchRequest(
        name=name, params=parsed, miner_ids=[row.miner_id for row in rows if row.miner_id]
    )


async def _search(
    request: web.Request, farm: FarmRow, wanted: SearchBatches, page: Page
) -> web.Response:
    store = request.app[STORE]
    rows, total = await batches.search(store, farm.id, wanted, page)
    async with store.read() as connection:
        standing = await standing_of(connection, farm, [row.id for row in rows])
    return many([_item(row, standing) for row in rows], page, total)


def _item(row: ListedBatch, standing: BatchStanding) -> BatchItem:
    counts = row.counts
    return BatchItem(
        batch_id=row.id,
        task_name=row.task_name,
        status=counts.status,
        task_count=counts.total,
        succeed_count=counts.succeed,
        failed_count=counts.unsuccessful,
        task_params=masked_params(row.params) or {},  # as its published example
        metadata=row.metadata,
        created_by=actor_of(row),
        created_at=nonce_time(row.created_at),
        dispatch=shown_dispatch(row),
        held_reasons=standing.held_reasons([row.id]),
        amount=standing.amount([row.id]),
    )


async def _by_id(request: web.Request, farm: FarmRow, body: CreateBatch) -> CreateBatch:
    """The same with each miner by its id, whatever the body calls it."""
    called = [*(body.miner_ids or ()), *(each.miner_id for each in body.updates or ())]
    ids = await miner_ids_of(request, farm, called)
    named_by_id = {
        "miner_ids": body.miner_ids and [ids[each] for each in body.miner_ids],
        "updates": body.updates
        and [each.model_copy(update={"miner_id": ids[each.miner_id]}) for each in body.updates],
    }
    return body.model_copy(update=named_by_id)


def _order_of(body: CreateBatch) -> BatchOrder:
    """Check what the body asks for. ApiError 400 with every fault found."""
    try:
        name = TaskName(body.task_name)
    except ValueError:
        near = nearest(body.task_name, TaskName, likeness=NAMES_LIKENESS)
        hint = f"did you mean {near}?" if near else f"must be one of {', '.join(TaskName)}"
        raise ApiError(400, f"task_name: no task is called so; {hint}") from None
    faults = _misplaced(name, body)
    try:
        params = parse_params(name, body.params)
    except ParamsError as error:
        raise refused([*error.faults, *faults]) from None
    if faults:
        raise refused(faults)
    stored = stored_params(name, params)
    places = {each.miner_id: (each.rack, each.position) for each in body.updates or ()}
    if places:
        updates = [each.model_dump() for each in body.updates or ()]
        stored = {"updates": updates, **(stored or {})}
    return BatchOrder(
        request=BatchRequest(
            name=name,
            params=params,
            miner_ids=list(places) or body.miner_ids or [],
            places=places,
        ),
        params=stored,
        dispatch=body.dispatch or Dispatch(),
    )


def _wanted(
    request: web.Request, farm: FarmRow, body: CreateBatch, order: BatchOrder
) -> GroupOrder:
    """The order of a body: for the miners that it names, or those that are selected when it is stored."""
    if body.selection is None:
        named_ones = named_miners(order)
        return msgspec.structs.replace(
            named_ones, canary=body.canary, is_group=body.canary is not None
        )
    selection, name = body.selection, order.request.name
    expected = None if body.dry_run else body.expect_count

    async def read(connection: Connection) -> Ordered:
        ids = await selected(connection, farm, selection, request.app[CLOCK].now())
        if expected is not None and not expected.holds(len(ids)):
            raise ApiError(
                409,
                f"{len(ids)} miners are selected now, and expect_count is {expected}: "
                "nothing was stored. Look at them by dry_run, and order with the count that it tells",
            )
        asked = BatchRequest(name=name, params=order.request.params, miner_ids=ids)
        return Ordered(orders=[msgspec.structs.replace(order, request=asked)])

    return GroupOrder(
        name=name,
        params=order.params,
        read=read,
        is_group=True,
        selection=selection.as_given(),
        canary=body.canary,
    )


def _misplaced(name: TaskName, body: CreateBatch) -> list[str]:
    """What is wrong with how the body says whom the task is for: by miner, by place, or as a whole."""
    if name is TaskName.RACK_LOCATION:
        return _misplaced_racks(name, body) + _misordered(name, body)
    faults = [] if body.updates is None else [f"updates is not for {name}"]
    if SPECS[name].wants_miner:
        if body.miner_ids is None and body.selection is None:
            faults.append(f"miner_ids is required for {name}, or a selection")
        if body.miner_ids is not None and body.selection is not None:
            faults.append("selection and miner_ids both say which miners: give one of them")
    else:
        faults += [
            f"{key} is not for {name}: an agent carries it out as a whole"
            for key in ("miner_ids", "selection", "canary", "dry_run")
            if getattr(body, key)
        ]
    return faults + _misordered(name, body)


def _misordered(name: TaskName, body: CreateBatch) -> list[str]:
    """What is wrong with how carefully it is to be done."""
    faults = []
    if body.canary is not None and not SPECS[name].by_agent:
        faults.append(f"canary is not for {name}: it changes records, all at once")
    if body.dispatch is not None and not SPECS[name].by_agent:
        faults.append(f"dispatch is not for {name}: it changes records, and goes to no agent")
    if body.selection is None:
        if body.expect_count is not None:
            faults.append("expect_count is for a selection")
    elif body.expect_count is None and not body.dry_run:
        faults.append(
            "expect_count is required with a selection: send it with dry_run first, which tells the count"
        )
    return faults


def _misplaced_racks(name: TaskName, body: CreateBatch) -> list[str]:
    faults = [
        f"{key} is not for {name}: updates names them"
        for key in ("miner_ids", "selection")
        if getattr(body, key) is not None
    ]
    if body.updates is None:
        return [*faults, f"updates is required for {name}"]
    if len({each.miner_id for each in body.updates}) < len(body.updates):
        return [*faults, "updates names a miner more than once"]
    return faults


def doubtful_of(name: TaskName, rows: Sequence[ListedTask]) -> list[ListedTask]:
    """Those that a retry would perhaps do a second time."""
    if SPECS[name].kind is not Kind.ONE_SHOT:
        return []
    return [row for row in rows if is_unknown(row)]


def doubt(rows: Sequence[TaskRow]) -> list[Skip]:
    """That these are left out of a retry; nothing for none."""
    if not rows:
        return []
    return [
        Skip(
            reason="outcome_unknown",
            message="Task skipped: nobody knows whether it happened. Look at the miner first, or send "
            '{"include_unknown": true} to do it regardless',
            miner_ids=[row.miner_id for row in rows if row.miner_id],
        )
    ]


ROUTES: Final = (
    web.post(FARM + "/tasks/batches", create_batch),
    web.get(FARM + "/tasks/batches", list_batches, allow_head=False),
    web.post(FARM + "/tasks/search", search_batches),
    web.get(FARM + "/tasks/batches/{batch_id}", get_batch, allow_head=False),
    web.post(FARM + "/tasks/batches/{batch_id}/cancel", cancel_batch),
    web.post(FARM + "/tasks/batches/{batch_id}/retry", retry_batch),
)
