"""Which miners of a farm are meant, and the filters that people keep under a name. Ours."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from aiohttp import web

from cloud.context import CLOCK, STORE
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one
from cloud.nonce.miners import query_of, saved_query_of
from cloud.nonce.requests import PAGE, farm_of, named, page_of, read_body, takes
from cloud.store import selections
from cloud.store.access import audit
from cloud.store.engine import Connection
from cloud.store.miners import search
from cloud.store.schema.rows import FarmRow, SelectionRow
from contract.nonce.batches import NoBody
from contract.nonce.selections import (
    SELECTIONS_MAX,
    SaveSelection,
    Selection,
    SelectionItem,
)
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.roles import Role


async def selected(
    connection: Connection, farm: FarmRow, selection: Selection, now: datetime
) -> list[str]:
    """The ids of the miners that are meant, by address. ApiError 400 for a name under which nothing is kept, or filters
    that are not taken any more.
    """
    wanted = await saved_query_of(connection, farm.id, selection, at="selection.saved")
    return await search.matching(connection, farm.id, wanted, now)


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_selections(request: web.Request) -> web.Response:
    """GET F/selections, by name."""
    farm, page = await farm_of(request), page_of(request)
    rows, total = await selections.page_of(request.app[STORE], farm.id, page)
    return many([_item(row) for row in rows], page, total)


@needs(Role.OPERATOR)
@takes()
async def save_selection(request: web.Request) -> web.Response:
    """POST F/selections: keep filters under a name. 409 where there is one of that name, unless it is to be replaced,
    or where the farm has too many.
    """
    farm = await farm_of(request)
    body = await read_body(request, SaveSelection)
    query_of(body.filters)  # refuses what no search takes
    row = SelectionRow(
        farm_id=farm.id,
        name=body.name,
        filters=body.filters.model_dump(mode="json", by_alias=True, exclude_unset=True),
        actor_id=request[ACTOR].id,
        created_at=request.app[CLOCK].now(),
    )
    async with request.app[STORE].write() as connection:
        there = await selections.find(connection, farm.id, body.name)
        if there is not None and not body.replace:
            raise ApiError(
                409, f'A selection is called {body.name} already; "replace": true takes its place'
            )
        if there is None and await selections.number_of(connection, farm.id) >= SELECTIONS_MAX:
            raise ApiError(409, f"This farm keeps {SELECTIONS_MAX} selections: delete some first")
        await selections.keep(
            connection, {name: getattr(row, name) for name in row.__struct_fields__}
        )
        await audit.record(
            connection, request[ACTOR], row.created_at, "selection.save", ("selection", row.name),
            workspace_id=farm.workspace_id, farm_id=farm.id,
            before=None if there is None else there.filters, after=row.filters,
        )  # fmt: skip
    return one(_item(row))


@needs(Role.OPERATOR)
@takes()
async def delete_selection(request: web.Request) -> web.Response:
    """DELETE F/selections/{name}."""
    farm = await farm_of(request)
    await read_body(request, NoBody, may_be_empty=True)
    name = named(request, "name")
    async with request.app[STORE].write() as connection:
        there = await selections.find(connection, farm.id, name)
        if there is None or not await selections.drop(connection, farm.id, name):
            raise ApiError(404, "No selection of this farm is called so")
        await audit.record(
            connection, request[ACTOR], request.app[CLOCK].now(), "selection.delete",
            ("selection", name), workspace_id=farm.workspace_id, farm_id=farm.id,
            before=there.filters,
        )  # fmt: skip
    return one({"name": name, "deleted": True})


def _item(row: SelectionRow) -> SelectionItem:
    return SelectionItem(
        name=row.name,
        filters=row.filters,
        created_by=row.actor_id,
        created_at=nonce_time(row.created_at),
    )


ROUTES: Final = (
    web.get(FARM + "/selections", list_selections, allow_head=False),
    web.post(FARM + "/selections", save_selection),
    web.delete(FARM + "/selections/{name}", delete_selection),
)
