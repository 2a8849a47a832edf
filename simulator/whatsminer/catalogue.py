"""The WhatsMiner models that can be simulated, with their figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

NO_LIMIT_W: Final = 99_999
"""As a power limit it stands for that of the firmware."""


class Dialect(StrEnum):
    """What the firmware speaks, as the listing names it. V1 is the protocol of V2 with older readings."""

    LEGACY = "legacy"
    """cgminer alone: reads on 4028, no writes."""
    V1 = "v1"
    V2 = "v2"
    COMPAT = "v2-compat"
    """Firmware of the v3 generation whose 4433 is closed: 4028 in its reduced form."""
    V3 = "v3"
    """4433, and beside it 4028 in its reduced form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsminerProduct:
    """One model with one firmware."""

    key: str
    name: str
    """As the device spells it (devdetails, miner_type, miner.type)."""
    dialect: Dialect
    hashrate_hs: float
    """Nominal rate in H/s."""
    power_w: float
    power_limit_w: int
    chips: int
    """Chips on one board."""
    version: str
    api: str
    """The API version of 4028 as `get_version` spells it; empty where there is none."""
    api_v3: str = ""
    platform: str = ""
    """Control board as get_version names it; empty where it does not."""
    board: str = "CB6V10"
    chip: str = "K88Z001-2039 BINV01-195001B"
    boards: int = 3
    fan_rpm: int = 5400
    """Full speed; 0 for water cooling."""
    psu: str = "P221B"
    frequency: int = 600
    shows_mac: bool = True
    """The first legacy builds tell neither MAC nor version."""
    shows_supply: bool = True
    """The builds of 2018 tell nothing of the supply."""
    stats_bytes: int = 0
    """How long `stats` is; 0: as long as it comes out."""
    mac_in_summary: bool = True
    """Of v2: not every build repeats its MAC there."""
    shows_reason: bool = False
    """Error codes come with their text."""
    quirks: tuple[str, ...] = ()

    @property
    def is_liquid(self) -> bool:
        return self.fan_rpm == 0

    @property
    def is_late(self) -> bool:
        """Firmware of the v3 generation."""
        return self.dialect in (Dialect.COMPAT, Dialect.V3)


_M20S_LEGACY: Final = WhatsminerProduct(
    key="m20s-legacy",
    name="M20SV10",
    dialect=Dialect.LEGACY,
    hashrate_hs=65.5e12,
    power_w=3360,
    power_limit_w=3500,
    chips=105,
    version="20190621.22.REL",
    api="",
    fan_rpm=5600,
    psu="P21-12-3360",
    frequency=636,
    chip="K46K241-1918 BIN2-B",
    shows_mac=False,
)
_M3: Final = replace(
    _M20S_LEGACY,
    key="m3",
    name="M3",
    hashrate_hs=11.5e12,
    power_w=2000,
    power_limit_w=2100,
    chips=66,
    version="20180315.22.REL",
    fan_rpm=4800,
    psu="P5",
    frequency=624,
    chip="K1-1802 BIN1",
    shows_supply=False,
    stats_bytes=67_285,
)
_M30S_LEGACY: Final = replace(
    _M20S_LEGACY,
    key="m30s-legacy",
    name="M30SV10",
    hashrate_hs=86.472e12,
    power_w=3230,
    power_limit_w=3600,
    chips=148,
    version="20200512.13.REL",
    frequency=528,
    psu="P21B",
    chip="HP5A05-20043018 D02 BINV02-193005B",
    shows_mac=True,
)
_M20S: Final = replace(
    _M20S_LEGACY,
    key="m20s",
    dialect=Dialect.V1,
    hashrate_hs=68.796e12,
    version="20210322.22.REL",
    api="whatsminer v1.4.0",
    fan_rpm=6480,
    psu="P21-12-3600-E",
    frequency=648,
    chip="HP5A01-19101436   BINV04-192101D",
    shows_mac=True,
)
_M31S: Final = replace(
    _M20S,
    key="m31s+",
    name="M31S+V30",
    hashrate_hs=84e12,
    power_w=3360,
    power_limit_w=3600,
    chips=117,
    version="20210109.22.REL",
    api="whatsminer v1.3",
    fan_rpm=4800,
    psu="P21B",
    frequency=438,
    chip="HP2A02-20021812 BINV02-193002B",
)
_M30S: Final = WhatsminerProduct(
    key="m30s",
    name="M30SVE40",
    dialect=Dialect.V2,
    hashrate_hs=88e12,
    power_w=3344,
    power_limit_w=3500,
    chips=123,
    version="20220125.13.Rel",
    api="2.0.3",
    platform="H6OS",
    psu="P221B",
    quirks=("error_list_slip",),
)
_M50S: Final = replace(
    _M30S,
    key="m50s",
    name="M50SVH50",
    hashrate_hs=126e12,
    power_w=3276,
    power_limit_w=3600,
    chips=135,
    version="20230803.11.REL",
    api="2.0.5",
    platform="H616",
    psu="P222B",
    quirks=(),
)
_M56S: Final = replace(
    _M50S,
    key="m56s",
    name="M56SVH30",
    hashrate_hs=212e12,
    power_w=5550,
    power_limit_w=5600,
    chips=152,
    boards=4,
    version="20230911.12.Rel",
    mac_in_summary=False,
    fan_rpm=0,
    psu="P563B",
    frequency=560,
)
_M60S: Final = WhatsminerProduct(
    key="m60s",
    name="M60S_VK40",
    dialect=Dialect.V3,
    hashrate_hs=181.051e12,
    power_w=3441,
    power_limit_w=3600,
    chips=225,
    version="20251209.16.Rel2",
    api="2.2.1",
    api_v3="3.0.2",
    platform="H616",
    chip="K8EC374-2426 BINVE6-197806A",
    frequency=625,
    shows_reason=True,
)
_M30S_V3: Final = replace(
    _M60S,
    key="m30s++",
    name="M30S++_VH70",
    hashrate_hs=101.366e12,
    power_w=3232,
    power_limit_w=3500,
    chips=70,
    chip="H35A07-22020801 BINV01-196803C",
    frequency=788,
    psu="P221C",
)
_M63S: Final = replace(
    _M60S,
    key="m63s",
    name="M63S_VK30",
    hashrate_hs=390e12,
    power_w=7215,
    power_limit_w=8000,
    chips=370,
    boards=4,
    version="20260312.16.REL3",
    api="2.2.2",
    api_v3="3.0.5",
    fan_rpm=0,
    psu="P773A",
    frequency=500,
)
_M63SPP: Final = replace(
    _M63S,
    key="m63s++",
    name="M63SPP_VL20",
    hashrate_hs=464e12,
    power_w=7200,
    chips=380,
    psu="P566Z",
    quirks=("no_env_temp", "reject_rate"),
)
_M70: Final = replace(
    _M60S,
    key="m70",
    name="M70_VM30",
    hashrate_hs=214e12,
    power_w=3124,
    power_limit_w=3600,
    chips=147,
    version="20260312.16.REL3",
    api="2.2.2",
    api_v3="3.0.5",
    chip="KAAP315-2601 BINVLC-199004E",
    frequency=560,
)
_COMPAT: Final = replace(
    _M60S,
    key="m60s-compat",
    dialect=Dialect.COMPAT,
    version="20250409.15.REL",
    api="2.2.0",
    api_v3="",
    shows_reason=False,
)

MODELS: Final[dict[str, WhatsminerProduct]] = {
    model.key: model
    for model in (
        _M3,
        _M20S_LEGACY,
        _M30S_LEGACY,
        _M20S,
        _M31S,
        _M30S,
        _M50S,
        _M56S,
        _COMPAT,
        _M60S,
        _M30S_V3,
        _M63S,
        _M63SPP,
        _M70,
    )
}
MIX: Final = (
    "m50s",
    "m60s",
    "m30s",
    "m60s-compat",
    "m20s",
    "m63s",
    "m31s+",
    "m30s++",
    "m56s",
    "m70",
)
