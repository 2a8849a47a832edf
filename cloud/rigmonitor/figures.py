"""What a figure of a report can be. Pure.

MRM refuses no number. One that no machine can have is no figure: it is absent from the reading, which has a fault in
its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Final

import msgspec

from contract.miner import MinerFault


class Limits(msgspec.Struct, frozen=True):
    """What a figure can be, both ends included."""

    least: float
    most: float
    unit: str

    def allow(self, value: float) -> bool:
        return self.least <= value <= self.most


# Wide enough for what will be sold one day, narrow enough that no figure is wrong by its unit or its sign.
RATE: Final = Limits(0, 1e18, "H/s")  # a thousand times the largest machine there is
POWER: Final = Limits(0, 100_000, "W")
TEMPERATURE: Final = Limits(-60, 200, "degC")
FAN: Final = Limits(0, 50_000, "rpm")
PERCENT: Final = Limits(0, 100, "%")
SHARES: Final = Limits(0, 2**53, "shares")
UPTIME: Final = Limits(0, 20 * 366 * 86_400, "s")


CLOCK: Final = Limits(0, 1e6, "MHz")


class ReportFigures:
    """The figures of one log: what cannot be is no figure, but a fault."""

    def __init__(self, log: object) -> None:
        self.log = log
        self.faults: list[MinerFault] = []

    def within(self, name: str, limits: Limits) -> Any:
        """The field of this name, which is a whole number or not, in the unit of its limits."""
        return self.checked(name, getattr(self.log, name), limits)

    def checked(self, name: str, value: Any, limits: Limits) -> Any:
        """The value, which goes by this name, if it can be."""
        if value is None or limits.allow(value):
            return value
        self.fault(name, f"{value:g} {limits.unit} cannot be")
        return None

    def fault(self, name: str, text: str) -> None:
        """What is wrong with the field of this name."""
        self.faults.append(
            MinerFault(code="impossible_figure", text=f"{name}: {text}", severity="warning")
        )


def ip_of(lan_ip: str | None) -> str:
    """The address a machine says it has, without a zone, which may be any text; "" for what is none."""
    try:
        return str(ip_address((lan_ip or "").split()[0])).partition("%")[0]
    except (ValueError, IndexError):
        return ""


def most(values: Iterable[float | None]) -> float | None:
    """The highest of those that are known."""
    return max((float(value) for value in values if value is not None), default=None)
