"""nvidia-smi: one line of comma-separated values for each card."""

from __future__ import annotations

import re
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
ARGV: Final = (
    "nvidia-smi",
    f"--query-gpu={','.join(FIELDS)}",
    "--format=csv,noheader,nounits",
)
_LOST: Final = re.compile(
    r"(?:device handle for|lost)[^\n]{0,80}?([0-9A-Fa-f]{4,8}:[0-9A-Fa-f:.]+)"
)


def rows_of_cards(output: str) -> list[tuple[str, tuple[str, ...]]]:
    """The bus id of each card, and its other values as they stand. Lines that are none (a header, a complaint) are
    left out.
    """
    found = []
    for line in output.splitlines()[:256]:
        values = tuple(each.strip() for each in line.split(","))
        bus_id = full_bus_id(values[0])
        if bus_id is not None and len(values) == len(FIELDS):
            found.append((bus_id, values[1:]))
    return found


def lost_cards(output: str) -> list[str]:
    """The bus ids of cards that it complains to have lost."""
    told = (full_bus_id(match[1].rstrip(".:")) for match in _LOST.finditer(output[:16384]))
    return [each for each in told if each is not None]
