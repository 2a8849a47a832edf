"""Rate and watts on the nameplates of models that have one figure only, for miners that tell neither themselves.

Most miners tell what they should reach, and most models are sold in several sizes under one name: neither stands here.
Figures of the makers' data sheets, in normal mode.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from contract.miner import Make

LOW_SHARE: Final = 0.75  # of rate and watts in mode `normal`, as makers' papers say of `low`


class Nameplate(msgspec.Struct, frozen=True):
    """H/s (sol/s for Equihash) and W."""

    hashrate_hs: float
    power_w: float


def nameplate_of(make: str | None, model: str | None) -> Nameplate | None:
    """What is known of a model; None where its name says no one size."""
    if make is None or model is None:
        return None
    return _KNOWN.get((make, _MAKERS.sub("", model.upper()).translate(_BETWEEN)))


_MAKERS: Final = re.compile(r"^(BITMAIN|ANTMINER|ICERIVER)[ _-]*(ANTMINER[ _-]*)?")
_BETWEEN: Final = str.maketrans("", "", " _-.")
_ROWS: Final = (
    (Make.ICERIVER, "KS0", 100e9, 65),
    (Make.ICERIVER, "KS0PRO", 200e9, 100),
    (Make.ICERIVER, "KS1", 1e12, 600),
    (Make.ICERIVER, "KS2", 2e12, 1200),
    (Make.ICERIVER, "KS3", 8e12, 3200),
    (Make.ICERIVER, "KS3L", 5e12, 3200),
    (Make.ICERIVER, "KS3M", 6e12, 3400),
    (Make.ICERIVER, "KS5L", 12e12, 3400),
    (Make.ICERIVER, "KS5M", 15e12, 3400),
    (Make.ICERIVER, "AL3", 15e12, 3500),
    (Make.ANTMINER, "L3+", 504e6, 800),
    (Make.ANTMINER, "L3++", 580e6, 942),
    (Make.ANTMINER, "D7", 1286e9, 3148),
    (Make.ANTMINER, "K7", 63.5e12, 3080),
    (Make.ANTMINER, "KA3", 166e12, 3154),
    (Make.ANTMINER, "KS5", 20e12, 3000),
    (Make.ANTMINER, "KS5PRO", 21e12, 3150),
    (Make.ANTMINER, "Z15", 420e3, 1510),
    (Make.ANTMINER, "Z15PRO", 840e3, 2780),
)
_KNOWN: Final = {(make.value, model): Nameplate(rate, watts) for make, model, rate, watts in _ROWS}
