"""What is known of the condition of miners, a few columns of each: of a whole farm it is read in pieces, so that nobody
waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import starmap
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncResult

from cloud.store.miners.conditions import REPORTS_ITSELF, MinerQuery, listed, looked_at_lately
from cloud.store.schema.tables import miners
from contract.condition.judgement import WantedPools, usual_pools
from contract.miner import Algorithm

_PIECE: Final = 1000  # rows


class JudgedMiner(msgspec.Struct, frozen=True, gc=False):
    """Columns of `tables.miners`: the figures are those of its last look, however old. `is_fresh`: it was looked at
    lately.
    """

    id: str
    ip: str | None
    ip_number: int | None
    agent_id: str | None
    make: str | None
    model: str | None
    firmware: str | None
    firmware_version: str | None
    algorithm: str | None
    hall: str | None
    row: str | None
    rack: str | None
    mode: str | None
    mode_preset: str | None
    state: str | None
    troubles: int
    anomaly_flags: int
    hashrate_hs: float | None
    hashrate_ideal_hs: float | None
    expected_hs: float | None
    power_w: float | None
    expected_w: float | None
    pool: str | None
    pools_set: dict[str, Any] | None
    ops_status: str | None
    last_ok: bool | None
    unstable_reason: str | None
    identity: str
    login_refused: bool
    is_fresh: bool

    @property
    def run(self) -> str:
        """As `cloud.nonce.miners.run_status` has it."""
        if not self.is_fresh:
            return "offline" if self.identity.startswith(REPORTS_ITSELF) else "stale"
        return "offline" if self.last_ok is False else "online"


_COLUMNS: Final = tuple(miners.c[name] for name in JudgedMiner.__struct_fields__[:-2])


async def judged(
    connection: AsyncConnection, farm_id: str, wanted: MinerQuery, now: datetime
) -> AsyncIterator[Sequence[JudgedMiner]]:
    """The miners of a farm that match, in no order, piece by piece."""
    refused = miners.c.auth_failed_at.is_not(None)
    query = sa.select(*_COLUMNS, refused, looked_at_lately(now)).where(listed(farm_id, wanted, now))
    result: AsyncResult[Any] = await connection.stream(query)
    async for some in result.partitions(_PIECE):
        yield list(starmap(JudgedMiner, some))


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
