"""What is known of the condition of miners, a few columns of each: of a whole farm it is read in pieces, so that nobody
waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import starmap
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult

from cloud.store.miners.conditions import REPORTS_ITSELF, MinerQuery, listed, looked_at_lately
from cloud.store.schema.tables import miners
from contract.condition.judgement import WantedPools, usual_pools
from contract.miner import Algorithm

_PIECE: Final = 500  # rows
PartT = TypeVar("PartT", bound=msgspec.Struct)


class JudgedMiner(msgspec.Struct, frozen=True, gc=False):
    """Columns of `tables.miners`: the figures are those of its last look, however old. `run` is its run status."""

    id: str
    ip: str | None
    ip_number: int | None
    agent_id: str | None
    model: str | None
    firmware: str | None
    firmware_version: str | None
    algorithm: str | None
    hall: str | None
    row: str | None
    rack: str | None
    state: str | None
    troubles: int
    hashrate_hs: float | None
    expected_hs: float | None
    power_w: float | None
    expected_w: float | None
    pool: str | None
    pools_set: dict[str, Any] | None
    ops_status: str | None
    unstable_reason: str | None
    login_refused: bool
    run: str


class CountedMiner(msgspec.Struct, frozen=True, gc=False):
    """The same, of what the published counts need."""

    make: str | None
    model: str | None
    algorithm: str | None
    mode: str | None
    mode_preset: str | None
    anomaly_flags: int
    hashrate_ideal_hs: float | None
    run: str


async def in_pieces(
    connection: AsyncConnection,
    farm_id: str,
    kind: type[PartT],
    wanted: MinerQuery,
    now: datetime,
) -> AsyncIterator[Sequence[PartT]]:
    """The miners of a farm that match, in no order: `kind` has the columns of each that are read."""
    made: dict[str, sa.ColumnElement[Any]] = {
        "login_refused": miners.c.auth_failed_at.is_not(None),
        "run": _run(now),
    }
    columns = [made[name] if name in made else miners.c[name] for name in kind.__struct_fields__]
    query = sa.select(*columns).where(listed(farm_id, wanted, now))
    result: AsyncResult[Any] = await connection.stream(query)
    async for some in result.partitions(_PIECE):
        yield list(starmap(kind, some))


async def usual_pools_of(connection: AsyncConnection, farm_id: str) -> dict[str, WantedPools]:
    """By algorithm, where nearly all miners of a farm hash to."""
    query = (
        sa.select(miners.c.algorithm, miners.c.pool, sa.func.count())
        .where(
            miners.c.farm_id == farm_id,
            miners.c.deleted_at.is_(None),
            miners.c.algorithm.is_not(None),
            miners.c.algorithm != Algorithm.OTHER,
            miners.c.pool.is_not(None),
        )
        .group_by(miners.c.algorithm, miners.c.pool)
    )
    counted = await connection.execute(query)
    return usual_pools({(algorithm, pool): count for algorithm, pool, count in counted})


def _run(now: datetime) -> sa.ColumnElement[str]:
    """The run status, as `cloud.nonce.miners.run_status` has it."""
    fresh = looked_at_lately(now)
    answers = sa.func.coalesce(miners.c.last_ok, sa.true())
    by_itself = miners.c.identity.startswith(REPORTS_ITSELF)
    return sa.case(
        (sa.and_(fresh, answers), "online"), (sa.or_(fresh, by_itself), "offline"), else_="stale"
    )
