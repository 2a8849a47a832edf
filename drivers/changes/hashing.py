"""Whether a miner works, as far as a reboot would cost something."""

from __future__ import annotations

from typing import Final

from contract.errors import MinerError
from drivers.changes.verification import is_silent
from drivers.subject import Subject

HASHING_SHARE: Final = 0.05  # of its ideal rate


async def is_hashing(miner: Subject, rate_hs: float | None) -> bool:
    """Whether it works: over 5 % of its ideal rate, or at a rate that its boards contradict. What cannot be read counts
    as not hashing. Raises as `read`.
    """
    if not rate_hs:
        return False
    return rate_hs > HASHING_SHARE * (miner.ideal_hs or 0.0) or await _is_in_doubt(miner)


# --- private -------------------------------------------------------------------------------------


async def _is_in_doubt(miner: Subject) -> bool:
    try:
        return (await miner.read()).moving.hashrate_doubt is not None
    except MinerError as error:
        if not is_silent(error):
            raise
        return False
