"""Updates of agents as operators see them: listed, one with its agents, and called off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.context import CLOCK, SESSIONS, STORE, WAKE_UPS
from cloud.http.auth import ACTOR, WORKSPACE_ID
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import actor_of, many, one, time_or_none
from cloud.nonce.requests import PAGE, named, page_of, read_body, takes
from cloud.nonce.tasks import masked_params
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.subscriptions.shown import held_of
from cloud.store.tasks import batches, groups, updates
from cloud.store.tasks.groups import ListedGroup, ended_words
from cloud.store.tasks.updates import TurnTask
from cloud.updates.turns import failed_in, why_stopped
from contract.hiding import hidden
from contract.nonce.batches import NoBody
from contract.nonce.times import nonce_time
from contract.nonce.updates import (
    UPDATES,
    AgentUpdate,
    Turns,
    UpdateDetail,
    UpdateItem,
    UpdateState,
)
from contract.roles import Role


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_updates(request: web.Request) -> web.Response:
    """GET W/updates, newest first."""
    page = page_of(request)
    async with request.app[STORE].read() as connection:
        rows, total = await updates.page_of(connection, request[WORKSPACE_ID], page)
        items = [_item(row, await updates.tasks_of(connection, row.id)) for row in rows]
    return many(items, page, total)


@needs(Role.VIEWER)
@takes()
async def get_update(request: web.Request) -> web.Response:
    """GET W/updates/{group_id}: how far each agent is, what it was and is."""
    async with request.app[STORE].read() as connection:
        group = await _update_of(connection, request)
        found = await updates.tasks_of(connection, group.id)
        reasons = await _held_reasons(connection, request[WORKSPACE_ID], found)
    agents = [_agent(task, reasons.get(task.id)) for task in found]
    return one(UpdateDetail(update=_item(group, found), agents=agents))


async def _held_reasons(
    connection: Connection, workspace_id: str, found: Sequence[TurnTask]
) -> dict[str, str]:
    """By task, why the agent whose turn it is is not given it: what its site takes, or the policy of its farm."""
    batch_ids: dict[str, set[str]] = {}
    for task in found:
        if task.ended_at is None and not task.held:
            batch_ids.setdefault(task.farm_id, set()).add(task.batch_id)
    reasons: dict[str, str] = {}
    for farm_id, some in batch_ids.items():
        for each in await held_of(connection, farm_id, workspace_id, sorted(some)):
            reasons[each.id] = each.reason
    return reasons


@needs(Role.OPERATOR)
@takes()
async def cancel_update(request: web.Request) -> web.Response:
    """POST W/updates/{group_id}/cancel: what no agent has, and all that is held, ends now; the rest ends as what truly
    happens. Answers how many of each.
    """
    await read_body(request, NoBody, may_be_empty=True)
    now = request.app[CLOCK].now()
    async with request.app[STORE].write() as connection:
        group = await _update_of(connection, request)
        parts = await groups.batches_of(connection, group.id)
        done = await batches.cancel(
            connection, [part.id for part in parts], now, request.app[SESSIONS].confirmed()
        )
        if done.at_once or done.requested:
            await groups.mark_cancelled(connection, group.id, now)
        group = await _update_of(connection, request)
        after = {
            "status": group.counts.status,
            "cancelled_count": done.at_once,
            "cancel_requested_count": done.requested,
        }
        await audit.record(
            connection, request[ACTOR], now, "update.cancel", ("group", group.id),
            workspace_id=request[WORKSPACE_ID], after=after,
        )  # fmt: skip
    request.app[WAKE_UPS].wake(*done.agent_ids)
    return one({"group_id": group.id, **after})


async def _update_of(connection: Connection, request: web.Request) -> ListedGroup:
    group = await updates.find(connection, request[WORKSPACE_ID], named(request, "group_id"))
    if group is None:
        raise ApiError(404, "Update not found in this workspace")
    return group


def _item(row: ListedGroup, found: Sequence[TurnTask]) -> UpdateItem:
    counts, turns = row.counts, msgspec.convert(row.turns, Turns)
    state, message = _judged(row, found)
    return UpdateItem(
        group_id=row.id,
        state=state,
        message=message,
        status=counts.status,
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
        first_agent_id=turns.first_agent_id,
        at_once=turns.at_once,
        begin_within_s=turns.begin_within_s,
        cancelled_at=time_or_none(row.cancelled_at),
        created_by=actor_of(row),
        created_at=nonce_time(row.created_at),
    )


def _judged(row: ListedGroup, found: Sequence[TurnTask]) -> tuple[UpdateState, str]:
    """Where it stands, in words."""
    proven = sum(task.is_proven for task in found)
    under_way = sum(task.ended_at is None and not task.held for task in found)
    so_far = f"{proven} of {len(found)} agents are updated"
    if row.cancelled_at is not None:
        return "cancelled", f"Called off; {so_far}"
    failed = failed_in(found)
    if failed is not None:
        rest = f", {under_way} still under way" if under_way else ""
        return "stopped", f"{so_far}{rest}; no other one follows, as {why_stopped(failed)}"
    if proven == len(found):
        whole = "The agent is" if len(found) == 1 else f"All {len(found)} agents are"
        return "done", f"{whole} updated"
    first = next((task for task in found if task.is_first and not task.is_proven), None)
    if first is not None:
        return "first", f"{first.who} goes first; {row.held} wait for it"
    return "going", f"{so_far}, {under_way} are under way, {row.held} wait for their turn"


def _agent(task: TurnTask, held_reason: str | None) -> AgentUpdate:
    result = task.result or {}
    evidence = result.get("evidence")
    seen: dict[str, Any] = evidence if isinstance(evidence, dict) else {}
    outcome = result.get("outcome")
    ended = task.ended_at is not None and not task.is_proven
    return AgentUpdate(
        agent_id=task.agent_id,
        name=task.agent_name,
        farm_id=task.farm_id,
        farm_name=task.farm_name,
        task_id=task.id,
        batch_id=task.batch_id,
        is_first=task.is_first,
        is_held=task.held,
        held_reason=held_reason,
        status=task.status,
        outcome=None if outcome is None else str(outcome),
        message=ended_words(task.status, hidden(result)) if ended else None,
        before=_side(seen, "before"),
        after=_side(seen, "after"),
        ended_at=time_or_none(task.ended_at),
    )


def _side(seen: dict[str, Any], key: str) -> dict[str, Any] | None:
    """What the process told of itself, as far as it did."""
    side = seen.get(key)
    if not isinstance(side, dict) or not side:
        return None
    return {name: side.get(name) for name in ("version", "release_sha256")}


ROUTES: Final = (
    web.get(UPDATES, list_updates, allow_head=False),
    web.get(UPDATES + "/{group_id}", get_update, allow_head=False),
    web.post(UPDATES + "/{group_id}/cancel", cancel_update),
)
