"""Numbers as firmwares write them: as numbers, as text, with a unit behind, with dashes between, or empty."""

from __future__ import annotations

import re
from typing import Any, Final

from drivers.protocol.values import LONGEST, number, text_of, whole

__all__ = [
    "ago_s",
    "hottest",
    "number",
    "rate_hs",
    "scaled",
    "temps_c",
    "text_of",
    "unit_hs",
    "watts",
    "whole",
]

_RATE: Final = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,18})?)\s*([a-zA-Z/]*)\s*")
_UNIT: Final = re.compile(r"([kmgtpe]?)(h|hs|hash|sol|sols|ksol)?(/?s)?", re.IGNORECASE)
_PREFIX: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18}
_TEMPS: Final = re.compile(r"(-?\d+(?:\.\d+)?)(?:-|$)")
_SCALED: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([kmgtpe]?)\s*", re.IGNORECASE)
_AGO: Final = re.compile(r"(\d{1,7}):([0-5]?\d):([0-5]?\d)")
_WATTS: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*(W?)\s*", re.IGNORECASE)
_HOTTEST: Final = 300


def unit_hs(text: Any) -> float | None:
    """Hashes (or solutions) per second in one `GH`, `GH/s`, `MH/s`, `KSol/s`; `None` if it is no unit."""
    if value := text_of(text):
        match = _UNIT.fullmatch(value)
        if match and (match[2] or match[1]):
            if match[2] and match[2].lower() == "ksol":
                return 1e3
            return _PREFIX[match[1].lower()]
    return None


def rate_hs(text: Any) -> float | None:
    """A rate with its unit behind it (`"9529.46 MH/s"`); `None` without one."""
    if text.__class__ is not str or len(text) > LONGEST:
        return None
    match = _RATE.fullmatch(text)
    scale = unit_hs(match[2]) if match else None
    if match is None or scale is None:
        return None
    return float(match[1]) * scale


def temps_c(value: Any) -> list[float]:
    """The sensors of `"73-45-64-65"` (below zero: `"2--1-20-22"`), one number, or a list.

    All zeros means that nothing is there: then empty. A zero among others is kept out as well.
    """
    if value.__class__ is str:
        found = [float(each) for each in _TEMPS.findall(value[:200])]
    elif value.__class__ is list:
        found = [temp for each in value[:64] if (temp := number(each)) is not None]
    else:
        one = number(value)
        found = [] if one is None else [one]
    return [temp for temp in found if temp != 0 and -100 < temp < _HOTTEST]


def hottest(*values: Any) -> float | None:
    """The highest of all sensors of the given fields."""
    if len(values) == 1:
        value = values[0]
        # Nearly every field of every poll is one of these two; the rest takes the long way.
        if value.__class__ is int:
            return float(value) if 0 < value < _HOTTEST else None
        if (
            value.__class__ is str
            and len(value) < LONGEST
            and value.replace("-", "0").isdecimal()
            and "--" not in value
        ):
            if value[0] != "-" and value[-1] != "-":
                highest = max(map(int, value.split("-")))
                if highest < _HOTTEST:
                    return float(highest) if highest else None
        elif value is None:
            return None
    found = [temp for value in values for temp in temps_c(value)]
    return max(found) if found else None


def scaled(value: Any) -> float | None:
    """A difficulty: `"262K"`, `" 69.2461"`, 65536.0; `None` for empty."""
    if value.__class__ is str:
        match = _SCALED.fullmatch(value) if len(value) <= LONGEST else None
        return round(float(match[1]) * _PREFIX[match[2].lower()], 6) if match else None
    return number(value)


def ago_s(value: Any) -> float | None:
    """Seconds of `"66:18:15"`; `None` for "0" (never) and anything else."""
    if value.__class__ is str and (match := _AGO.fullmatch(value)):
        return float(int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]))
    return None


def watts(value: Any, *, may_be_bare: bool = False) -> float | None:
    """`"3250 W"`; `None` for another unit (`"34.65 (AB)"`), and without one, unless it may be bare."""
    if value.__class__ is str:
        match = _WATTS.fullmatch(value[:LONGEST])
        return float(match[1]) if match and (match[2] or may_be_bare) else None
    return number(value) if may_be_bare else None
