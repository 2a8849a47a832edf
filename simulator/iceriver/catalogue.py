"""The IceRiver models that can be simulated, with their figures.

Known from captures and from other people's clients: the names of the packages of KS0, KS3M and KS5L, the numbers in
those of AL3 (10306) and KS7 (11304), boards, chips and fans of KS0, KS2, KS3M, KS5L, KS5M and AL3, and that a KS5L
writes numbers as `1.0` while a KS3M does not. Chosen by us, because no capture is public: all other package names, the
chips of KS1, KS3, KS3L, KS7, AE and RX, which model has which variant, that AE counts in MH/s, and that AE and RX tell
their name in `model`. Nominal rates are near what the machines are sold as.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

UNITS_HS: Final = {"M": 1e6, "G": 1e9, "T": 1e12}
_LAST_NUMBER: Final = re.compile(r"(\d+)(\D*)$")


class Variant(StrEnum):
    """Which way pools, fan and mode are written."""

    A = "A"
    """Before September 2023: one form writes them all (`post=2`); images of other models are not refused."""
    B = "B"
    """Since: fan and mode have a form of their own (`post=3`); an image must be of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IceriverProduct:
    """One model with one firmware."""

    key: str
    name: str
    """As `softver1` tells it, in capitals, or the name of its product line where that holds a number."""
    build: str
    """What `softver1` and `softver2` begin with."""
    miner_end: str
    web_end: str
    variant: Variant
    hashrate_hs: float
    """Nominal rate in H/s."""
    chips: int
    """Chips on one board."""
    algorithm: str = "kHeavyHash"
    boards: int = 3
    fans: int = 4
    """Fans there are; four are always listed."""
    unit: str = "G"
    boot: str = "BOOT_3_1"
    frequency_mhz: int = 875
    names_itself: bool = False
    """`model` and `algo` are told; most builds say `none`."""
    number_text: bool = False
    """Numbers of pools and boards are written `1.0`, and `connect` is 1.0 or -1.0."""
    mac_dashes: bool = False
    lists_chips: bool = False
    """`false` lists every chip of a healthy board."""
    shows_locate: bool = False
    """`machineconfig` tells the light, too."""
    clock_off_s: int = 0
    firmware: str = "stock"
    foreign: bool = False
    speaks_stock_web: bool = True
    """False: the web moved to HTTPS and to other paths."""
    quirks: tuple[str, ...] = ()

    @property
    def unit_hs(self) -> float:
        """One unit of the reported rates, in H/s."""
        return UNITS_HS[self.unit]

    def softver1(self, build: str) -> str:
        """The version of the miner package of that build."""
        return f"{build}_{self.miner_end}"

    def softver2(self, build: str) -> str:
        """The version of the web package of that build."""
        return f"{build}_{self.web_end}"


def next_build(build: str) -> str:
    """A build that the maker could bring out after this one, in the same way of writing."""
    found = _LAST_NUMBER.search(build)
    if found is None:
        return f"{build}_2"
    number = str(int(found.group(1)) + 1).zfill(len(found.group(1)))
    return f"{build[: found.start()]}{number}{found.group(2)}"


_KS3M: Final = IceriverProduct(
    key="ks3m",
    name="KS3M",
    build="5977449",
    miner_end="ks3m_miner",
    web_end="ks3m_bg",
    variant=Variant.A,
    hashrate_hs=6e12,
    chips=18,
    boot="BOOT_2_0.BIN",
    mac_dashes=True,
    lists_chips=True,
    clock_off_s=-3 * 31_557_600,
)
_KS5L: Final = IceriverProduct(
    key="ks5l",
    name="KS5L",
    build="ICM168_3_2_10",
    miner_end="ks5L_miner",
    web_end="ks5L_bg",
    variant=Variant.B,
    hashrate_hs=12e12,
    chips=18,
    number_text=True,
    lists_chips=True,
    quirks=("gateway_glued", "temp_flag_low"),
)
_KS0: Final = IceriverProduct(
    key="ks0",
    name="KS0",
    build="0627_v1",
    miner_end="ks0miner",
    web_end="bg",
    variant=Variant.A,
    hashrate_hs=100e9,
    chips=18,
    boards=1,
    fans=0,
    boot="BOOT_2_0.BIN",
    frequency_mhz=780,
    quirks=("no_board_average", "reboot_drops"),
)
_KS0_PRO: Final = replace(
    _KS0,
    key="ks0pro",
    name="KS0PRO",
    build="1215_v2",
    miner_end="ks0pro_miner",
    web_end="ks0pro_bg",
    variant=Variant.B,
    hashrate_hs=200e9,
    fans=2,
    quirks=(),
)
_KS1: Final = replace(
    _KS3M,
    key="ks1",
    name="KS1",
    build="5977210",
    miner_end="ks1_miner",
    web_end="ks1_bg",
    hashrate_hs=1e12,
)
_KS2: Final = replace(
    _KS3M,
    key="ks2",
    name="KS2",
    build="0916_v3",
    miner_end="ks2_miner",
    web_end="ks2_bg",
    variant=Variant.B,
    hashrate_hs=2e12,
    mac_dashes=False,
    lists_chips=False,
)
_KS3: Final = replace(
    _KS2,
    key="ks3",
    name="KS3",
    build="ICM168_2_0_4",
    miner_end="ks3_miner",
    web_end="ks3_bg",
    hashrate_hs=8e12,
    boot="BOOT_3_1",
    clock_off_s=0,
)
_KS3L: Final = replace(
    _KS3M,
    key="ks3l",
    name="KS3L",
    build="5982013",
    miner_end="ks3l_miner",
    web_end="ks3l_bg",
    hashrate_hs=5e12,
    quirks=("garbles_sleep", "reboot_drops"),
)
_KS5M: Final = replace(
    _KS5L,
    key="ks5m",
    name="KS5M",
    miner_end="ks5M_miner",
    web_end="ks5M_bg",
    build="ICM168_3_2_12",
    hashrate_hs=15e12,
    shows_locate=True,
    lists_chips=False,
    quirks=("chunked_web",),
)
_KS7: Final = replace(
    _KS5M,
    key="ks7",
    name="KS7",
    build="ICM168_4_0_3",
    miner_end="11304_miner",
    web_end="11304_bg",
    hashrate_hs=40e12,
    chips=96,
    frequency_mhz=1100,
    quirks=(),
)
_AL3: Final = replace(
    _KS5M,
    key="al3",
    name="AL3",
    build="ICM168_3_3_1",
    miner_end="10306_miner",
    web_end="10306_bg",
    hashrate_hs=15e12,
    chips=156,
    number_text=False,
    algorithm="Blake3",
    frequency_mhz=700,
    quirks=(),
)
_AE0: Final = replace(
    _AL3,
    key="ae0",
    name="AE0",
    build="ICM168_3_4_0",
    miner_end="ae0_miner",
    web_end="ae0_bg",
    hashrate_hs=60e6,
    chips=32,
    algorithm="zkSNARK",
    unit="M",
    names_itself=True,
    boards=1,
    fans=2,
)
_AE1: Final = replace(
    _AE0,
    key="ae1",
    name="AE1",
    miner_end="ae1_miner",
    web_end="ae1_bg",
    hashrate_hs=300e6,
    boards=3,
    fans=4,
)
_RX0: Final = replace(
    _AL3,
    key="rx0",
    name="RX0",
    build="ICM168_3_5_2",
    miner_end="rx0_miner",
    web_end="rx0_bg",
    hashrate_hs=260e9,
    chips=40,
    algorithm="SHA512256d",
    names_itself=True,
)

# --- other people's firmware on IceRiver's machines ----------------------------------------------

_PBFARMER: Final = replace(
    _KS0,
    key="ks0-pbfarmer",
    build="pbv077c",
    hashrate_hs=150e9,
    fans=2,
    variant=Variant.B,
    names_itself=True,
    firmware="pbfarmer",
    foreign=True,
    speaks_stock_web=False,
    quirks=(),
)
_TSWIFT: Final = replace(
    _KS5M,
    key="ks5m-tswift",
    build="tswift_v2",
    firmware="other",
    foreign=True,
    quirks=(),
)
_EXO: Final = replace(
    _KS0,
    key="ks0-exo160",
    name="",
    build="Incidr-Exo160",
    miner_end="miner",
    hashrate_hs=160e9,
    firmware="other",
    foreign=True,
    quirks=(),
)

MODELS: Final[dict[str, IceriverProduct]] = {
    model.key: model
    for model in (
        _KS0,
        _KS0_PRO,
        _KS1,
        _KS2,
        _KS3,
        _KS3L,
        _KS3M,
        _KS5L,
        _KS5M,
        _KS7,
        _AL3,
        _AE0,
        _AE1,
        _RX0,
        _PBFARMER,
        _TSWIFT,
        _EXO,
    )
}
MIX: Final = (
    "ks5l",
    "ks3m",
    "ks0",
    "ks5m",
    "al3",
    "ks7",
    "ks3",
    "ks0pro",
    "ks2",
    "rx0",
    "ks3l",
    "ks1",
    "ae1",
    "ae0",
)
