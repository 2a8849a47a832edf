"""How a person says since when: `3h`, `12:00`, `2026-11-29` or a whole time."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Final

_AGO: Final = re.compile(r"(\d{1,5})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CLOCK: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")


def parse_since(text: str, now: datetime) -> datetime:
    """The moment that is meant, `now` being one with an offset, as this host's clock on the wall would have it: an hour
    of the day is the last one that was, a day begins at midnight. Raises ValueError, in words.
    """
    text = text.strip()
    here = now.astimezone()
    if match := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        if _CLOCK.fullmatch(text):
            at = datetime.combine(here.date(), time.fromisoformat(text.zfill(5)))
            moment = at.astimezone()
            return moment if moment <= now else (at - timedelta(days=1)).astimezone()
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no time: write 3h, 12:00, 2026-11-29 or 2026-11-29T12:00:00Z"
        ) from None
