"""What a confirmed proposal does: the record of the miner goes on with the control board that it has now.

A record is what people know of a miner (its id, history, tags, place, name) and what a device tells of itself. The
latter goes from the record of the device to that of the miner; in a swap both give theirs to each other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.access.agents import settings_changed
from cloud.store.assets import boards
from cloud.store.assets.boards import Moved, PartKind, Stay
from cloud.store.assets.pairs import GONE, Pair
from cloud.store.assets.proposals import drop_open_of
from cloud.store.miners.readings import OF_DEVICE
from cloud.store.schema.rows import MinerRow, read_rows
from cloud.store.schema.tables import IS_OPEN, miners, tasks

_OF_TYPE: Final = ("make", "model", "algorithm", "firmware", "hashrate_ideal_hs")


class OpenTasksError(Exception):
    """One of the two records has tasks to come: whom they are meant for would change under them. In words."""


async def join(
    connection: AsyncConnection, farm_id: str, pair: Pair, now: datetime, *, swap: bool
) -> None:
    """The record `asset_id` has the device of `found_id` from now on, whose record has in a swap the other's device,
    else goes where it knew nothing else, and stays without a device where it is of a miner of its own.

    Within the caller's transaction. Raises OpenTasksError.
    """
    await _check_tasks(connection, farm_id, pair)
    found_rows = await connection.execute(
        sa.select(miners).where(miners.c.id.in_(pair), miners.c.farm_id == farm_id)
    )
    rows = {row.id: row for row in read_rows(MinerRow, found_rows)}
    asset, found = rows[pair.asset_id], rows[pair.found_id]
    known = await boards.stays_in(connection, farm_id, pair)
    of_found, of_asset = _device(found), _device(asset)
    if swap:
        left = of_asset
    else:
        left = dict.fromkeys(OF_DEVICE) | {
            "identity": f"{GONE}{found.id}",
            "serials": "",
            "anomaly_flags": 0,
            "health": 0,
            "troubles": 0,
        }
    is_passing = not swap and _is_passing(known.get(found.id, ()), known.get(asset.id, ()))
    if is_passing:
        left["deleted_at"] = now
    elif not swap:
        left |= {name: of_found[name] for name in _OF_TYPE}
    # No two records of a farm may have one identity, not even for a moment.
    await _set(connection, found.id, now, {"identity": f"{GONE}{found.id}"})
    await _set(connection, asset.id, now, of_found)
    await _set(connection, found.id, now, left)
    await boards.give_back(connection, asset.id, found.id, known)
    if swap:
        await boards.give_back(connection, found.id, asset.id, known)
    if is_passing:
        await boards.hand_over(connection, found.id, asset.id)
        await connection.execute(
            tasks.update()
            .where(tasks.c.farm_id == farm_id, tasks.c.miner_id == found.id)
            .values(miner_id=asset.id)
        )
    elif not swap:
        await boards.end(connection, found.id, now)
    following = [
        Moved(msgspec.structs.replace(row, parts=parts), now, now)
        for row, parts in ((asset, found.parts), (found, left["parts"]))
        if row is asset or swap
    ]
    await boards.follow(connection, farm_id, following)
    await drop_open_of(connection, pair)
    await settings_changed(connection, farm_id)  # agents know those in maintenance by their MACs


async def _check_tasks(connection: AsyncConnection, farm_id: str, pair: Pair) -> None:
    query = sa.select(sa.func.count()).where(
        tasks.c.farm_id == farm_id, tasks.c.miner_id.in_(pair), IS_OPEN
    )
    if number := await connection.scalar(query):
        raise OpenTasksError(
            f"{number} tasks of these two are open: wait for their end, or cancel them"
        )


def _device(row: MinerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in OF_DEVICE}


def _is_passing(of_found: list[Stay] | tuple[()], of_asset: list[Stay] | tuple[()]) -> bool:
    """Whether a record knows of no hashboard that the asset did not have, too: it is no miner of its own."""
    had = {stay.serial for stay in of_asset}
    return all(stay.serial in had for stay in of_found if stay.kind == PartKind.HASHBOARD)


async def _set(
    connection: AsyncConnection, miner_id: str, now: datetime, values: dict[str, Any]
) -> None:
    await connection.execute(
        miners.update().where(miners.c.id == miner_id).values(**values, updated_at=now)
    )
