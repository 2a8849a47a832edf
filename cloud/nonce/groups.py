"""Groups of batches that were ordered as one: how far they are, called off, asked for again, let go. Ours."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.context import CLOCK, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.http.auth import ACTOR, check_task
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import needs
from cloud.nonce import creation
from cloud.nonce.answers import actor_of, many, one, time_or_none
from cloud.nonce.batches import again_as_ordered, doubt, doubtful_of
from cloud.nonce.orders import BatchOrder, GroupOrder, Ordered
from cloud.nonce.requests import PAGE, batch_of, farm_of, group_of, named, page_of, read_body, takes
from cloud.nonce.standing import dispatch_of, standing_of
from cloud.nonce.tasks import masked_params
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.schema.rows import FarmRow
from cloud.store.tasks import batches, groups, lookup
from cloud.store.tasks.groups import CanaryTask, ListedGroup
from contract.nonce.answers import ActorItem
from contract.nonce.batches import NoBody, RetryBatch, Skip
from contract.nonce.groups import (
    CanaryItem,
    CanaryState,
    GroupBatch,
    GroupDetail,
    GroupItem,
    GroupWatts,
)
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.roles import Role
from contract.task import Params, TaskName, TaskStatus

_NAMED: Final = 5  # canaries that are listed one by one


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_groups(request: web.Request) -> web.Response:
    """GET F/tasks/groups, newest first."""
    farm, page = await farm_of(request), page_of(request)
    rows, total = await groups.page_of(request.app[STORE], farm.id, page)
    return many([_item(row) for row in rows], page, total)


@needs(Role.VIEWER)
@takes()
async def get_group(request: web.Request) -> web.Response:
    """GET F/tasks/groups/{group_id}: how far it is, batch by batch."""
    farm = await farm_of(request)
    async with request.app[STORE].read() as connection:
        group = await group_of(connection, farm, named(request, "group_id"))
        parts = await groups.batches_of(connection, group.id)
        first = await groups.canary_tasks(connection, group.id) if group.canary else []
        taken_w = await groups.watts_now(connection, group.id)
        batch_ids = [part.id for part in parts]
        standing = await standing_of(connection, farm, batch_ids)
    estimate = group.estimate or {}
    return one(
        GroupDetail(
            group=_item(group),
            batches=[
                GroupBatch(
                    batch_id=part.id,
                    task_name=part.task_name,
                    status=part.counts.status,
                    task_count=part.counts.total,
                    is_canary=part.is_canary,
                )
                for part in parts
            ],
            canary=_canary(group, first) if group.canary else None,
            watts=GroupWatts(
                before=estimate.get("before"), expected=estimate.get("expected"), now=taken_w
            ),
            held_reasons=standing.held_reasons(batch_ids),
            amount=standing.amount(batch_ids),
        )
    )


@needs(Role.OPERATOR)
@takes()
async def cancel_group(request: web.Request) -> web.Response:
    """POST F/tasks/groups/{group_id}/cancel: what no agent has, and all that is held, ends now; the rest ends as what
    truly happens. Answers how many of each.
    """
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    group_id, now = named(request, "group_id"), request.app[CLOCK].now()
    async with request.app[STORE].write() as connection:
        await group_of(connection, farm, group_id)
        parts = await groups.batches_of(connection, group_id)
        done = await batches.cancel(
            connection, [part.id for part in parts], now, request.app[SESSIONS].confirmed()
        )
        if done.at_once or done.requested:
            await groups.mark_cancelled(connection, group_id, now)
        group = await group_of(connection, farm, group_id)
        after = {
            "status": group.counts.status,
            "cancelled_count": done.at_once,
            "cancel_requested_count": done.requested,
        }
        await _record(request, connection, farm, "group.cancel", group_id, after)
    request.app[WAKE_UPS].wake(*done.agent_ids)
    return one({"group_id": group_id, **after})


@needs(Role.OPERATOR)
@takes()
async def retry_group(request: web.Request) -> web.Response:
    """POST F/tasks/groups/{group_id}/retry: the failed and timed-out tasks again, as a new group; as of a batch."""
    farm = await farm_of(request)
    body = await read_body(request, RetryBatch, may_be_empty=True)
    group_id = named(request, "group_id")
    async with request.app[STORE].read() as connection:
        group = await group_of(connection, farm, group_id)

    async def read(connection: Connection) -> Ordered:
        running = await groups.open_retry_of(connection, farm.id, group_id)
        if running is not None:
            raise ApiError(409, f"Group {running} retries this one and has not ended yet")
        orders: list[BatchOrder] = []
        left_out: list[Skip] = []
        for part in await groups.batches_of(connection, group_id):
            if not part.counts.failed + part.counts.timed_out:
                continue
            order, skips = await _again(connection, farm, part.id, body)
            orders.append(order)
            left_out += skips
        return Ordered(orders=orders, skipped=_joined(left_out))

    order = GroupOrder(
        name=TaskName(group.task_name),
        params=group.params,
        read=read,
        is_group=True,
        retry_of=group_id,
    )
    return json_response(await creation.create(request, farm, order))


@needs(Role.OPERATOR)
@takes()
async def release_group(request: web.Request) -> web.Response:
    """POST F/tasks/groups/{group_id}/release: let go what is held although nobody has proven those that went first. 409
    where nothing is held.
    """
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    group_id, actor = named(request, "group_id"), request[ACTOR]
    by = ActorItem(
        type=actor.type,
        id=actor.id,
        name=actor.name,
        avatar=actor.avatar,
        metadata=actor.metadata,
    )
    expires_cloud_s = request.app[TIME].now() + request.app[SETTINGS].queue_ttl_s
    async with request.app[STORE].write() as connection:
        group = await group_of(connection, farm, group_id)
        check_task(request, TaskName(group.task_name), Params())
        if not group.held:
            raise ApiError(409, "Nothing of this group is held")
        done = await groups.release(
            connection,
            group_id,
            farm.id,
            request.app[CLOCK].now(),
            expires_cloud_s=expires_cloud_s,
            by=msgspec.to_builtins(by),
        )
        group = await group_of(connection, farm, group_id)
        after = {"status": group.counts.status, "released_count": done.number}
        await _record(request, connection, farm, "group.release", group_id, after)
    request.app[WAKE_UPS].wake_for(farm.id, done.agent_ids)
    return one({"group_id": group_id, **after})


async def _record(
    request: web.Request,
    connection: Connection,
    farm: FarmRow,
    action: str,
    group_id: str,
    after: dict[str, Any],
) -> None:
    await audit.record(
        connection, request[ACTOR], request.app[CLOCK].now(), action, ("group", group_id),
        workspace_id=farm.workspace_id, farm_id=farm.id, after=after,
    )  # fmt: skip


async def _again(
    connection: Connection, farm: FarmRow, batch_id: str, body: RetryBatch
) -> tuple[BatchOrder, list[Skip]]:
    """What failed of one batch, and what is left out of it."""
    batch = await batch_of(connection, farm, batch_id)
    name = TaskName(batch.task_name)
    rows, _ = await lookup.of_batch(
        connection, batch_id, statuses=(TaskStatus.FAILED, TaskStatus.TIMED_OUT)
    )
    doubtful = [] if body.include_unknown else doubtful_of(name, rows)
    again = [row for row in rows if row not in doubtful]
    order = BatchOrder(
        request=again_as_ordered(name, batch.params, again),
        params=batch.params,
        dispatch=body.dispatch or dispatch_of(batch),
    )
    return order, doubt(doubtful)


def _joined(skips: list[Skip]) -> list[Skip]:
    """Those of all batches in one: their reason is the same."""
    if not skips:
        return []
    ids = [miner_id for skip in skips for miner_id in skip.miner_ids]
    return [msgspec.structs.replace(skips[0], miner_ids=ids)]


def _item(row: ListedGroup) -> GroupItem:
    counts = row.counts
    by = row.released_by
    return GroupItem(
        group_id=row.id,
        task_name=row.task_name,
        status=counts.status,
        batch_count=row.batch_count,
        task_count=counts.total,
        created_count=counts.created,
        queuing_count=counts.queuing,
        pending_count=counts.pending,
        succeed_count=counts.succeed,
        failed_count=counts.failed,
        timed_out_count=counts.timed_out,
        cancelled_count=counts.cancelled,
        unknown_count=row.unknown,
        held_count=row.held,
        task_params=masked_params(row.params),
        selection=row.selection,
        canary=row.canary,
        undo_of=row.undo_of,
        retry_of=row.retry_of,
        released_at=time_or_none(row.released_at),
        released_by=None if by is None else msgspec.convert(by, ActorItem),
        cancelled_at=time_or_none(row.cancelled_at),
        created_by=actor_of(row),
        created_at=nonce_time(row.created_at),
    )


def _canary(group: ListedGroup, first: list[CanaryTask]) -> CanaryItem:
    state, words = _judged(group, first)
    return CanaryItem(
        count=len(first),
        proven_count=sum(task.is_proven for task in first),
        held_count=group.held,
        state=state,
        message=words,
    )


def _judged(group: ListedGroup, first: list[CanaryTask]) -> tuple[CanaryState, str]:
    """Where it stands, and why the others wait or do not."""
    proven = sum(task.is_proven for task in first)
    under_way = sum(task.ended_at is None for task in first)
    so_far = f"{proven} of the {len(first)} that go first are proven"
    if group.cancelled_at is not None:
        return "cancelled", f"Called off; {so_far}"
    if group.released_by is not None:
        who = group.released_by.get("name") or group.released_by.get("id")
        return "released", f"Let go by {who}, although {so_far}"
    if group.released_at is not None or proven == len(first):
        return "proven", f"All {len(first)} that go first are proven, so the others follow"
    failed = [task for task in first if task.ended_at is not None and not task.is_proven]
    if failed:
        told = "; ".join(_why(task) for task in failed[:_NAMED])
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        return "failed", (
            f"{len(failed)} of the {len(first)} that go first are not proven: {told}{more}. "
            f"{group.held} wait until you let them go (release) or call them off (cancel)"
        )
    return "waiting", f"{so_far}, {under_way} are under way; {group.held} wait for them"


def _why(task: CanaryTask) -> str:
    """Of one that went first, why it proves nothing."""
    return f"{task.ip or task.miner_id} {groups.ended_words(task.status, task.result)}"


ROUTES: Final = (
    web.get(FARM + "/tasks/groups", list_groups, allow_head=False),
    web.get(FARM + "/tasks/groups/{group_id}", get_group, allow_head=False),
    web.post(FARM + "/tasks/groups/{group_id}/cancel", cancel_group),
    web.post(FARM + "/tasks/groups/{group_id}/retry", retry_group),
    web.post(FARM + "/tasks/groups/{group_id}/release", release_group),
)
