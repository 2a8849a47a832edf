"""Numbers and texts as miners of any make write them: as numbers, as text, with a unit behind, or empty."""

from __future__ import annotations

import re
from typing import Any, Final

LARGEST: Final = 1e24
# Characters of a figure; matching patterns against more would take a hostile miner's time.
LONGEST: Final = 64
_LONGEST_TEXT: Final = 2048  # the states of a board's chips are the longest of all
_LEADING: Final = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,18})?)")


def number(value: Any) -> float | None:
    """A finite number out of a number or text (`"1600M"` gives 1600); `None` for anything else."""
    if value.__class__ is float:
        return value if -LARGEST < value < LARGEST else None
    if value.__class__ is int:
        return float(value) if -LARGEST < value < LARGEST else None
    if value.__class__ is str:
        match = _LEADING.match(value[:LONGEST])
        return float(match[1]) if match else None
    return None


def whole(value: Any) -> int | None:
    """A whole number >= 0, or `None`."""
    if value.__class__ is int:
        return value if 0 <= value < LARGEST else None
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


def names_unit(value: Any) -> bool:
    """Whether a figure has a unit behind it, which may count a thousand times what its key counts."""
    return value.__class__ is str and value[:LONGEST].rstrip()[-1:].isalpha()


def rate_text(hashrate_hs: float) -> str:
    """For a sentence: `12.37 TH/s`."""
    for size, unit in ((1e12, "TH/s"), (1e9, "GH/s"), (1e6, "MH/s"), (1e3, "kH/s")):
        if hashrate_hs >= size:
            return f"{hashrate_hs / size:.4g} {unit}"
    return f"{hashrate_hs:.4g} H/s"


def text_of(value: Any) -> str | None:
    """Text that says something, without its margins; `None` for anything else."""
    if value.__class__ is not str:
        return None
    return value[:_LONGEST_TEXT].strip() or None
