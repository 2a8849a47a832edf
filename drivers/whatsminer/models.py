"""What the name of a WhatsMiner tells beforehand. Little: dialects follow the firmware, not the model."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

LEGACY: Final = "legacy"  # to early 2020: cgminer alone, no way to change anything
V1: Final = "v1"  # to 2021: the token protocol, little else
V2: Final = "v2"  # 2022 to 2024
COMPAT: Final = "v2-compat"  # what port 4028 of API v3 firmware speaks
V3: Final = "v3"
GENERATIONS: Final = (LEGACY, V1, V2, COMPAT, V3)
WRITABLE: Final = (V1, V2, COMPAT, V3)


class Cooling(StrEnum):
    """What carries the heat away."""

    AIR = "air"
    HYDRO = "hydro"
    IMMERSION = "immersion"


def cooling_of(model: str | None) -> Cooling | None:
    """By the digit the maker gives each kind: M60 air, M63 hydro, M66 immersion. `None` for names without one."""
    match = _NUMBER.match(plain_name(model)) if model else None
    if match is None:
        return None
    return _BY_NAME.get(match[1]) or _BY_DIGIT.get(match[1][-1])


def plain_name(model: str) -> str:
    """How two spellings of one model are compared: `M30S+_VE40` and `m30s+ve40` are the same, and so are `M63S++` and
    what that calls itself, `M63SPP`.
    """
    return _PLUSES.sub("++", model.replace("_", "").replace(" ", "").upper())


# --- private -------------------------------------------------------------------------------------

_PLUSES: Final = re.compile(r"(?<=\dS)PP")
_NUMBER: Final = re.compile(r"(M\d(?:\d|BS|B))")
_BY_NAME: Final = {"M7BS": Cooling.HYDRO}
_BY_DIGIT: Final = {
    "0": Cooling.AIR,
    "1": Cooling.AIR,
    "2": Cooling.AIR,
    "3": Cooling.HYDRO,
    "6": Cooling.IMMERSION,
}
