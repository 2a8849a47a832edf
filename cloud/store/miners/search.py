"""Miners as operators search for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.engine import Store, chunks
from cloud.store.miners.conditions import MinerQuery, listed, ordered
from cloud.store.miners.readings import DUPLICATE_MAC
from cloud.store.schema.rows import MinerRow, read_rows
from cloud.store.schema.tables import miners
from contract.nonce.miners import SortKey
from contract.nonce.pages import Page

# What a row of a miner is for everybody but the driver's author and the hourly mean.
COLUMNS: Final = tuple(
    column for column in miners.c if column.name not in ("raw", "hours", "parts")
)
FIGURES: Final = ("moving", "static")  # of these, what makes a row long
_PIECE: Final = 2000  # ids in hand at once


class ListedMiner(MinerRow, kw_only=True):
    """A miner without `raw`, `hours` and `parts`; and where else its MAC is shown."""

    twin_ips: list[str] = msgspec.field(default_factory=list)


async def find(
    store: Store,
    farm_id: str,
    wanted: MinerQuery,
    page: Page,
    now: datetime,
    sort: Sequence[SortKey] = (),
) -> tuple[list[ListedMiner], int]:
    """One page of the miners that match, in this order and then by address, and how many match."""
    where = listed(farm_id, wanted, now)
    async with store.read() as connection:
        query = sa.select(miners.c.id).where(where).order_by(*ordered(sort, now))
        ids = list(await connection.scalars(query.limit(page.size).offset(page.sql_offset)))
        total = page.offset + len(ids)
        if len(ids) == page.size or (
            page.offset and not ids
        ):  # else this is the last page, and they are counted
            count = sa.select(sa.func.count()).select_from(miners).where(where)
            total = await connection.scalar(count) or 0
        # In pieces: decoding a page of ten thousand at once would keep the long polls waiting.
        found = await by_ids(connection, farm_id, ids)
        return [found[id_] for id_ in ids], total


async def matching(
    connection: AsyncConnection, farm_id: str, wanted: MinerQuery, now: datetime
) -> list[str]:
    """The ids of all miners that match, by address."""
    query = sa.select(miners.c.id).where(listed(farm_id, wanted, now)).order_by(*ordered((), now))
    # In pieces, as it may be a whole farm, and agents are waiting.
    found: list[str] = []
    async for some in (await connection.stream_scalars(query)).partitions(_PIECE):
        found += some
    return found


async def by_ids(
    connection: AsyncConnection,
    farm_id: str,
    ids: Collection[str],
    *,
    without: Collection[str] = (),
) -> dict[str, ListedMiner]:
    """The miners of a farm with these ids, deleted ones included. Those whose MAC another one shows have `twin_ips`.
    The columns in `without` are not read.
    """
    found: dict[str, ListedMiner] = {}
    columns = [column for column in COLUMNS if column.name not in without]
    for some in chunks(list(ids)):
        # Asked for the farm, too, SQLite would go through all the miners of the farm.
        rows = await connection.execute(sa.select(*columns).where(miners.c.id.in_(some)))
        found |= {row.id: row for row in read_rows(ListedMiner, rows) if row.farm_id == farm_id}
    await _tell_twins(connection, farm_id, found.values())
    return found


async def number_by_agent(connection: AsyncConnection, farm_id: str) -> dict[str | None, int]:
    """How many miners each agent of a farm looks after; None is nobody."""
    query = (
        sa.select(miners.c.agent_id, sa.func.count())
        .where(miners.c.farm_id == farm_id, miners.c.deleted_at.is_(None))
        .group_by(miners.c.agent_id)
    )
    return {row[0]: row[1] for row in await connection.execute(query)}


async def one(store: Store, farm_id: str, miner_id: str) -> ListedMiner | None:
    """A miner of a farm, deleted or not."""
    async with store.read() as connection:
        return (await by_ids(connection, farm_id, [miner_id])).get(miner_id)


async def _tell_twins(
    connection: AsyncConnection, farm_id: str, found: Collection[ListedMiner]
) -> None:
    """Give each of these miners `twin_ips`: where else its MAC is shown."""
    doubtful = [row for row in found if row.unstable_reason == DUPLICATE_MAC]
    at: dict[str | None, set[str]] = {}
    for some in chunks(sorted({row.mac for row in doubtful if row.mac is not None})):
        query = sa.select(miners.c.mac, miners.c.ip).where(
            miners.c.farm_id == farm_id,
            miners.c.mac.in_(some),
            miners.c.unstable_reason == DUPLICATE_MAC,
            miners.c.deleted_at.is_(None),
        )
        for mac, ip in await connection.execute(query):
            at.setdefault(mac, set()).add(ip)
    for row in doubtful:
        row.twin_ips = sorted(at.get(row.mac, set()) - {row.ip})
