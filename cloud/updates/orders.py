"""Ordering an update of agents: all of a workspace, of some farms, or those that are named. One goes first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from cloud.context import CLOCK, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.http.auth import ACTOR, WORKSPACE_ID
from cloud.http.errors import ApiError, json_response
from cloud.http.rights import needs
from cloud.nonce.answers import one
from cloud.nonce.creation import actor_columns, answer_of, maker_of
from cloud.nonce.orders import BatchOrder
from cloud.nonce.planning import BatchRequest
from cloud.nonce.requests import read_body, refused, takes
from cloud.nonce.tasks import masked_params
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.ids import new_uuid
from cloud.store.tasks import batches, groups, updates
from cloud.store.tasks.updates import EnrolledSite
from cloud.updates.choice import Candidate, Choice, chosen_of
from cloud.updates.newest import Newest, newer_than, newest_in
from contract.nonce.batches import BatchCreated, CreateAnswer
from contract.nonce.updates import UPDATES, CreateUpdate, PlannedAgent, Turns, UpdatePlan
from contract.task import SPECS, Params, ParamsError, TaskName, parse_params, stored_params

NAME: Final = TaskName.SELF_UPDATE


@needs(SPECS[NAME].role)
@takes()
async def create_update(request: web.Request) -> web.Response:
    """POST W/updates: a task for each agent that is not skipped, in one transaction; all but that of the first one are
    held. 409 where the count is not the expected one, or nobody is there to go first.
    """
    body = await read_body(request, CreateUpdate)
    params = _checked(body)
    newest = await newest_in(request.app[SETTINGS].data)
    if body.dry_run:
        async with request.app[STORE].read() as connection:
            choice = await _survey(request, connection, body, params, newest)
        return one(_plan(body, params, choice))
    async with request.app[STORE].write() as connection:
        choice = await _survey(request, connection, body, params, newest)
        _check_count(body, choice)
        answer = await _store(request, connection, body, params, choice)
    request.app[WAKE_UPS].wake(*(each.id for each in choice.chosen[:1]))
    return json_response(answer)


def _checked(body: CreateUpdate) -> Params:
    faults = []
    if body.agent_ids is not None and body.farm_ids is not None:
        faults.append("agent_ids and farm_ids both say which agents: give one of them")
    if body.expect_count is None and body.agent_ids is None and not body.dry_run:
        faults.append(
            "expect_count is required unless agent_ids names them: send it with dry_run first, which tells the count"
        )
    try:
        params = parse_params(NAME, body.params)
    except ParamsError as error:
        raise refused([*error.faults, *faults]) from None
    if faults:
        raise refused(faults)
    return params


async def _survey(
    request: web.Request,
    connection: Connection,
    body: CreateUpdate,
    params: Params,
    newest: Newest,
) -> Choice:
    """Who gets one. ApiError 400 for an agent or a farm that is not there, 409 for a first one that cannot be."""
    sites = await updates.sites_of(connection, request[WORKSPACE_ID])
    meant = _meant(body, sites)
    if body.farm_ids is not None:
        known = await updates.farms_by_id(connection, body.farm_ids)
        lacking = [
            each
            for each in body.farm_ids
            if each not in known or known[each].workspace_id != request[WORKSPACE_ID]
        ]
        if lacking:
            raise refused([f"farm_ids: no farm of this workspace is {each}" for each in lacking])
    first = None if body.first is None else _called("first", body.first, meant).id
    candidates = [_candidate(request, each, newest) for each in meant]
    try:
        return chosen_of(candidates, getattr(params, "target_version", None), first)
    except ValueError as error:
        raise ApiError(409, f"first: {error}") from None


def _meant(body: CreateUpdate, sites: Sequence[EnrolledSite]) -> list[EnrolledSite]:
    if body.agent_ids is not None:
        named = {
            each.id: each for each in (_called("agent_ids", id_, sites) for id_ in body.agent_ids)
        }
        return list(named.values())
    return [each for each in sites if body.farm_ids is None or each.farm_id in body.farm_ids]


def _called(key: str, called: str, sites: Sequence[EnrolledSite]) -> EnrolledSite:
    """The agent of that id, or of that name."""
    found = [each for each in sites if each.id == called] or [
        each for each in sites if each.name == called
    ]
    if len(found) != 1:
        number = "no" if not found else len(found)
        raise ApiError(400, f"{key}: {number} agents that are meant have the id or name {called}")
    return found[0]


def _candidate(request: web.Request, site: EnrolledSite, newest: Newest) -> Candidate:
    """As it said of itself last: what is stored may lag a minute."""
    sessions = request.app[SESSIONS]
    version, release, notices = site.version, site.release, (site.health or {}).get("notices")
    if (last := sessions.last_beat(site.id)) is not None:
        version, release, notices = last[0].version, last[0].release, last[0].notices
    return Candidate(
        id=site.id,
        name=site.name,
        farm_id=site.farm_id,
        farm_name=site.farm_name,
        version=version,
        release=release,
        created_at=site.created_at,
        is_online=sessions.is_online(site.id, site.last_online_cloud_s),
        is_updating=site.is_updating,
        has_notices=bool(notices),
        open_tasks=site.open_tasks,
        miners=site.miners,
        newest=newer_than(version, newest),
        is_newest_known=bool(newest),
    )


def _check_count(body: CreateUpdate, choice: Choice) -> None:
    count = len(choice.chosen) + _skipped(choice)
    if body.expect_count is not None and not body.expect_count.holds(count):
        raise ApiError(
            409,
            f"{count} agents are meant now, and expect_count is {body.expect_count}: nothing was stored. Look at them "
            "by dry_run, and order with the count that it tells",
        )


def _skipped(choice: Choice) -> int:
    return sum(len(skip.agent_ids or ()) for skip in choice.skipped)


def _plan(body: CreateUpdate, params: Params, choice: Choice) -> UpdatePlan:
    return UpdatePlan(
        task_params=masked_params(stored_params(NAME, params)),
        count=len(choice.chosen) + _skipped(choice),
        created_count=len(choice.chosen),
        skipped_count=_skipped(choice),
        first_agent_id=next((each.id for each in choice.chosen), None),
        at_once=body.at_once,
        begin_within_s=body.begin_within_s,
        agents=[
            PlannedAgent(
                id=each.id,
                name=each.name,
                farm_id=each.farm_id,
                farm_name=each.farm_name,
                version=each.version,
                release=each.release,
            )
            for each in choice.chosen
        ],
        skipped=choice.skipped,
    )


async def _store(
    request: web.Request,
    connection: Connection,
    body: CreateUpdate,
    params: Params,
    choice: Choice,
) -> CreateAnswer:
    """A group with a batch for the first one, and one for the others of each farm."""
    if not choice.chosen:
        return answer_of([], choice.skipped, None)
    now, group_id = request.app[CLOCK].now(), new_uuid()
    begin_by_cloud_s = request.app[TIME].now() + body.begin_within_s
    first, *others = choice.chosen
    turns = Turns(first_agent_id=first.id, at_once=body.at_once, begin_within_s=body.begin_within_s)
    stored = stored_params(NAME, params)
    order = BatchOrder(request=BatchRequest(name=NAME, params=params, miner_ids=[]), params=stored)
    await groups.insert(
        connection,
        {
            "id": group_id,
            "workspace_id": request[WORKSPACE_ID],
            "task_name": NAME,
            "params": stored,
            "canary": 1,
            "turns": msgspec.to_builtins(turns),
            "created_at": now,
            **actor_columns(request[ACTOR]),
        },
    )
    by_farm: dict[str, list[Candidate]] = defaultdict(list)
    for each in others:
        by_farm[each.farm_id].append(each)
    farms = await updates.farms_by_id(connection, {each.farm_id for each in choice.chosen})
    made: list[BatchCreated] = []
    for farm_id, some, is_first in [
        (first.farm_id, [first], True),
        *((farm_id, some, False) for farm_id, some in by_farm.items()),
    ]:
        maker = maker_of(request, farms[farm_id], order, now, group_id)
        maker = maker.of_batch(new_uuid(), is_first)
        rows: list[dict[str, Any]] = [
            maker.task(None, each.id, held=not is_first)
            | ({"queue_expires_cloud_s": begin_by_cloud_s} if is_first else {})
            for each in some
        ]
        await batches.insert(connection, [maker.batch(len(rows))], rows)
        made.append(maker.created(len(rows)))
    await audit.record(
        connection, request[ACTOR], now, NAME, ("group", group_id),
        workspace_id=request[WORKSPACE_ID],
        after={"tasks": len(choice.chosen), "params": stored, **msgspec.to_builtins(turns)},
    )  # fmt: skip
    return answer_of(made, choice.skipped, group_id)


ROUTES: Final = (web.post(UPDATES, create_update),)
