"""nvidia-smi: what it is asked, and its answer: one line of comma-separated values for each card."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from drivers.rig.protocol.figures import full_bus_id

FIELDS: Final = (
    "pci.bus_id",
    "name",
    "temperature.gpu",
    "temperature.memory",
    "clocks.current.graphics",
    "clocks.current.memory",
    "fan.speed",
    "power.draw",
)
NO_DRIVER: Final = 9
"""How it ends where the driver is not loaded (nvidia-smi(1), return value)."""
NO_DEVICES: Final = "No devices were found"
_LOST: Final = re.compile(
    r"(?:device handle for|lost)[^\n]{0,80}?([0-9A-Fa-f]{4,8}:[0-9A-Fa-f:.]+)"
)


def query_argv(fields: Sequence[str]) -> tuple[str, ...]:
    """The question for these figures of every card."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


ARGV: Final = query_argv(FIELDS)


def rows_of_cards(output: str, fields: Sequence[str] = FIELDS) -> list[tuple[str, tuple[str, ...]]]:
    """The answer to `query_argv`, whose first field is the bus id: that of each card, and its other values as they
    stand. Lines that are none (a header, a complaint) are left out.
    """
    found = []
    for line in output.splitlines()[:256]:
        values = tuple(each.strip() for each in line.split(","))
        bus_id = full_bus_id(values[0])
        if bus_id is not None and len(values) == len(fields):
            found.append((bus_id, values[1:]))
    return found


def lost_cards(output: str) -> list[str]:
    """The bus ids of cards that it complains to have lost."""
    told = (full_bus_id(match[1].rstrip(".:")) for match in _LOST.finditer(output[:16384]))
    return [each for each in told if each is not None]
