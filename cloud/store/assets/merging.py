"""What a confirmed proposal does: the record of the miner goes on with the control board that it has now.

A record is what people know of a miner (its id, history, tags, place, name) and what a device tells of itself. The
latter goes from the record of the device to that of the miner; in a swap both give theirs to each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access.agents import settings_changed
from cloud.store.assets import parts
from cloud.store.assets.pairs import GONE, Pair
from cloud.store.assets.parts import PartChange, PartKind, Stay
from cloud.store.assets.proposals import drop_open_of, suggest
from cloud.store.miners.readings import OF_DEVICE
from cloud.store.schema.rows import MinerRow, read_rows
from cloud.store.schema.tables import IS_OPEN, miners, tasks
from contract.task import AssetStatus

_OF_TYPE: Final = ("make", "model", "algorithm", "firmware", "hashrate_ideal_hs")


class OpenTasksError(Exception):
    """One of the two records has tasks to come: whom they are meant for would change under them. In words."""


async def join(
    connection: AsyncConnection, farm_id: str, pair: Pair, now: datetime, *, swap: bool
) -> bool:
    """The record `asset_id` has the device of `found_id` from now on. That one's record has the device of the asset in
    a swap, and where that is in another case by now; else it goes where it knew no case of its own, or stays without
    a device. Gives whether it has that of the asset.

    Within the caller's transaction. Raises OpenTasksError.
    """
    await _check_tasks(connection, farm_id, pair)
    found_rows = await connection.execute(
        sa.select(miners).where(miners.c.id.in_(pair), miners.c.farm_id == farm_id)
    )
    rows = {row.id: row for row in read_rows(MinerRow, found_rows)}
    asset, found = rows[pair.asset_id], rows[pair.found_id]
    known = await parts.stays_in(connection, farm_id, pair)
    of_asset, of_found = known.get(asset.id, []), known.get(found.id, [])
    swap = swap or (asset.identity == asset.mac and _is_elsewhere(of_asset, of_found))
    is_passing = not swap and _is_passing(of_asset, of_found)
    left = _device(asset) if swap else _without_device(found, now, goes=is_passing)
    # No two records of a farm may have one identity, not even for a moment.
    await _set(connection, found.id, now, {"identity": f"{GONE}{found.id}"})
    await _set(connection, asset.id, now, _device(found))
    await _set(connection, found.id, now, left)
    await parts.give_back(connection, asset.id, found.id, known)
    asset_at, found_at = asset.last_read_at or now, found.last_read_at or now
    changed = [PartChange(msgspec.structs.replace(asset, parts=found.parts), found_at, asset_at)]
    if swap:
        await parts.give_back(connection, found.id, asset.id, known)
        changed.append(
            PartChange(msgspec.structs.replace(found, parts=asset.parts), asset_at, found_at)
        )
    elif is_passing:
        await parts.hand_over(connection, found.id, asset.id)
        await connection.execute(
            tasks.update()
            .where(tasks.c.farm_id == farm_id, tasks.c.miner_id == found.id)
            .values(miner_id=asset.id)
        )
    else:
        await parts.end(connection, found.id, found_at)
    await _keep_maintenance(connection, (asset, found), now, swap=swap)
    await parts.follow(connection, farm_id, changed)
    await drop_open_of(connection, pair)
    await suggest(connection, farm_id, pair, now)
    await settings_changed(connection, farm_id)  # agents know those in maintenance by their MACs
    return swap


def _is_elsewhere(of_asset: Iterable[Stay], of_found: Iterable[Stay]) -> bool:
    """Whether the device of the asset was seen without the parts that the found one shows."""
    shown = {(stay.kind, stay.serial) for stay in of_found if stay.last_seen_at is None}
    last = {(stay.kind, stay.serial): stay.last_seen_at for stay in of_asset}
    return bool(shared := shown & last.keys()) and None not in {last[key] for key in shared}


def _without_device(row: MinerRow, now: datetime, *, goes: bool) -> dict[str, Any]:
    """What is left of a record: of what type its miner is; nothing where it goes."""
    left: dict[str, Any] = dict.fromkeys(OF_DEVICE) | {
        "identity": f"{GONE}{row.id}",
        "serials": "",
        "anomaly_flags": 0,
        "health": 0,
        "troubles": 0,
    }
    return left | ({"deleted_at": now} if goes else {name: getattr(row, name) for name in _OF_TYPE})


async def _check_tasks(connection: AsyncConnection, farm_id: str, pair: Pair) -> None:
    query = sa.select(sa.func.count()).where(
        tasks.c.farm_id == farm_id, tasks.c.miner_id.in_(pair), IS_OPEN
    )
    if number := await connection.scalar(query):
        raise OpenTasksError(
            f"{number} tasks of these two are open: wait for their end, or cancel them"
        )


async def _keep_maintenance(
    connection: AsyncConnection, pair: tuple[MinerRow, MinerRow], now: datetime, *, swap: bool
) -> None:
    """Somebody has their hands on what is in maintenance: no confirmation lets it be written to, whichever record it
    has by now.
    """
    asset, found = pair
    values = dict.fromkeys(("ops_status", "asset_status"), AssetStatus.MAINTENANCE.value)
    is_meant = {each.id: each.ops_status == AssetStatus.MAINTENANCE for each in pair}
    if is_meant[found.id] and not is_meant[asset.id]:
        await _set(connection, asset.id, now, values)
    if swap and is_meant[asset.id] and not is_meant[found.id]:
        await _set(connection, found.id, now, values)


def _device(row: MinerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in OF_DEVICE}


def _is_passing(of_asset: Iterable[Stay], of_found: Iterable[Stay]) -> bool:
    """Whether a record knows of no hashboard that the asset did not have before it: it is no miner of its own."""
    since: dict[str, datetime] = {}
    for stay in of_asset:
        since.setdefault(stay.serial, stay.first_seen_at)
    return all(
        stay.serial in since and since[stay.serial] <= stay.first_seen_at
        for stay in of_found
        if stay.kind == PartKind.HASHBOARD
    )


async def _set(
    connection: AsyncConnection, miner_id: str, now: datetime, values: dict[str, Any]
) -> None:
    await connection.execute(
        miners.update().where(miners.c.id == miner_id).values(**values, updated_at=now)
    )
