"""The Mining Rig Monitor API (MRM): what its half for ASICs and its half for CPU/GPU rigs share.

    GET  ping                                          -> {"message": "pong"}

All other calls but one carry the machine's code in the header `API_CODE`. Names and units are MRM's own, not ours:
whole numbers, no time. A struct is what both the published text and server 5.0.0 take; a field without a default is one
that both ask for. What a server of ours takes beyond that (numbers as text, fractions for whole numbers) is its own
affair.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import ClassVar, Final

import msgspec

PREFIX: Final = "/api/v1"
PING: Final = PREFIX + "/ping"
PORT: Final = 4000  # of the official server

HEADER: Final = "API_CODE"
# Some proxies drop header names with an underscore; a server may be told to take this one too.
HEADER_ALIAS: Final = "API-CODE"

# What server 5.0.0 can keep. Beyond it answers 500, so a client stays inside and a server of ours is wider.
OFFICIAL_CODE_CHARS: Final = 255
OFFICIAL_TEXT_CHARS: Final = 255
OFFICIAL_UOM_CHARS: Final = 4
OFFICIAL_UPTIME_CHARS: Final = 11
OFFICIAL_UPTIME_DAYS: Final = 99  # what fits into those 11
OFFICIAL_INT_MIN: Final = -(2**31)
OFFICIAL_INT_MAX: Final = 2**31 - 1
OFFICIAL_STALE_S: Final = 60.0  # a machine whose newest log is older leaves the dashboard

OFFLINE_AFTER_S: Final = 150.0  # our server: two and a half times the minute between logs


class MachineKind(StrEnum):
    """Which half of the API a machine speaks."""

    ASIC = "asic"
    RIG = "cpu-gpu"


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the bodies. Flat; what is not known is left out.

    Of the fields of each group in `together` all are given, or none; what is wrong with a group is told of its last.
    """

    together: ClassVar[tuple[tuple[str, ...], ...]] = ()


def uptime_text(seconds: float, *, days_max: int | None = None) -> str:
    """`days:hours:minutes:seconds`, two digits each (`07:23:50:20`), more for the days from 100 on.

    `days_max` caps the days alone: pass `OFFICIAL_UPTIME_DAYS` for the official server.
    """
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days_max is not None:
        days = min(days, days_max)
    return f"{days:02}:{hour:02}:{minute:02}:{second:02}"


def uptime_s(text: str) -> float | None:
    """The inverse of `uptime_text`, without its cap; `None` for anything but four numbers."""
    match = _UPTIME.fullmatch(text.strip())
    if match is None:
        return None
    day, hour, minute, second = (int(part) for part in match.groups())
    return float(((day * 24 + hour) * 60 + minute) * 60 + second)


def hashrate_hs(value: float, unit: str) -> float | None:
    """A rate in hashes (or solutions) per second. `GH/s`, `gh/s`, `G`, `kSol/s`: case means nothing to
    MRM. `None` for a unit nobody knows, and for a rate beyond all numbers.
    """
    match = _UNIT.fullmatch(unit.strip().lower())
    if match is None:
        return None
    rate = value * 1000.0 ** " kmgtpez".index(match[1] or " ")
    return rate if math.isfinite(rate) else None


# No device has run for a million days; longer digits are no number worth reading.
_UPTIME: Final = re.compile(r"([0-9]{1,6}):([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})")
_UNIT: Final = re.compile(r"(?=.)([kmgtpez])?(?:(?:h|hash|hashes|sol|sols)(?:/s|ps)?)?")
