"""What is true of each generation of AntMiners, apart from how each is changed: `changes/` tells that."""

from __future__ import annotations

from typing import Final

from contract.miner import Make, PowerMode
from drivers.antminer.models import NEW_BM, NEW_GOD, OLD
from drivers.base import Capabilities

_MODES_OLD: Final = ("S17", "S17 Pro", "S17+", "S17e", "T17", "T17+", "T17e", "S15", "T15")
_MODES_NEW: Final = (PowerMode.SLEEP, PowerMode.LOW, PowerMode.NORMAL)

GENERATIONS: Final = {
    OLD: Capabilities(
        make=Make.ANTMINER,
        generation=OLD,
        models=("S9", "T9+", "L3+", "D3", "E3", "Z9", "Z11", "X3", *_MODES_OLD),
        modes=(PowerMode.SLEEP, PowerMode.NORMAL),
        log=True,
        remarks=(
            "Sleep only on models whose configuration has a work mode (S15, T15 and the 17 series).",
            "The light goes out by itself after about 5 minutes; first S9 firmwares have none.",
            "S3 to S7: their configuration form is not known, so it is not written.",
        ),
    ),
    NEW_BM: Capabilities(
        make=Make.ANTMINER,
        generation=NEW_BM,
        models=("S19 series", "T19", "S19 XP", "S21 series", "T21", "hydro variants"),
        modes=_MODES_NEW,
        log=True,
        remarks=(
            "Low power is tried and read back, since firmwares accept any mode and keep what they know.",
        ),
    ),
    NEW_GOD: Capabilities(
        make=Make.ANTMINER,
        generation=NEW_GOD,
        models=("L7", "L9", "KS3", "KS5", "E9", "E9 Pro", "E11", "D9", "K7", "HS3", "KA3"),
        modes=_MODES_NEW,
        log=True,
        remarks=("Low power only on L7 firmwares of 2023 and later.",),
    ),
}
