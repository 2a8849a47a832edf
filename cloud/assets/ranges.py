"""Ranges of addresses that have a name. Agents of the farm are told of them with their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from cloud.context import CLOCK, STORE, WAKE_UPS
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, refused, takes
from cloud.store import ip_ranges
from cloud.store.access import audit
from cloud.store.access.agents import settings_changed
from cloud.store.engine import Store
from cloud.store.ids import new_uuid
from cloud.store.schema.rows import FarmRow, RangeRow
from contract.link import NAMED_MOST
from contract.nonce.batches import NoBody
from contract.nonce.ranges import AddRange, RangeItem, RemovedRange
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.ranges import parse_range
from contract.roles import Role
from contract.task import Params, ScanParams
from contract.words import FAULTS_MAX


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_ranges(request: web.Request) -> web.Response:
    """GET F/ip-ranges, by name."""
    farm, page = await farm_of(request), page_of(request)
    async with request.app[STORE].read() as connection:
        rows = await ip_ranges.of_farm(connection, farm.id)
    some = rows[page.offset : page.offset + page.size]
    return many([_item(row) for row in some], page, len(rows))


@needs(Role.OPERATOR)
@takes()
async def add_range(request: web.Request) -> web.Response:
    """POST F/ip-ranges. 409 where there is one of that name, or where the farm has too many."""
    farm = await farm_of(request)
    body = await read_body(request, AddRange)
    row = RangeRow(
        id=new_uuid(),
        farm_id=farm.id,
        name=body.name,
        range=body.range,
        auto_scan=body.auto_scan,
        actor_id=request[ACTOR].id,
        created_at=request.app[CLOCK].now(),
    )
    async with request.app[STORE].write() as connection:
        there = await ip_ranges.of_farm(connection, farm.id)
        _check_room(row, there)
        await ip_ranges.keep(connection, row)
        await settings_changed(connection, farm.id)
        await audit.record(
            connection, request[ACTOR], row.created_at, "ip_range.add", ("ip_range", row.id),
            workspace_id=farm.workspace_id, farm_id=farm.id, after=_told(row),
        )  # fmt: skip
    request.app[WAKE_UPS].wake_farm(farm.id)
    return one(_item(row))


@needs(Role.OPERATOR)
@takes()
async def remove_range(request: web.Request) -> web.Response:
    """DELETE F/ip-ranges/{range_id}, by its id or name."""
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    async with request.app[STORE].write() as connection:
        row = await ip_ranges.find(connection, farm.id, named(request, "range_id"))
        if row is None:
            raise ApiError(404, "No range of this farm has that id or name")
        await ip_ranges.drop(connection, farm.id, row.id)
        await settings_changed(connection, farm.id)
        await audit.record(
            connection, request[ACTOR], request.app[CLOCK].now(), "ip_range.remove",
            ("ip_range", row.id), workspace_id=farm.workspace_id, farm_id=farm.id, before=_told(row),
        )  # fmt: skip
    request.app[WAKE_UPS].wake_farm(farm.id)
    return one(RemovedRange(id=row.id))


async def check_ranges(store: Store, farm: FarmRow, params: Params) -> None:
    """Of an order to scan: that each range which is named by its id is the one of that id. ApiError 400: what people
    mean by a name and what is scanned would be two things.
    """
    told = params.ip_ranges if isinstance(params, ScanParams) else ()
    if not any(each.id for each in told):
        return
    async with store.read() as connection:
        known = {row.id: row for row in await ip_ranges.of_farm(connection, farm.id)}
    faults = []
    for index, each in enumerate(told):
        row = known.get(each.id or "")
        if each.id and row is None:
            faults.append(f"ip_ranges.{index}.id: no range of this farm has the id {each.id}")
        elif row is not None and parse_range(row.range) != parse_range(each.range):
            faults.append(
                f"ip_ranges.{index}.range: {row.name} is {row.range}, and not {each.range}"
            )
    if faults:
        raise refused(faults[:FAULTS_MAX])


def _check_room(row: RangeRow, there: Sequence[RangeRow]) -> None:
    """ApiError 409."""
    for each in there:
        if row.name.casefold() in (each.name.casefold(), each.id):  # capitals tell no two apart
            raise ApiError(409, f"A range is called {each.name} already: {each.range}")
    if len(there) >= NAMED_MOST:
        raise ApiError(409, f"This farm has {NAMED_MOST} ranges with a name: remove some first")


def _told(row: RangeRow) -> dict[str, object]:
    return {"name": row.name, "range": row.range, "auto_scan": row.auto_scan}


def _item(row: RangeRow) -> RangeItem:
    return RangeItem(
        id=row.id,
        name=row.name,
        range=row.range,
        addresses=len(parse_range(row.range)),
        auto_scan=row.auto_scan,
        created_by=row.actor_id,
        created_at=nonce_time(row.created_at),
    )


ROUTES: Final = (
    web.get(FARM + "/ip-ranges", list_ranges, allow_head=False),
    web.post(FARM + "/ip-ranges", add_range),
    web.delete(FARM + "/ip-ranges/{range_id}", remove_range),
)
