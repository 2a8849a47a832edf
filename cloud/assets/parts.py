"""Where a part with a serial number is, and was before: hashboards, power supplies, control parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from cloud.context import STORE
from cloud.http.errors import ApiError
from cloud.http.rights import needs
from cloud.nonce.answers import many, one
from cloud.nonce.requests import PAGE, farm_of, miner_of, named, page_of, takes
from cloud.store.assets import parts
from cloud.store.assets.parts import Stay, is_there
from contract.nonce.assets import MinerPartItem, PartItem, PartPlaceItem
from contract.nonce.sites import FARM
from contract.nonce.times import nonce_time
from contract.roles import Role


@needs(Role.VIEWER)
@takes()
async def get_part(request: web.Request) -> web.Response:
    """GET F/parts/{serial}: all parts of that serial number. 404 where none was ever seen in this farm."""
    farm, serial = await farm_of(request), named(request, "serial").strip()
    async with request.app[STORE].read() as connection:
        found = await parts.places_of(connection, farm.id, serial)
    if not found:
        raise ApiError(404, "No part of this serial number was seen in this farm")
    by_kind: dict[str, list[Stay]] = {}
    for stay in found:
        by_kind.setdefault(stay.kind, []).append(stay)
    return one([_part(serial, kind, stays) for kind, stays in by_kind.items()])


@needs(Role.VIEWER)
@takes(*PAGE)
async def list_parts(request: web.Request) -> web.Response:
    """GET F/miners/{miner_id}/parts: what is in a miner first, then what was, the newest first."""
    farm, page = await farm_of(request), page_of(request)
    miner = await miner_of(request, farm, deleted=True)
    async with request.app[STORE].read() as connection:
        mine = (await parts.stays_in(connection, farm.id, [miner.id])).get(miner.id, [])
        places = await parts.stays_of(connection, farm.id, {stay.serial for stay in mine})
    items = [_of_miner(stay, places.get((stay.kind, stay.serial), ())) for stay in reversed(mine)]
    items.sort(
        key=lambda item: (not item.is_there, item.kind, item.slot is not None, item.slot or 0)
    )
    return many(items[page.offset : page.offset + page.size], page, len(items))


def _part(serial: str, kind: str, stays: Sequence[Stay]) -> PartItem:
    places = [
        PartPlaceItem(
            miner_id=stay.miner_id,
            miner_name=stay.name,
            ip=stay.ip,
            mac=stay.mac,
            slot=stay.slot,
            first_seen_at=nonce_time(stay.first_seen_at),
            last_seen_at=nonce_time(stay.seen_at),
            is_there=is_there(stay, stays),
        )
        for stay in stays
    ]
    there = [each.mac or each.ip or each.miner_id for each in places if each.is_there]
    doubt = None
    if len(there) > 1:
        doubt = (
            f"{len(there)} miners show it at once ({', '.join(there[:5])}): it is no serial number, or one of them "
            "tells what is not so"
        )
    return PartItem(serial=serial, kind=kind, places=places, doubt=doubt)


def _of_miner(stay: Stay, places: Sequence[Stay]) -> MinerPartItem:
    before = [
        other
        for other in places
        if other.miner_id != stay.miner_id and other.first_seen_at < stay.first_seen_at
    ]
    return MinerPartItem(
        serial=stay.serial,
        kind=stay.kind,
        slot=stay.slot,
        first_seen_at=nonce_time(stay.first_seen_at),
        last_seen_at=nonce_time(stay.seen_at),
        is_there=is_there(stay, places),
        before_miner_id=before[-1].miner_id if before else None,
    )


ROUTES: Final = (
    web.get(FARM + "/parts/{serial}", get_part, allow_head=False),
    web.get(FARM + "/miners/{miner_id}/parts", list_parts, allow_head=False),
)
