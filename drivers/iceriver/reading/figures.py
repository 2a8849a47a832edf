"""Figures as the daemon writes them: rates with a unit letter, its own runtime, sensors that lie."""

from __future__ import annotations

import re
from typing import Any, Final

from contract.miner import PowerMode
from drivers.protocol.values import LONGEST, number, text_of

Row = dict[str, Any]


def rate_hs(value: Any, unit: Any) -> float | None:
    """Hashes per second out of `"11258G"`, or out of a bare number counted in `unit`.

    `None` for a letter nobody knows: no figure is better than one that is wrong by a thousand.
    """
    if value.__class__ is str:
        match = _RATE.fullmatch(value[:LONGEST])
        if match is None:
            return None
        figure, letter = float(match[1]), match[2]
    else:
        found = number(value)
        if found is None or found < 0:
            return None
        figure, letter = found, ""
    scale = _scale(letter) if letter else _scale(text_of(unit) or "")
    return None if scale is None else float(round(figure * scale))


def temp_c(value: Any) -> float | None:
    """A temperature; 0 and below, and over 120, is how a sensor fails here."""
    found = number(value)
    return found if found is not None and 0.0 < found <= _HOTTEST else None


def runtime_s(value: Any) -> float | None:
    """Seconds out of `DD:HH:MM:SS`, whose days may have any number of digits."""
    match = _RUNTIME.fullmatch(value.strip()) if value.__class__ is str else None
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def truth(value: Any) -> bool | None:
    """A yes or no: a boolean, or a number of which those above 0 are a yes (`1.0`, `-1.0`)."""
    if value.__class__ is bool:
        return bool(value)
    if value.__class__ is str and (word := _TRUTHS.get(value.strip().lower())) is not None:
        return word
    found = number(value)
    return None if found is None else found > 0


def percent(value: Any) -> float | None:
    """A percentage."""
    found = number(value)
    return found if found is not None and 0.0 <= found <= 100.0 else None


def fans_rpm(value: Any, expected: int | None) -> tuple[int, ...]:
    """The fans there are: zeros at the end stand for none, up to as many as the model is known to have."""
    if not isinstance(value, list):
        return ()
    speeds = [int(found) if (found := number(each)) and found > 0 else 0 for each in value[:_FANS]]
    while speeds and speeds[-1] == 0 and len(speeds) > (expected or 0):
        speeds.pop()
    return tuple(speeds)


def mode_of(value: Any) -> PowerMode | None:
    """1 is normal and 0 sleep; some builds may say the word. `None` for anything else."""
    found = mode_in_words(value)
    told = number(value) if found is None else None
    return found if told is None else _MODE_NUMBERS.get(told)


def mode_in_words(value: Any) -> PowerMode | None:
    """All that counts on other firmware than the maker's: what a number of its means, only its maker knows."""
    return _MODE_WORDS.get((text_of(value) or "").lower())


# --- private -------------------------------------------------------------------------------------

_HOTTEST: Final = 120.0
_FANS: Final = 16
_RATE: Final = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z/]{0,8})\s*")
_LETTERS: Final = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_UNIT: Final = re.compile(r"([KMGTPE]?)(?:H/S|HS|H|/S|SOL/S|S/S)?", re.ASCII | re.IGNORECASE)
_RUNTIME: Final = re.compile(r"(?:(\d{1,6}):)?(\d{1,2}):(\d{1,2}):(\d{1,2})", re.ASCII)
_MODE_WORDS: Final = {"normal": PowerMode.NORMAL, "sleep": PowerMode.SLEEP}
_MODE_NUMBERS: Final = {1.0: PowerMode.NORMAL, 0.0: PowerMode.SLEEP}
_TRUTHS: Final = {"true": True, "false": False}


def _scale(unit: str) -> float | None:
    """What `G`, `GH/s` or `Gh` multiplies by; `None` for no unit and for an unknown one."""
    match = _UNIT.fullmatch(unit.strip()) if unit.strip() else None
    return None if match is None else _LETTERS[match[1].upper()]
