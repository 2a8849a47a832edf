"""Numbers and texts as the official server can keep them."""

from __future__ import annotations

import math

from contract.rigmonitor.shared import OFFICIAL_INT_MAX, OFFICIAL_INT_MIN, OFFICIAL_TEXT_CHARS


def whole(value: float | None) -> int | None:
    """Rounded; `None` for what the server's column cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    number = round(value)
    return number if OFFICIAL_INT_MIN <= number <= OFFICIAL_INT_MAX else None


def text(value: str | None) -> str | None:
    """Trimmed and cut; `None` for what the server would call blank."""
    trimmed = (value or "").strip()[:OFFICIAL_TEXT_CHARS].strip()
    return trimmed or None
