"""Times that agents tell."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from contract.clock import from_text

_UNSET_BEFORE: Final = 2000  # years; hosts without a clock begin at 1970 or 1980


def stated_at(text: str, now: datetime) -> datetime:
    """A time an agent tells. One whose clock was never set (a host without a battery, before it heard the time) tells
    none: what it has to say is taken all the same, as said now. Raises ValueError for text that is no time.
    """
    try:
        at = from_text(text)
    except OverflowError:  # the first or last year there is, moved over the edge by its offset
        return now
    return now if at.year < _UNSET_BEFORE else at
