"""Share counts, which API v3 has none of, from where they are counted."""

from __future__ import annotations

import msgspec

from contract.miner import Moving, Pool
from drivers.whatsminer.reading.figures import total


def with_shares(moving: Moving, counted: tuple[Pool, ...]) -> Moving:
    """API v3's pools with the shares that port 4028 counted for the same url and user."""
    shares = {(pool.url, pool.user): pool for pool in counted}
    pools = tuple(
        msgspec.structs.replace(
            pool, accepted=found.accepted, rejected=found.rejected, stale=found.stale
        )
        if (found := shares.get((pool.url, pool.user))) is not None
        else pool
        for pool in moving.pools
    )
    return msgspec.structs.replace(
        moving,
        pools=pools,
        accepted=total(None, [pool.accepted for pool in pools]),
        rejected=total(None, [pool.rejected for pool in pools]),
        stale=total(None, [pool.stale for pool in pools]),
    )
