"""Figures and names as mining programs write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from drivers.protocol.values import number, text_of
from drivers.rig.protocol.report import CARDS_CAP

Row = Mapping[str, Any]
_Number = TypeVar("_Number", int, float)
_HEX: Final = "0-9a-fA-F"
_FULL_BUS_ID: Final = re.compile(
    rf"(?:([{_HEX}]{{1,8}}):)?([{_HEX}]{{2}}):([{_HEX}]{{2}})\.([{_HEX}])"
)
_BUS_AND_DEVICE: Final = re.compile(r"(\d{1,3}):(\d{1,2})")
_LAST_DOMAIN: Final = 0xFFFFFFFF
_UNITS: Final = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15}
_UNIT: Final = re.compile(r"([kmgtp]?)(?:h|g|sol|graph)s?/?s?", re.IGNORECASE)
_LONGEST_WORD: Final = 200
_HOTTEST_C: Final = 150.0
_MOST_W: Final = 2000.0


def full_bus_id(text: Any) -> str | None:
    """`00000000:05:00.0`, `0000:05:00.0` or `05:00.0` (hexadecimal) -> `0000:05:00.0`; `None` for anything else."""
    match = _FULL_BUS_ID.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function}".lower()


def bus_alone(bus: Any, domain: Any = 0) -> str | None:
    """The number of a bus (5, or `"5"`) -> `0000:05`."""
    found, of_domain = number(bus), number(domain)
    if found is None or not 0 <= found <= 0xFF or found != int(found):
        return None
    if not 0 <= (of_domain or 0) <= _LAST_DOMAIN:
        return None
    return f"{int(of_domain or 0):04x}:{int(found):02x}"


def bus_id_of(told: Any) -> str | None:
    """A bus id however it is told: full, as `bus:device` in decimal (`5:0`), or as the number of the bus."""
    if (full := full_bus_id(told)) is not None:
        return full
    if isinstance(told, str):
        match = _BUS_AND_DEVICE.fullmatch(told.strip())
        return bus_alone(int(match[1])) if match else bus_alone(told) if told.isdigit() else None
    return bus_alone(told)


def word_of(told: Any) -> str | None:
    """A name as it is told, printable and of a length that a rig may have many of."""
    text = text_of(told) or ""
    return text_of("".join(each for each in text[:_LONGEST_WORD] if each.isprintable()))


def rate_hs(told: Any, factor: float = 1.0) -> float | None:
    """A rate in H/s; `None` for what is none."""
    found = number(told)
    return found * factor if found is not None and found >= 0 else None


def unit_factor(unit: Any) -> float | None:
    """`MH/s` -> 1e6, `Sol/s` and `G/s` (graphs) -> 1; `None` for no unit of a rate."""
    text = unit.strip() if isinstance(unit, str) else ""
    match = _UNIT.fullmatch(text)
    if match is None:
        return None
    return 1.0 if text.lower() in {"g/s", "gs"} else _UNITS[match[1].lower()]


def temp_c(told: Any) -> float | None:
    """A temperature; 0 stands for no sensor."""
    found = number(told)
    return found if found is not None and 0 < found <= _HOTTEST_C else None


def watts(told: Any) -> float | None:
    """What one card draws."""
    found = number(told)
    return found if found is not None and 0 <= found <= _MOST_W else None


def percent(told: Any) -> float | None:
    """A share of a fan's most."""
    found = number(told)
    return found if found is not None and 0 <= found <= 100 else None


def mhz(told: Any) -> float | None:
    """A clock told in MHz, in Hz; 0 stands for none."""
    found = number(told)
    return found * 1e6 if found is not None and 0 < found < 1e5 else None


def positive(told: Any) -> float | None:
    """A duration or the like."""
    found = number(told)
    return found if found is not None and found >= 0 else None


def row_of(value: Any) -> Row:
    """An object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def rows_of(value: Any) -> list[Row]:
    """The objects of a list, at most CARDS_CAP; empty where there is no list."""
    if not isinstance(value, list):
        return []
    return [each for each in value[:CARDS_CAP] if isinstance(each, dict)]


def values_of(value: Any) -> list[Any]:
    """The items of a list, at most CARDS_CAP; empty where there is no list."""
    return value[:CARDS_CAP] if isinstance(value, list) else []


def at(items: list[Any], index: Any) -> Any:
    """The item at an index that somebody else told; `None` where there is none."""
    return items[index] if isinstance(index, int) and 0 <= index < len(items) else None


def total(values: Iterable[_Number | None]) -> _Number | None:
    """The sum of those that are told; `None` where none is."""
    told = [each for each in values if each is not None]
    return sum(told) if told else None
