"""What is true of each generation of WhatsMiners, apart from how each is changed: `changes/` tells that."""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.base import Capabilities
from drivers.whatsminer.models import COMPAT, LEGACY, V1, V2, V3

_SWITCH: Final = (
    "Changes need the API switch (WhatsMinerTool, Remote Ctrl), which is off in new miners."
)
_LIMIT: Final = (
    "A limit in watts restarts the mining; one in percent is lost when the miner restarts."
)


def _driven(generation: str, models: str, *remarks: str) -> Capabilities:
    return Capabilities(
        make=Make.WHATSMINER,
        generation=generation,
        models=(models,),
        modes=(PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH),
        log=True,
        remarks=(_SWITCH, *remarks),
    )


_ALL: Final = (
    Capabilities(
        make=Make.WHATSMINER,
        generation=LEGACY,
        models=("M3 to M21 on firmware before mid 2020",),
        remarks=("Read only: this firmware can be changed through its web page alone.",),
    ),
    _driven(
        V1,
        "M20, M21, M30, M31 series on firmware of 2020 and 2021",
        "The light cannot be read back: the miner's word is all there is.",
    ),
    _driven(
        V2,
        "M20 to M60 series on firmware of 2022 to autumn 2024",
        _LIMIT,
        "A limit in percent cannot be read back: the watts it draws must show it.",
    ),
    _driven(
        COMPAT,
        "any model on firmware of autumn 2024 on, while only port 4028 answers",
        _LIMIT,
        "Power off was seen not to last on one firmware of 2025 through this port.",
    ),
    _driven(
        V3,
        "M30 to M79 series on firmware of autumn 2024 on",
        _LIMIT,
        "Share counts are read from port 4028, where it is open.",
    ),
)
GENERATIONS: Final = {each.generation: each for each in _ALL}
