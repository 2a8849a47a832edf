"""What each recorded AntMiner reply says, written by hand from reading the reply.

Rates in hashes (Equihash: solutions) per second, temperatures in degC, frequencies in MHz.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Version:
    """A reply to `version`, or the head of one to `stats`: who speaks."""

    firmware: str | None
    model: str | None
    generation: str | None
    version: str | None


@dataclass(frozen=True)
class B:
    """A hash board."""

    index: int
    rate: float | None
    chips: int | None
    bad: int | None
    chip_c: float | None
    pcb_c: float | None
    mhz: float | None
    hw: int | None
    ideal: float | None = None
    serial: str | None = None
    state: str | None = "ok"


@dataclass(frozen=True)
class Stats:
    """A reply to `stats`: who speaks and what it does."""

    head: Version
    rate: float | None
    mean: float | None
    ideal: float | None = None
    half: float | None = None
    uptime_s: float | None = None
    fans: tuple[int, ...] = ()
    chip_c: float | None = None
    pcb_c: float | None = None
    hw: int | None = None
    power_w: float | None = None
    mode: int | None = None
    boards: tuple[B, ...] = ()
    new_api: bool = False
    inlet_c: float | None = None
    outlet_c: float | None = None


@dataclass(frozen=True)
class Summary:
    rate: float | None
    mean: float | None
    half: float | None
    uptime_s: float | None
    accepted: int | None
    rejected: int | None
    stale: int | None
    hw: int | None
    new_api: bool = False


@dataclass(frozen=True)
class P:
    """A pool slot with a url."""

    index: int
    url: str
    user: str | None
    status: str
    active: bool | None
    accepted: int
    rejected: int = 0
    stale: int = 0
    difficulty: float | None = None
    ago_s: float | None = None


@dataclass(frozen=True)
class Pools:
    pools: tuple[P, ...]


@dataclass(frozen=True)
class Rows:
    """A reply we decode and take little from: so many rows under this name."""

    name: str
    count: int
    facts: dict[str, object] = field(default_factory=dict)  # of the first row


@dataclass(frozen=True)
class Text:
    """No API reply: whose firmware its text shows, and the error of the API's decoder if it is asked."""

    firmware: str
    error: str | None


OLD, BM, GOD = "OLD", "NEW-BM", "NEW-GOD"
_S9_2017 = "Fri Nov 17 17:37:49 CST 2017"
_L3_2017 = "Fri Aug 25 17:28:57 CST 2017"
_S19_2020 = "Fri Dec 11 11:15:40 CST 2020"
_S19PRO_2022 = "Tue Dec  6 16:12:30 CST 2022"
_S21 = "Thu Jul 11 16:38:25 CST 2024"
_FIXTURE = "Fri Nov 17 17:37:21 CST 2023"
_XPHYD = "Wed Jul 20 19:14:27 CST 2022"

_L3_BOARDS = (
    B(1, 126.12e6, 72, 0, 54, 46, 384, 0),
    B(2, 125.79e6, 72, 0, 56, 46, 384, 0),
    B(3, 126.06e6, 72, 0, 56, 46, 384, 153),
    B(4, 126.59e6, 72, 0, 53, 45, 384, 0),
)
_L3_HEAD = Version("stock", "L3+", OLD, _L3_2017)


def _l3(rate: float) -> Stats:
    return Stats(
        _L3_HEAD,
        rate,
        500.28e6,
        uptime_s=393983,
        fans=(3840, 3810),
        chip_c=56,
        pcb_c=46,
        hw=152,
        boards=_L3_BOARDS,
    )


_LUXOR = "stratum+tcp://btc.global.luxor.tech:700"
_KIERE = "satokierepair.H04YK"
_COSMOS = "CosmosCapitalFund.COSMOSxCNKxS17Px00001"

RPC: dict[str, object] = {
    "rpc/e3/version.json": Version("stock", "E3", OLD, _L3_2017),
    "rpc/e3/stats.json": Stats(
        Version("stock", "E3", OLD, "Wed Jul 4 18:21:00 CST 2018"),
        197.30e6,
        199.56e6,
        uptime_s=556,
        fans=(3600, 3720),
        chip_c=68,
        pcb_c=50,
        boards=(
            B(1, 20.97e6, 2, 0, 63, 49, 1600, 0),
            B(2, 24.49e6, 2, 0, 68, 50, 1600, 0),
            B(3, 21.14e6, 2, 0, 68, 50, 1600, 0),
            B(8, 21.81e6, 2, 0, 63, 45, 1600, 0),
            B(9, 22.98e6, 2, 0, 56, 39, 1600, 0),
            B(10, 18.79e6, 2, 0, 59, 46, 1600, 0),
            B(11, 22.98e6, 2, 0, 56, 39, 1600, 0),
            B(12, 23.99e6, 2, 0, 63, 45, 1600, 0),
            B(13, 20.13e6, 2, 0, 58, 39, 1600, 0),
        ),
    ),
    "rpc/e3/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://us1.ethpool.org:3333",
                "#0x65CdB0EE9Ba1D9eFe2566965F8B089c2B9ffCE63.00B4C08382A1",
                "alive",
                True,
                38,
                difficulty=31,
                ago_s=20,
            ),
        )
    ),
    "rpc/e9pro-partial/stats.json": Stats(
        Version("stock", "E9 Pro", GOD, None),
        4008.63e6,
        3972.28e6,
        ideal=3800e6,
        fans=(5760, 5760, 5760, 5760),
        chip_c=71,
        pcb_c=57,
        boards=(
            B(1, 2.003863936e9, 8, 0, 71, 56, None, None),
            B(2, 1.986573568e9, 8, 0, 70, 57, None, None),
        ),
    ),
    "rpc/l3/version.json": Version("stock", "L3", OLD, _L3_2017),
    "rpc/l3/stats.malformed.txt": _l3(504.56e6),
    "rpc/l3/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://us.litecoinpool.org:3333",
                "obmllc.l3_1",
                "alive",
                True,
                47384,
                212,
                15,
                65500,
                23,
            ),
        )
    ),
    "rpc/l3-2/stats.malformed.txt": _l3(0),
    "rpc/l3+-2017/stats.malformed.txt": _l3(504.56e6),
    "rpc/s17/version.json": Version("stock", "S17", OLD, _L3_2017),
    "rpc/s17/stats.json": Stats(
        Version("stock", "S17 Pro", OLD, "Tue Aug 20 10:37:07 CST 2019"),
        54.99701e12,
        54.51207e12,
        ideal=53.619e12,
        half=54.29786e12,
        uptime_s=253447,
        fans=(2400, 3000, 3120, 2400),
        chip_c=80,
        pcb_c=53,
        hw=2885,
        mode=1,
        boards=(
            B(1, 17.96826e12, 48, 0, 80, 53, 570, 731),
            B(2, 18.418e12, 48, 0, 75, 53, 560, 1074),
            B(3, 18.61075e12, 48, 0, 63, 45, 566, 1080),
        ),
    ),
    "rpc/s17/pools.json": Pools(
        (
            P(0, "stratum+tcp://xxxxxx:3333", _COSMOS, "alive", True, 86241, 411, 116, 39500, 3),
            P(1, "stratum+tcp://xxxxxx:3333", _COSMOS, "alive", False, 63, 0, 2, 512, 238695),
            P(
                2,
                "stratum+tcp://stratum.slushpool.com:3333",
                _COSMOS,
                "alive",
                False,
                196,
                5,
                4,
                512,
                239377,
            ),
        )
    ),
    "rpc/s19-overheating/stats.json": Stats(
        Version("stock", "S19 Pro", BM, "Fri Dec 11 11:23:44 CST 2020"),
        0,
        737.37e9,
        ideal=111.859e12,
        half=737.37e9,
        uptime_s=12122,
        fans=(5160, 5280, 6240, 6120),
        chip_c=97,
        pcb_c=92,
        hw=1,
        boards=(
            B(1, 0, 114, 114, 93, 88, 525, 1, state="off"),
            B(2, 0, 114, 114, 94, 89, 525, 0, state="off"),
            B(3, 0, 114, 114, 97, 92, 525, 0, state="off"),
        ),
    ),
    "rpc/s19-overheating/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://aaa.com:9999#xnsub",
                "aaa.bb",
                "alive",
                True,
                37,
                difficulty=8190,
                ago_s=12033,
            ),
        )
    ),
    "rpc/s19-sleeping/version.json": Version("stock", "S19", BM, _S19_2020),
    "rpc/s19-sleeping/stats.json": Stats(
        Version("stock", "S19", BM, _S19_2020),
        0,
        0,
        ideal=63.919e12,
        half=0,
        uptime_s=735,
        fans=(1560, 1560, 600, 720),
        chip_c=40,
        pcb_c=40,
        hw=0,
        boards=(
            B(2, 0, 76, 76, 40, 40, 675, 0, state="off"),
            B(3, 0, 76, 76, 40, 40, 675, 0, state="off"),
        ),
    ),
    "rpc/s19-sleeping/pools.json": Pools(
        (
            P(0, "stratum+tcp://aaa:700", "aaa.226x94", "alive", True, 0, difficulty=32800),
            P(1, "stratum+tcp://bbb:6000", "bbb.226x94", "alive", False, 0, difficulty=42000),
            P(2, "stratum+tcp://ccc:443", "ccc.226x94", "deed", False, 0),
        )
    ),
    "rpc/s19pro-2022/version.json": Version("stock", "S19 Pro", BM, _S19PRO_2022),
    "rpc/s19pro-2022/summary.json": Summary(
        110.56689e12, 111.83485e12, 111.87826e12, 50474, 4057, 11, 1, 562
    ),
    "rpc/s19pro-2022/stats.json": Stats(
        Version("stock", "S19 Pro", BM, _S19PRO_2022),
        110.56689e12,
        111.83463e12,
        ideal=110e12,
        half=111.87826e12,
        uptime_s=50474,
        fans=(6000, 5880, 5040, 5040),
        chip_c=78,
        pcb_c=73,
        hw=562,
        boards=(
            B(1, 37.6033e12, 114, 0, 78, 73, 525, 183),
            B(2, 35.53622e12, 114, 0, 71, 66, 525, 195),
            B(3, 37.42738e12, 114, 0, 69, 64, 525, 184),
        ),
    ),
    "rpc/s19pro-2022/pools.json": Pools(
        (
            P(0, _LUXOR, _KIERE, "alive", True, 4057, 11, 1, 524000, 3),
            P(1, _LUXOR, _KIERE, "alive", False, 0),
            P(2, _LUXOR, _KIERE, "alive", False, 0),
        )
    ),
    "rpc/s19pro-2022/devs.json": Rows("DEVS", 1, {"Name": "BTM_SOC", "MHS 5s": 0.0}),
    "rpc/s21-2024-07/version.json": Version("stock", "S21", BM, _S21),
    "rpc/s21-2024-07/summary.json": Summary(
        203.00701e12, 203.67566e12, 203.91573e12, 59129, 11187, 9, 0, 61
    ),
    "rpc/s21-2024-07/stats.json": Stats(
        Version("stock", "S21", BM, _S21),
        203.00701e12,
        203.67566e12,
        uptime_s=59129,
        fans=(6000, 5880, 5040, 5040),
        power_w=3250,
    ),
    "rpc/s21-2024-07/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://stratum.braiins.com:3333",
                "proto_mining_sw_test_s21-0a5",
                "alive",
                True,
                11187,
                9,
                0,
                262000,
                12,
            ),
        )
    ),
    "rpc/s21-2024-07/devs.json": Rows("DEVS", 1, {"MHS 5s": 202266.83}),
    "rpc/s9-2017/version.json": Version("stock", "S9", OLD, _S9_2017),
    "rpc/s9k/version.malformed.txt": Version("stock", "S9k", OLD, "Sun Sep 29 15:25:10 CST 2019"),
    "rpc/s9k/stats.json": Stats(
        Version("stock", "S9k", OLD, "Sun Sep 29 15:25:10 CST 2019"),
        14.35919e12,
        14.25276e12,
        ideal=14e12,
        uptime_s=367506,
        fans=(2280, 3720),
        chip_c=85,
        pcb_c=61,
        hw=11456,
        boards=(
            B(1, 4.66179e12, 60, 0, 85, 61, 375, 6738),
            B(2, 4.81572e12, 60, 0, 84, 60, 385, 1841),
            B(3, 4.88169e12, 60, 0, 78, 58, 385, 2789),
        ),
    ),
    "rpc/t17+-sleeping/version.json": Version("stock", "T17+", OLD, "Tue Jun  2 10:11:10 CST 2020"),
    "rpc/t17+-sleeping/stats.json": Stats(
        Version("stock", "T17+", OLD, "Tue Jun  2 10:11:10 CST 2020"),
        0,
        0,
        half=0,
        uptime_s=8105,
        hw=0,
        mode=254,
    ),
    "rpc/z11/version.json": Version("stock", "Z11", OLD, "Tue Mar 12 19:47:06 CST 2019"),
    "rpc/z11/stats.malformed.txt": Stats(
        Version("stock", "Z11", OLD, "Tue Mar 12 19:47:06 CST 2019"),
        141.54e3,
        139.59e3,
        uptime_s=68493,
        fans=(5640, 5760),
        chip_c=90,
        pcb_c=63,
        hw=0,
        boards=(
            B(1, 53.24e3, 3, 0, 90, 63, 731, 2197),
            B(2, 42.26e3, 3, 0, 83, 63, 731, 3610),
            B(3, 46.03e3, 3, 0, 90, 63, 731, 3907),
        ),
    ),
    "rpc/z11/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://equihash.luxor.tech:700",
                "x.001",
                "alive",
                True,
                2848,
                20,
                0,
                21,
                2,
            ),
        )
    ),
}

FIXTURES: dict[str, object] = {
    "fixture-miningos/miner_type.cgi.json": Text("stock", error=None),
    "fixture-miningos/pools.cgi.json": Pools(
        (P(0, "stratum+tcp://btc.f2pool.com:1314", "haven7346", "alive", None, 0),)
    ),
    "fixture-miningos/sleeping-summary.cgi.json": Summary(
        None, None, None, None, None, None, None, None, new_api=True
    ),
    "fixture-miningos/stats.cgi.json": Stats(
        Version("stock", "S19 XP Hyd.", BM, _XPHYD),
        257.70036e12,
        257e12,
        ideal=257e12,
        half=257e12,
        uptime_s=3600,
        chip_c=89,
        pcb_c=84,
        mode=0,
        new_api=True,
        inlet_c=74,
        outlet_c=63,
        boards=tuple(
            B(
                index,
                85.90012e12,
                204,
                0,
                89,
                84,
                475,
                0,
                ideal=86.628e12,
                serial="PIEMYPHBCJACJ0A23",
            )
            for index in (1, 2, 3)
        ),
    ),
    "fixture-proto-fleet/rpc-devs.json": Rows("DEVS", 1, {"Name": "SM", "MHS av": 0.0}),
    "fixture-proto-fleet/rpc-pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://pool.example.com:3333",
                "worker.001",
                "alive",
                True,
                120000,
                50,
                3,
                131000,
                5,
            ),
            P(1, "stratum+tcp://pool2.example.com:3333", "worker.001", "dead", False, 0),
            P(2, "stratum+tcp://pool3.example.com:3333", "worker.001", "dead", False, 0),
        )
    ),
    "fixture-proto-fleet/rpc-summary.json": Summary(
        88.422e12, 87.9e12, 88.1e12, 501234, 120000, 50, 3, 12
    ),
    "fixture-proto-fleet/rpc-version.json": Version("stock", "S19", BM, _FIXTURE),
    "fixture-proto-fleet/web-stats.json": Stats(
        Version("stock", "S19", BM, _FIXTURE),
        88.422e12,
        87.9e12,
        ideal=95e12,
        half=88.1e12,
        uptime_s=501234,
        fans=(4080, 4380, 3750, 3690),
        chip_c=70,
        pcb_c=49,
        new_api=True,
        boards=(
            B(1, 29.5e12, 88, None, 67, 47, 675, 4, 31.667e12, "HASH01", None),
            B(2, 29.6e12, 88, None, 68, 48, 675, 5, 31.667e12, "HASH02", None),
            B(3, 29.322e12, 88, None, 70, 49, 675, 3, 31.667e12, "HASH03", None),
        ),
    ),
    "fixture-proto-fleet/web-summary.json": Summary(
        88.422e12, 87.9e12, 88.1e12, 501234, None, None, None, 12, new_api=True
    ),
}

_DASH = "stratum+tcp://dash-eu.coinmine.pl:6099"
_NOVA = "stratum+tcp://dash.suprnova.cc:9991"
_FEES = (
    P(0, _DASH, "Dash.default", "alive", True, 3038, 8, 5, 69.2461, 0),
    P(3, _NOVA, "devFeeMiner.9", "alive", False, 0, difficulty=64),
    P(4, _DASH, "devFeeMiner.1", "alive", False, 0, difficulty=20),
)
_SEER = "asicseer.dcc9a2"
_ANT = "stratum+tcp://stratum.antpool.com"

FOREIGN: dict[str, object] = {
    # This reply alone is that of stock firmware; the head of its `stats` gives it away.
    "other-firmware/d3/version.json": Version("stock", "D3", OLD, _L3_2017),
    "other-firmware/d3/stats.malformed.txt": Stats(
        Version("other", "D3", OLD, "Fri Jan 05 16:48:56 CST 2018"),
        16346.64e6,
        16868.38e6,
        uptime_s=54422,
        fans=(6030, 5790),
        chip_c=69,
        pcb_c=48,
        hw=4,
        boards=(
            B(1, 5287.83e6, 60, 0, 69, 46, 450, 0),
            B(2, 5631.41e6, 60, 0, 67, 46, 450, 0),
            B(3, 5427.41e6, 60, 0, 62, 48, 450, 0),
        ),
    ),
    "other-firmware/d3/pools.json": Pools(_FEES),
    "other-firmware/luxos/version.json": Version(
        "luxos", "A model", None, "2000.1.1.12345-aaabbbc"
    ),
    "other-firmware/s17+-vnish-2.0.3-get_system_info.json": Text("vnish", error=None),
    "other-firmware/s9-asicseer/version.json": Version(
        "other", "S9", OLD, "Mon Nov 11 17:07:20 CST 2019"
    ),
    "other-firmware/s9-asicseer/stats.json": Stats(
        Version("other", "S9", OLD, "Mon Nov 11 17:07:20 CST 2019"),
        13.40214e12,
        12.74334e12,
        ideal=13.46625e12,
        uptime_s=102,
        fans=(2880, 3840),
        chip_c=87,
        pcb_c=57,
        hw=2,
        boards=(
            B(6, 4.46765e12, 63, 0, 87, 57, 625, 0, ideal=4.48875e12),
            B(7, 4.43133e12, 63, 0, 74, 49, 625, 2, ideal=4.48875e12),
            B(8, 4.50315e12, 63, 0, 86, 56, 625, 0, ideal=4.48875e12),
        ),
    ),
    "other-firmware/s9-asicseer/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://btc-us.f2pool.com:3333",
                _SEER,
                "alive",
                False,
                1,
                difficulty=65500,
                ago_s=17,
            ),
            P(
                1,
                "stratum+tcp://btc-us.f2pool.com:1314",
                _SEER,
                "alive",
                False,
                0,
                difficulty=65500,
            ),
            P(2, "stratum+tcp://btc.viabtc.com:3333", _SEER, "alive", False, 0, difficulty=4100),
        )
    ),
    "other-firmware/s9-bos+/version.json": Version("braiins", None, None, "0.2.0-36c56a9363"),
    "other-firmware/s9-bos+/summary.json": Summary(
        15740915.842676325e6, 11988299.650652435e6, None, 3680, 153, 0, 0, 186
    ),
    "other-firmware/s9-bos+/pools.json": Pools(
        (
            P(0, f"{_ANT}:3333", "antminer_1", "alive", True, 152),
            P(1, f"{_ANT}:443", "antminer_1", "alive", False, 0),
            P(2, f"{_ANT}:25", "antminer_1", "alive", False, 0),
        )
    ),
    "other-firmware/s9-bos+/devs.json": Rows("DEVS", 3, {"ID": 6, "Nominal MHS": 4668300.0}),
    "other-firmware/s9-bos+/temps.json": Rows("TEMPS", 3, {"ID": 6, "Board": 75.0}),
    "other-firmware/s9-bos+/fans.json": Rows("FANS", 4, {"RPM": 2820}),
    "other-firmware/s9-bos/version.json": Version("braiins", None, None, "0.2.0-d360818"),
    "other-firmware/s9-bos/summary.json": Summary(
        14274425.317759488e6, 16698158.653278796e6, None, 92, 68, 2, 0, 0
    ),
    "other-firmware/s9-bos/pools.json": Pools(
        (
            P(0, f"{_ANT}:3333", "antminer_1", "alive", True, 68, 2),
            P(
                1,
                "stratum+tcp://stratum.slushpool.com:3333",
                "!non-existent-user!",
                "dead",
                False,
                0,
            ),
        )
    ),
    "other-firmware/s9-bos/temps.json": Rows("TEMPS", 3, {"ID": 6, "Board": 53.0}),
    "other-firmware/s9-bos/fans.json": Rows("FANS", 4, {"RPM": 1560}),
    "other-firmware/s9-hiveon/version.json": Version(
        "hiveon", "S9", OLD, "Tue Nov 20 10:12:30 UTC 2019"
    ),
    "other-firmware/s9-hiveon/stats.malformed.txt": Stats(
        Version("hiveon", "S9", OLD, "Tue Nov 20 10:12:30 UTC 2019"),
        11.7814e12,
        11.60955e12,
        ideal=11.8503e12,
        uptime_s=69,
        fans=(3840, 4920),
        chip_c=74,
        pcb_c=59,
        hw=0,
        boards=(
            B(6, 3.91164e12, 63, 0, 74, 59, 550, 0, ideal=3.9501e12),
            B(7, 3.9137e12, 63, 0, 65, 50, 550, 0, ideal=3.9501e12),
            B(8, 3.95605e12, 63, 0, 72, 57, 550, 0, ideal=3.9501e12),
        ),
    ),
    "other-firmware/s9-hiveon/pools.json": Pools(_FEES),
    "other-firmware/s9-nicehash/version.json": Version("vnish", "S9", OLD, "vnish 3.8.6"),
    "other-firmware/s9-nicehash/stats.malformed.txt": Stats(
        Version("vnish", "S9", OLD, "vnish 3.8.6"),
        12.79548e12,
        12.90071e12,
        ideal=12.9276e12,
        uptime_s=3617,
        fans=(5400, 5880),
        chip_c=80,
        pcb_c=65,
        hw=297,
        boards=(
            B(6, 4.26448e12, 63, 0, 80, 65, 600, 1, ideal=4.3092e12),
            B(7, 4.29832e12, 63, 0, 71, 56, 600, 3, ideal=4.3092e12),
            B(8, 4.23267e12, 63, 0, 78, 63, 600, 293, ideal=4.3092e12),
        ),
    ),
    "other-firmware/s9-nicehash/pools.json": Pools(
        (
            P(
                0,
                "stratum+tcp://solo.antpool.com:3333",
                "antminer_1",
                "alive",
                True,
                135,
                difficulty=65500,
                ago_s=3,
            ),
            P(1, f"{_ANT}:3333", "antminer_1", "alive", False, 0),
            P(2, "stratum+tcp://cn.ss.btc.com:3333", "antminer.1", "dead", False, 0),
            P(3, "DevFee", "DevFee", "alive", False, 166, difficulty=512, ago_s=186),
        )
    ),
    "other-firmware/vnish/rpc-version.json": Text("refused", error="refused"),
    "other-firmware/vnish/rpc-devdetails.json": Rows("DEVDETAILS", 1, {"Name": "BTM_S21PRO"}),
    "other-firmware/vnish/rpc-stats.json": Stats(
        Version("vnish", "S21 Pro", BM, "Vnish 1.2.7"),
        173.87094e12,
        174.37475e12,
        ideal=196.51717e12,
        uptime_s=4423,
        fans=(5850, 5850, 5940, 5940),
        chip_c=65,
        pcb_c=50,
        boards=(
            B(1, 60.79719e12, 65, None, 65, 50, 495, 29, ideal=65.505727e12, state=None),
            B(2, 57.766645e12, 65, None, 64, 49, 495, 20, ideal=65.505727e12, state=None),
            B(3, 55.3071e12, 65, None, 64, 49, 495, 8, ideal=65.505727e12, state=None),
        ),
    ),
    "other-firmware/vnish/web-info.json": Text("vnish", error=None),
    "other-firmware/vnish/web-root.html": Text("vnish", error="malformed_reply"),
}

EXPECTED: dict[str, object] = RPC | FIXTURES | FOREIGN
