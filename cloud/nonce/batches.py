"""CreateTaskBatch, GetTaskBatch, ListTaskBatches, SearchTaskBatches; ours: cancel and retry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from cloud.context import CLOCK, STORE, WAKE_UPS
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import BY_TASK, needs
from cloud.nonce import creation
from cloud.nonce.answers import actor_of, many, one
from cloud.nonce.planning import BatchRequest
from cloud.nonce.requests import (
    PAGE,
    farm_of,
    miner_ids_of,
    named,
    page_of,
    read_body,
    refused,
    takes,
    words_of,
)
from cloud.nonce.tasks import is_unknown, masked_params, signer, task_item
from cloud.store.access import audit
from cloud.store.schema.rows import FarmRow, TaskRow
from cloud.store.tasks import batches, lookup
from cloud.store.tasks.batches import ListedBatch
from contract.errors import ErrorCode
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
from contract.nonce.times import nonce_time
from contract.outcome import Outcome
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

_CANCELLED: Final = {
    "outcome": Outcome.NOT_DONE,
    "verified": True,  # no agent ever had it
    "evidence": {},
    "error": {
        "code": ErrorCode.CANCELLED,
        "message": "Cancelled by the operator before an agent took it; nothing was sent to the miner",
    },
}


@needs(BY_TASK)
@takes()
async def create_batch(request: web.Request) -> web.Response:
    """POST F/tasks/batches: a task for each miner (or agent) that is not skipped, in one transaction."""
    farm = await farm_of(request)
    body = await _by_id(request, farm, await read_body(request, CreateBatch))
    order = _order_of(body)
    return json_response(await creation.create(request, farm, order))


@needs(Role.VIEWER)
@takes()
async def get_batch(request: web.Request) -> web.Response:
    """GET F/tasks/batches/{batch_id}."""
    farm = await farm_of(request)
    batch_id = named(request, "batch_id")
    async with request.app[STORE].read() as connection:
        row = await batches.find(connection, farm.id, batch_id)
        if row is None:
            raise ApiError(404, "Task batch not found in this farm")
        rows, _ = await lookup.of_batch(connection, farm.id, batch_id)
    sign, counts = signer(request), row.counts
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
            tasks=[task_item(each, sign) for each in rows],
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
        before = await batches.find(connection, farm.id, batch_id)
        if before is None:
            raise ApiError(404, "Task batch not found in this farm")
        done = await batches.cancel(connection, farm.id, batch_id, now, _CANCELLED)
        row = await batches.find(connection, farm.id, batch_id)
        assert row is not None
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
        batch = await batches.find(connection, farm.id, batch_id)
        if batch is None:
            raise ApiError(404, "Task batch not found in this farm")
        rows, _ = await lookup.of_batch(
            connection,
            farm.id,
            batch_id,
            statuses=(TaskStatus.FAILED, TaskStatus.TIMED_OUT),
        )
    name = TaskName(batch.task_name)
    spec = SPECS[name]
    doubtful = [
        row
        for row in rows
        if spec.kind is Kind.ONE_SHOT and is_unknown(row) and not body.include_unknown
    ]
    again = [row for row in rows if row not in doubtful]
    # The places of a rack batch stand beside its parameters, as they did in its body.
    given = {key: value for key, value in (batch.params or {}).items() if key != "updates"}
    try:
        params = parse_params(name, given)
    except ParamsError as error:  # an earlier version took them, or their passwords are gone
        raise ApiError(
            409, f"Its parameters are not taken any more, make a new batch: {error}"
        ) from None
    order = creation.BatchOrder(
        request=BatchRequest(
            name=name,
            params=params,
            miner_ids=[row.miner_id for row in again if row.miner_id],
        ),
        params=batch.params,
        retry_of=batch_id,
        only_agents=frozenset(row.agent_id for row in again if row.agent_id),
        skipped=[_doubt(doubtful)] if doubtful else [],
    )
    return json_response(await creation.create(request, farm, order))


async def _search(
    request: web.Request, farm: FarmRow, wanted: SearchBatches, page: Page
) -> web.Response:
    rows, total = await batches.search(request.app[STORE], farm.id, wanted, page)
    return many([_item(row) for row in rows], page, total)


def _item(row: ListedBatch) -> BatchItem:
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


def _order_of(body: CreateBatch) -> creation.BatchOrder:
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
    return creation.BatchOrder(
        request=BatchRequest(
            name=name,
            params=params,
            miner_ids=list(places) or body.miner_ids or [],
            places=places,
        ),
        params=stored,
    )


def _misplaced(name: TaskName, body: CreateBatch) -> list[str]:
    """What is wrong with how the body says whom the task is for: by miner, by place, or as a whole."""
    if name is not TaskName.RACK_LOCATION:
        faults = [] if body.updates is None else [f"updates is not for {name}"]
        if SPECS[name].wants_miner and body.miner_ids is None:
            return [*faults, f"miner_ids is required for {name}"]
        if not SPECS[name].wants_miner and body.miner_ids is not None:
            return [*faults, f"miner_ids is not for {name}: an agent carries it out as a whole"]
        return faults
    faults = [] if body.miner_ids is None else [f"miner_ids is not for {name}: updates names them"]
    if body.updates is None:
        return [*faults, f"updates is required for {name}"]
    if len({each.miner_id for each in body.updates}) < len(body.updates):
        return [*faults, "updates names a miner more than once"]
    return faults


def _doubt(rows: Sequence[TaskRow]) -> Skip:
    return Skip(
        reason="outcome_unknown",
        message="Task skipped: nobody knows whether it happened. Look at the miner first, or send "
        '{"include_unknown": true} to do it regardless',
        miner_ids=[row.miner_id for row in rows if row.miner_id],
    )


ROUTES: Final = (
    web.post(FARM + "/tasks/batches", create_batch),
    web.get(FARM + "/tasks/batches", list_batches, allow_head=False),
    web.post(FARM + "/tasks/search", search_batches),
    web.get(FARM + "/tasks/batches/{batch_id}", get_batch, allow_head=False),
    web.post(FARM + "/tasks/batches/{batch_id}/cancel", cancel_batch),
    web.post(FARM + "/tasks/batches/{batch_id}/retry", retry_batch),
)
