"""Figures, words and states as both APIs write them, in SI units; -1, nothing and nonsense are unknown."""

from __future__ import annotations

from typing import Any, Final

from contract.miner import BoardState, UptimeKind
from drivers.protocol.values import names_unit, number, text_of, whole

MEGA: Final = 1e6
GIGA: Final = 1e9
TERA: Final = 1e12


def scaled(value: Any, unit: float) -> float | None:
    """A rate >= 0, in whole hashes; `None` where it names a unit of its own, as no device known does."""
    found = None if names_unit(value) else number(value)
    return None if found is None or found < 0 else float(round(found * unit))


def ideal(value: Any, unit: float) -> float | None:
    """A rated hash rate; 0 and below (some say -0.001) is unknown."""
    return scaled(value, unit) or None


def positive(value: Any) -> float | None:
    """A figure >= 0; -1 is how the device says unknown."""
    found = number(value)
    return None if found is None or found < 0 else found


def temp(value: Any) -> float | None:
    """A temperature of a sensor that is there."""
    found = number(value)
    return found if found and -100.0 < found < _HOTTEST else None


def first(*values: float | None) -> float | None:
    """The first one that is known."""
    return next((value for value in values if value is not None), None)


def highest(values: Any) -> float | None:
    """The highest one that is known."""
    return max((value for value in values if value is not None), default=None)


def total(value: Any, parts: list[int | None]) -> int | None:
    """A count, or the sum of its parts where the miner gives no sum."""
    found = whole(value)
    known = [part for part in parts if part is not None]
    return found if found is not None else sum(known) if known else None


def truth(value: Any) -> bool | None:
    """A yes or no, as a boolean or as text."""
    if value.__class__ is bool:
        return bool(value)
    return _TRUTH.get(value.strip().lower()) if value.__class__ is str else None


def lower(value: Any) -> str | None:
    """A word in lower case."""
    text = text_of(value)
    return text.lower() if text else None


def fans(inlet: Any, outlet: Any, is_liquid: bool | None) -> tuple[int, ...]:
    """Inlet and outlet. Two zeros are no fans unless the model is known to have some."""
    speeds = tuple(rpm for each in (inlet, outlet) if (rpm := whole(each)) is not None)
    if is_liquid or (is_liquid is None and not any(speeds)):
        return ()
    return speeds


def state_of(status: str | None) -> BoardState | None:
    """`ok` or `bad`, `None` where it is not said."""
    if status is None:
        return None
    return BoardState.OK if status.lower() == "alive" else BoardState.BAD


def ago_s(last: Any, when_s: float | None) -> float | None:
    """Seconds since a moment, both by the device's clock; 0 is never."""
    at = number(last)
    if not at or at < 0 or when_s is None:
        return None
    return max(0.0, when_s - at)


def uptime_kind(elapsed_s: float | None, boot_s: float | None) -> UptimeKind | None:
    """What the uptime of a look counts: the process where that is known."""
    if elapsed_s is not None:
        return UptimeKind.PROCESS
    return None if boot_s is None else UptimeKind.BOOT


def version(value: Any) -> str | None:
    """A firmware version; some write quotes round it."""
    text = text_of(value)
    return text.strip("'\" ")[:80] or None if text else None


# --- private -------------------------------------------------------------------------------------

_HOTTEST: Final = 300.0
_TRUTH: Final = {"true": True, "false": False}
