"""Names, places and tags of miners (ours): of one, or of as many as a farm has, in one transaction."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from cloud.context import CLOCK, STORE
from cloud.http.auth import ACTOR
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import one
from cloud.nonce.requests import farm_of, miner_of, read_body, refused, takes
from cloud.store.access import audit
from cloud.store.engine import chunks
from cloud.store.miners import places
from cloud.store.miners.places import Flaw, PlacePlan, PlaceWish
from cloud.store.schema.rows import FarmRow
from contract.nonce.places import (
    PLACES_BYTES,
    SHOWN_MAX,
    ChangeName,
    ChangePlaces,
    PlaceChange,
    PlaceFault,
    PlaceItem,
    PlacesItem,
)
from contract.nonce.sites import FARM
from contract.roles import Role
from contract.words import FAULTS_MAX, faults_in

_PIECE: Final = 1000


@needs(Role.OPERATOR)
@takes()
async def change_places(request: web.Request) -> web.Response:
    """POST F/miners/places: with a fault anywhere nothing is changed. `dry_run` shows what would be."""
    farm = await farm_of(request)
    body = await read_body(request, ChangePlaces, cap_bytes=PLACES_BYTES)
    wanted: list[PlaceWish] = []
    faults: dict[int, Flaw] = {}
    for some in chunks(list(enumerate(body.updates)), _PIECE):
        for index, update in some:
            try:
                wanted.append(_wanted(index, PlaceChange.model_validate(update)))
            except ValidationError as error:
                faults[index] = Flaw("; ".join(faults_in(error, PlaceChange)))
        await asyncio.sleep(0)  # there may be a hundred thousand, and agents are waiting
    if body.dry_run or faults:
        async with request.app[STORE].read() as connection:
            plan = await places.plan_places(connection, farm.id, wanted)
    else:
        plan = await write(request, farm, wanted)
    faults = dict(sorted((faults | plan.faults).items()))
    if faults and not body.dry_run:
        raise refused(
            [f"updates.{n}: {flaw.words}" for n, flaw in list(faults.items())[:FAULTS_MAX]]
        )
    return one(_answer(plan, faults, dry_run=body.dry_run))


@needs(Role.OPERATOR)
@takes()
async def change_name(request: web.Request) -> web.Response:
    """POST F/miners/{miner_id}/name. 409 where another miner of the farm is called so."""
    farm = await farm_of(request)
    body = await read_body(request, ChangeName)
    miner = await miner_of(request, farm)
    plan = await write(request, farm, [PlaceWish(0, miner.id, {"name": body.name})])
    if plan.faults:
        raise ApiError(409, next(iter(plan.faults.values())).words)
    return one(_answer(plan, {}, dry_run=False))


async def write(request: web.Request, farm: FarmRow, wanted: list[PlaceWish]) -> PlacePlan:
    """Change what differs, in one transaction; nothing where there is a fault, which the plan holds."""
    now = request.app[CLOCK].now()
    async with request.app[STORE].write() as connection:
        plan = await places.plan_places(connection, farm.id, wanted)
        if not plan.faults:
            await places.write_places(connection, plan.changes, now)
            await audit.record_each(
                connection,
                request[ACTOR],
                now,
                "miner.place.update",
                "miner",
                {each.miner.id: (each.before, each.after) for each in plan.changes},
                workspace_id=farm.workspace_id,
                farm_id=farm.id,
            )
    return plan


def _wanted(index: int, change: PlaceChange) -> PlaceWish:
    values: dict[str, Any] = change.model_dump(include=change.model_fields_set - {"miner"})
    if "tags" in values:
        values["tags"] = list(dict.fromkeys(values["tags"] or []))
    return PlaceWish(index, change.miner, values)


def _answer(plan: PlacePlan, faults: dict[int, Flaw], *, dry_run: bool) -> PlacesItem:
    return PlacesItem(
        dry_run=dry_run,
        changed_count=len(plan.changes),
        unchanged_count=plan.unchanged,
        fault_count=len(faults),
        changes=[
            PlaceItem(
                index=each.index,
                miner_id=each.miner.id,
                ip=each.miner.ip,
                name=each.miner.name,
                before=each.before,
                after=each.after,
            )
            for each in plan.changes[:SHOWN_MAX]
        ],
        faults=[
            PlaceFault(index=n, message=flaw.words, same_as=flaw.same_as)
            for n, flaw in list(faults.items())[:SHOWN_MAX]
        ],
    )


ROUTES: Final = (
    web.post(FARM + "/miners/places", change_places),
    web.post(FARM + "/miners/{miner_id}/name", change_name),
)
