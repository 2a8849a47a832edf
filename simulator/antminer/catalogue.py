"""The AntMiner models that can be simulated, with their figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Generation(StrEnum):
    """What kind of firmware runs: it decides the API, the CGI bodies and the config."""

    OLD = "old"
    NEW_BM = "new-bm"
    NEW_GOD = "new-god"


class Shape(StrEnum):
    """How the legacy `stats` of this family is laid out."""

    CLASSIC = "classic"
    """S9, L3, D3, Z11, E3: sensors by number, a rate as text."""
    SOC = "soc"
    """S9k, S15 to T17: sixteen chains, temperatures joined by dashes."""
    BM = "bm"
    """S19 and later."""
    GOD = "god"
    """Scrypt, kHeavyHash, Ethash and the like, from the L7 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AntminerProduct:
    """One model with one firmware."""

    key: str
    name: str
    generation: Generation
    shape: Shape
    algorithm: str
    hashrate_hs: float
    """Nominal rate in H/s (Sol/s for Equihash)."""
    power_w: float
    chips: int
    """Chips on one board."""
    group: int
    """How many chips stand together in the text of chip states."""
    version: str
    """The firmware version shown to users: compile time or FR string."""
    miner: str
    """`Miner` in VERSION and STATS: the hardware version."""
    software: str = "1.0.0"
    """Version of BMMiner, CGMiner."""
    software_key: str = "BMMiner"
    title: str = "CGMiner"
    """How the process calls itself in `Msg`."""
    description: str = "cgminer 1.0.0"
    stats_id: str = "BTM_SOC0"
    unit_hs: float = 1e9
    """H/s in one unit of `GHS 5s`, whatever that label claims."""
    rate_unit: str | None = "GH"
    rate_unit_new: str = "GH/s"
    chains: tuple[int, ...] = (1, 2, 3)
    fans: tuple[int, ...] = (1, 2, 3, 4)
    """Slots with a fan in them; empty for water cooling."""
    fan_rpm: int = 5000
    frequency: int = 525
    voltage: str | None = "1280"
    subtype: str = ""
    """Control board and hash board family, as miner_type.cgi says."""
    algo: str | None = None
    """The `algo` of the config on godminer."""
    modes: frozenset[int] = frozenset({0})
    malformed: bool = False
    """`stats` lacks the comma between its two objects."""
    late_config: bool = False
    """2024-10 and later: only some keys are shown, and the writer takes a lock."""
    resets_fans: bool = False
    """The config writer sets fan control and frequency level back to their defaults."""
    ip_cat: bool = False
    """The config knows bitmain-user-ip-cat."""
    reboot_delay_s: float = 3.0
    set_conf_s: float = 4.0
    restart_by_mailbox: bool = False
    shows_serial: bool = False
    product_type: str | None = None
    has_power: bool = False
    """Port 6060 tells the watts."""
    archive: bool = True
    """create_log_backup.cgi makes an archive."""
    chunked: bool = False
    """The web server chunks a CGI's body when the client keeps the connection."""
    quirks: tuple[str, ...] = ()


_S9: Final = AntminerProduct(
    key="s9",
    name="Antminer S9",
    generation=Generation.OLD,
    shape=Shape.CLASSIC,
    algorithm="sha256",
    hashrate_hs=13.5e12,
    power_w=1320,
    chips=63,
    group=8,
    version="Fri Nov 17 17:37:49 CST 2017",
    miner="16.8.1.3",
    software="2.0.0",
    title="BMMiner",
    description="bmminer 1.0.0",
    stats_id="BC50",
    rate_unit=None,
    chains=(6, 7, 8),
    fans=(3, 6),
    fan_rpm=4300,
    frequency=550,
    voltage=None,
    malformed=True,
    set_conf_s=12,
)
_L3: Final = replace(
    _S9,
    key="l3+",
    name="Antminer L3+",
    algorithm="scrypt",
    hashrate_hs=504e6,
    power_w=800,
    chips=72,
    version="Fri Aug 25 17:28:57 CST 2017",
    miner="1.0.1.3",
    software="4.9.0",
    software_key="CGMiner",
    title="CGMiner",
    description="cgminer 4.9.0",
    stats_id="L30",
    unit_hs=1e6,
    chains=(1, 2, 3, 4),
    fans=(1, 2),
    fan_rpm=3800,
    frequency=384,
)
_S17: Final = AntminerProduct(
    key="s17pro",
    name="Antminer S17 Pro",
    generation=Generation.OLD,
    shape=Shape.SOC,
    algorithm="sha256",
    hashrate_hs=53.619e12,
    power_w=2094,
    chips=48,
    group=8,
    version="Tue Aug 20 10:37:07 CST 2019",
    miner="19.10.1.3",
    fan_rpm=2800,
    frequency=565,
    voltage="1950",
    modes=frozenset({0, 254}),
    set_conf_s=8,
)
_S19: Final = AntminerProduct(
    key="s19pro",
    name="Antminer S19 Pro",
    generation=Generation.NEW_BM,
    shape=Shape.BM,
    algorithm="sha256",
    hashrate_hs=110e12,
    power_w=3250,
    chips=114,
    group=3,
    version="Tue Dec  6 16:12:30 CST 2022",
    miner="49.0.1.3",
    subtype="zynq7007_BHB42XXX",
    modes=frozenset({0, 1, 3}),
)
_S21: Final = replace(
    _S19,
    key="s21",
    name="Antminer S21",
    hashrate_hs=200e12,
    power_w=3500,
    chips=108,
    version="FR-1.12(251009-S21)",
    miner="uart_trans.1.3",
    subtype="AMLCtrl_BHB68XXX",
    modes=frozenset({0, 1, 3}),
    reboot_delay_s=53,
    shows_serial=True,
    frequency=490,
    has_power=True,
)
_S21HYD: Final = replace(
    _S21,
    key="s21hyd",
    name="Antminer S21 Hyd.",
    hashrate_hs=335e12,
    power_w=5360,
    chips=216,
    version="FR-1.1(250416-S21 Hyd.)",
    subtype="CVCtrl_HHB68XXX",
    modes=frozenset({0, 1, 2}),
    fans=(),
    late_config=True,
    ip_cat=True,
    chunked=True,
)
_S19_PLAIN: Final = replace(
    _S19,
    key="s19",
    name="Antminer S19",
    hashrate_hs=95e12,
    chips=76,
    group=2,
    frequency=675,
    voltage="1400",
    version="Fri Nov 17 17:37:21 CST 2023",
)
_L7: Final = AntminerProduct(
    key="l7",
    name="Antminer L7",
    generation=Generation.NEW_GOD,
    shape=Shape.GOD,
    algorithm="scrypt",
    hashrate_hs=9.5e9,
    power_w=3425,
    chips=120,
    group=5,
    version="Tue May 14 14:13:20 CST 2024",
    miner="81.0-1.0.0",
    software="2.12",
    title="CGMiner",
    description="cgminer 1.0.0",
    stats_id="BTM_SOC3",
    chains=(1, 2, 3, 4),
    unit_hs=1e6,
    rate_unit="MH/s",
    rate_unit_new="MH/s",
    frequency=1850,
    voltage="1470",
    subtype="zynq7007_L7",
    algo="ltc",
    modes=frozenset({0, 1, 3}),
)
_KS5: Final = replace(
    _L7,
    key="ks5",
    name="Antminer KS5",
    algorithm="kheavyhash",
    hashrate_hs=20e12,
    power_w=3000,
    chips=92,
    version="Fri Dec 20 14:47:11 CST 2024",
    miner="87.0-1.0.0",
    unit_hs=1e9,
    rate_unit="GH",
    rate_unit_new="GH/s",
    chains=(1, 2, 3),
    frequency=700,
    subtype="CVCtrl_KS5",
    algo="kas",
    modes=frozenset({0, 1}),
    restart_by_mailbox=True,
    product_type="KS5",
    quirks=("logs_swapped",),
)
_E9PRO: Final = replace(
    _L7,
    key="e9pro",
    name="Antminer E9 Pro",
    algorithm="ethash",
    hashrate_hs=3.8e9,
    power_w=2200,
    chips=8,
    group=8,
    version="Thu Mar 21 19:00:42 CST 2024",
    miner="14.152-2.0.0",
    unit_hs=1e6,
    rate_unit=None,
    rate_unit_new="MH/s",
    chains=(1, 2),
    fan_rpm=5760,
    frequency=0,
    subtype="ZynqMP_E9Pro",
    algo="etchash",
    modes=frozenset({0, 1}),
    archive=False,
)

_MODELS: Final = (
    _S9,
    replace(_S9, key="s9-early", version="Mon Mar 14 11:02:00 CST 2016", quirks=("no_blink",)),
    replace(_S9, key="s9i", name="Antminer S9i", hashrate_hs=14e12, frequency=650),
    replace(_S9, key="s9j", name="Antminer S9j", hashrate_hs=14.5e12, frequency=650),
    replace(
        _S9,
        key="t9+",
        name="Antminer T9+",
        hashrate_hs=10.5e12,
        chips=54,
        miner="15.8.1.3",
        chains=(2, 3, 4),
        version="Fri Nov 17 17:32:10 CST 2017",
    ),
    _L3,
    replace(
        _L3,
        key="d3",
        name="Antminer D3",
        algorithm="x11",
        hashrate_hs=17.139e9,
        power_w=1200,
        chips=60,
        stats_id="D10",
        chains=(1, 2, 3),
        frequency=487,
    ),
    replace(
        _L3,
        key="z11",
        name="Antminer Z11",
        algorithm="equihash",
        hashrate_hs=141.5e3,
        power_w=1418,
        chips=3,
        version="Tue Mar 12 19:47:06 CST 2019",
        miner="9.0.0.5",
        stats_id="ZCASH0",
        unit_hs=1e3,
        chains=(1, 2, 3),
        fan_rpm=5700,
        frequency=731,
    ),
    replace(
        _L3,
        key="dr5",
        name="Antminer DR5",
        algorithm="blake256r14",
        hashrate_hs=34e12,
        power_w=1800,
        stats_id="DR50",
        unit_hs=1e9,
        chains=(1, 2, 3),
        version="Tue Jan  8 18:03:10 CST 2019",
        frequency=550,
    ),
    replace(
        _L3,
        key="e3",
        name="Antminer E3",
        algorithm="ethash",
        hashrate_hs=197e6,
        power_w=760,
        chips=2,
        version="Wed Jul 4 18:21:00 CST 2018",
        stats_id="BTM0",
        chains=(1, 8, 9, 2, 10, 11, 3, 12, 13),
        fans=(5, 6),
        fan_rpm=3650,
        frequency=1600,
        malformed=False,
    ),
    replace(
        _S17,
        key="s9k",
        name="Antminer S9k",
        hashrate_hs=14e12,
        power_w=1310,
        chips=60,
        version="Sun Sep 29 15:25:10 CST 2019",
        miner="13.10.1.3",
        software="4.9.0",
        description="cgminer 4.9.0",
        rate_unit=None,
        fans=(1, 2),
        frequency=385,
        voltage="990",
        modes=frozenset({0}),
    ),
    replace(
        _S17,
        key="s15",
        name="Antminer S15",
        hashrate_hs=28e12,
        power_w=1596,
        chips=72,
        version="Thu Apr 25 12:13:48 CST 2019",
        miner="10.10.1.3",
    ),
    replace(
        _S17,
        key="t15",
        name="Antminer T15",
        hashrate_hs=23e12,
        power_w=1541,
        chips=60,
        version="Thu Apr 25 12:13:48 CST 2019",
        miner="11.10.1.3",
        fans=(1, 2),
    ),
    _S17,
    replace(_S17, key="s17", name="Antminer S17", hashrate_hs=56e12, power_w=2520),
    replace(
        _S17,
        key="s17+",
        name="Antminer S17+",
        hashrate_hs=73e12,
        power_w=2920,
        chips=65,
        version="Tue Jun  2 10:11:10 CST 2020",
        miner="b022.0.1.3",
    ),
    replace(_S17, key="t17", name="Antminer T17", hashrate_hs=40e12, power_w=2200, chips=30),
    replace(
        _S17,
        key="t17+",
        name="Antminer T17+",
        hashrate_hs=64e12,
        power_w=3200,
        chips=44,
        version="Tue Jun  2 10:11:10 CST 2020",
        miner="b023.0.1.3",
    ),
    replace(
        _S19_PLAIN,
        key="s19-2020",
        version="Fri Dec 11 11:15:40 CST 2020",
        quirks=("no_array", "no_miner_type"),
    ),
    _S19_PLAIN,
    _S19,
    replace(
        _S19,
        key="s19jpro",
        name="Antminer S19j Pro",
        hashrate_hs=104e12,
        power_w=3068,
        chips=126,
        version="Mon Dec 26 17:09:26 CST 2022",
        set_conf_s=21,
    ),
    replace(
        _S19,
        key="s19kpro",
        name="Antminer S19k Pro",
        hashrate_hs=120e12,
        power_w=2760,
        chips=77,
        group=7,
        version="Thu Jan 11 15:54:31 CST 2024",
        subtype="AMLCtrl_BHB56XXX",
        modes=frozenset({0, 1, 2, 3}),
    ),
    replace(
        _S19,
        key="s19xp",
        name="Antminer S19 XP",
        hashrate_hs=141e12,
        power_w=3010,
        chips=110,
        group=5,
        version="Wed Jul 13 18:38:03 CST 2022",
        subtype="zynq7007_BHB56XXX",
    ),
    replace(
        _S19,
        key="s19prohyd",
        name="Antminer S19 Pro Hyd.",
        hashrate_hs=184e12,
        power_w=5428,
        chips=180,
        version="Fri Mar 10 15:42:01 CST 2023",
        subtype="zynq7007_HHB42XXX",
        chains=(1, 2, 3, 4),
        fans=(),
    ),
    replace(
        _S19,
        key="s19xphyd",
        name="Antminer S19 XP Hyd.",
        hashrate_hs=257e12,
        power_w=5346,
        chips=204,
        group=12,
        version="Wed Jul 20 19:14:27 CST 2022",
        miner="20.3",
        subtype="zynq7007_HHB56XXX",
        fans=(),
        has_power=True,
        quirks=("empty_sleep",),
    ),
    replace(
        _S19,
        key="t19",
        name="Antminer T19",
        hashrate_hs=84e12,
        power_w=3150,
        chips=76,
        group=2,
        version="Fri Dec 11 11:23:44 CST 2020",
    ),
    _S21,
    replace(
        _S21,
        key="s21-2024",
        version="Thu Jul 11 16:38:25 CST 2024",
        shows_serial=False,
        has_power=False,
        quirks=("chain_power",),
    ),
    replace(
        _S21,
        key="s21pro",
        name="Antminer S21 Pro",
        hashrate_hs=234e12,
        power_w=3510,
        chips=65,
        group=5,
        version="FR-1.10(250718-S21 Pro)",
        subtype="AMLCtrl_BHB68XXX",
    ),
    replace(
        _S21,
        key="s21+",
        name="Antminer S21+",
        hashrate_hs=216e12,
        power_w=3564,
        chips=55,
        group=5,
        version="FR-1.11(250903-S21+)",
        quirks=("mode_as_string",),
    ),
    _S21HYD,
    replace(
        _S21HYD,
        key="s21+hyd",
        name="Antminer S21+ Hyd.",
        hashrate_hs=319e12,
        power_w=4785,
        chips=95,
        group=5,
        version="FR-1.4(250611-S21+ Hyd.)",
        modes=frozenset({0, 1, 2, 3}),
        resets_fans=True,
    ),
    replace(
        _S21HYD,
        key="s21xphyd",
        name="Antminer S21 XP Hyd.",
        hashrate_hs=473e12,
        power_w=5676,
        chips=160,
        group=5,
        version="FR-1.3(250520-S21 XP Hyd.)",
        modes=frozenset({0, 1, 3}),
        resets_fans=True,
    ),
    replace(
        _S21HYD,
        key="s23hyd",
        name="Antminer S23 Hyd.",
        hashrate_hs=580e12,
        power_w=5510,
        chips=84,
        group=11,
        version="FR-1.0(260626-S23 Hyd.)",
        miner="platform[AML]",
        modes=frozenset({0, 1, 3}),
        has_power=False,
        quirks=("stats_watt",),
    ),
    replace(
        _S21,
        key="t21",
        name="Antminer T21",
        hashrate_hs=190e12,
        power_w=3610,
        chips=108,
        version="FR-1.9(250622-T21)",
    ),
    _L7,
    replace(
        _L7,
        key="l7-2022",
        version="Wed Jan 12 10:26:27 CST 2022",
        modes=frozenset({0, 1}),
        quirks=("logs_swapped",),
    ),
    replace(
        _L7,
        key="l9",
        name="Antminer L9",
        hashrate_hs=16e9,
        power_w=3360,
        chips=110,
        version="Thu Aug 15 16:20:51 CST 2024",
        miner="86.0-1.0.0",
        chains=(1, 2, 3),
        subtype="CVCtrl_L9",
        modes=frozenset({0, 1}),
        restart_by_mailbox=True,
        product_type="L9",
    ),
    # Since 2026 the scrypt models count GH/s, name no unit, and have their watts in the newer API's stats.
    replace(
        _L7,
        key="l9-2026",
        name="Antminer L9",
        hashrate_hs=17.03e9,
        power_w=3570,
        chips=110,
        group=8,
        version="Mon Mar  2 17:06:41 CST 2026",
        miner="86.48-2.0.0",
        chains=(1, 2, 3),
        unit_hs=1e9,
        rate_unit=None,
        rate_unit_new="GH/s",
        subtype="CVCtrl_L9",
        modes=frozenset({0, 1}),
        restart_by_mailbox=True,
        product_type="L9",
        quirks=("stats_power",),
    ),
    replace(
        _L7,
        key="l11",
        name="Antminer L11",
        hashrate_hs=20.52e9,
        power_w=3680,
        chips=88,
        group=8,
        version="Sat Dec  6 15:55:23 CST 2025",
        miner="86.48-2.0.0",
        chains=(1, 2, 3),
        unit_hs=1e9,
        rate_unit=None,
        rate_unit_new="GH/s",
        subtype="CVCtrl_L11",
        modes=frozenset({0, 1}),
        restart_by_mailbox=True,
        product_type="L11",
        quirks=("stats_watt",),
    ),
    replace(
        _L7,
        key="z15",
        name="Antminer Z15",
        algorithm="equihash",
        hashrate_hs=420e3,
        power_w=1510,
        chips=3,
        group=3,
        version="Thu Sep 10 10:12:44 CST 2020",
        miner="15.0-1.0.0",
        chains=(1, 2, 3),
        fans=(1, 2),
        unit_hs=1e3,
        rate_unit=None,
        rate_unit_new="KSol/s",
        subtype="zynq7007_Z15",
        algo="equihash",
        modes=frozenset({0, 1}),
        quirks=("no_miner_type", "nameless_api"),
    ),
    replace(
        _KS5,
        key="ks3",
        name="Antminer KS3",
        hashrate_hs=9.4e12,
        power_w=3500,
        version="Wed Nov 22 19:11:39 CST 2023",
        fans=(1, 2),
        subtype="CVCtrl_KS3",
        product_type=None,
    ),
    _KS5,
    replace(
        _KS5,
        key="ks5pro",
        name="Antminer KS5 Pro",
        hashrate_hs=21e12,
        power_w=3150,
        quirks=(),
    ),
    _E9PRO,
    replace(
        _E9PRO,
        key="e11",
        name="Antminer E11",
        hashrate_hs=9e9,
        power_w=2340,
        chains=(1, 2, 3),
        version="Thu Oct 10 11:30:05 CST 2024",
        subtype="ZynqMP_E11",
        restart_by_mailbox=True,
    ),
    replace(
        _L7,
        key="d9",
        name="Antminer D9",
        algorithm="x11",
        hashrate_hs=1.77e12,
        power_w=2839,
        chips=126,
        version="Thu Jun 15 10:20:19 CST 2023",
        miner="83.0-1.0.0",
        chains=(1, 2, 3),
        subtype="zynq7007_D9",
        algo="dash",
        modes=frozenset({0, 1}),
    ),
)

MODELS: Final[dict[str, AntminerProduct]] = {model.key: model for model in _MODELS}
MIX: Final = (
    "s21",
    "s9",
    "l7",
    "s19pro",
    "t17+",
    "ks5",
    "s19jpro",
    "l3+",
    "l9",
    "s21hyd",
    "s17pro",
    "e9pro",
    "t21",
    "z11",
    "s19xp",
    "ks3",
)
