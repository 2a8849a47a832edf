"""Whether a miner draws more after a change than before it."""

from __future__ import annotations

from typing import Final

from contract.miner import PowerMode

_RISING: Final = (PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)


def raises_power(hashes_in: PowerMode | None, wanted: PowerMode) -> bool:
    """Whether `wanted` may draw more than the mode it hashes in now; `None`: it does not hash, or that is not known."""
    if wanted is PowerMode.SLEEP:
        return False
    return hashes_in is None or _RISING.index(wanted) > _RISING.index(hashes_in)
