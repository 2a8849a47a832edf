"""What each recorded IceRiver reply says, written by hand from reading the reply.

Rates in GH/s, temperatures in degC, frequencies in MHz.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class B:
    """A hash board."""

    rate: float
    board_c: float | None
    outlet_c: float | None
    mhz: float
    rate_30m: float | None = None
    chip_c: float | None = None
    chips: int = 18
    hw: int | None = 0


@dataclass(frozen=True)
class P:
    """A pool slot with a url."""

    url: str
    user: str
    alive: bool = False
    active: bool = False
    priority: int | None = None
    accepted: int = 0
    rejected: int = 0
    difficulty_g: float | None = None


@dataclass(frozen=True)
class Panel:
    """Everything a miner shows of itself."""

    model: str
    firmware: str
    package: str
    system_version: str
    software_version: str
    mac: str | None
    hostname: str
    rate: float
    rate_30m: float
    reject_percent: float
    uptime_s: float
    fans: tuple[int, ...]
    pools: tuple[P, ...]
    boards: tuple[B, ...]
    faults: tuple[str, ...] = ()
    light_on: bool = False
    drivable: bool = True
    accepted: int = 0
    rejected: int = 0
    board_c: float | None = None
    outlet_c: float | None = None
    chip_c: float | None = None


@dataclass(frozen=True)
class Config:
    """What is set: slots as (url, user, password, connected, active), fan in percent, mode."""

    slots: tuple[tuple[str, str, str, bool, bool], ...]
    ratio: int
    mode: str


@dataclass(frozen=True)
class Network:
    """Network settings: not asked for by us, and of no use to tell who answers."""

    mac: str
    hostname: str


@dataclass(frozen=True)
class Exchange:
    """A request of the maker's own page and the head its server answers with."""

    path: str
    body: str
    content_type: str
    length: int


@dataclass(frozen=True)
class Foreign:
    """Replies of another firmware's own API, by their path: never asked for; nothing of it passes for one of ours."""

    paths: tuple[str, ...]
    mode_word: str
    mode: str
    mac: str


_NICEHASH = "stratum+tcp://kheavyhash.auto.nicehash.com:9200"
_ASIA = "stratum+tcp://asia-kas.2miners.com:2323"
_US = "stratum+tcp://us-kas.2miners.com:2323"

EXPECTED: dict[str, Panel | Config | Network | Exchange | Foreign] = {
    "ks3m-userpanel-post4.json": Panel(
        model="KS3M",
        firmware="stock",
        package="5977449_ks3m_miner",
        system_version="BOOT_2_0.BIN_image_1.0",
        software_version="5977449_ks3m_miner_5977449_ks3m_bg",
        mac="52:8C:03:36:EC:E7",
        hostname="petalinux_config13",
        rate=6226,
        rate_30m=6308,
        reject_percent=2.403846,
        uptime_s=34_562,  # 9 h 36 min 2 s
        fans=(1028, 1028, 1028, 1072),
        pools=(
            P(_NICEHASH, "NHb...L6D", priority=1),
            P(
                _ASIA,
                "kaspa:qqp...jzj",
                alive=True,
                active=True,
                priority=2,
                accepted=3058,
                rejected=76,
                difficulty_g=70_368.74,
            ),
            P(_US, "kaspa:qqp...jzj", priority=3),
        ),
        boards=(
            B(2151.38, 26, 49, 875, rate_30m=2146.49),
            B(2114.73, 25, None, 875, rate_30m=2104.34),  # its sensor says 126
            B(1960.80, 26, 49, 875, rate_30m=2057.92),
        ),
        accepted=3058,
        rejected=76,
        board_c=26,
        outlet_c=49,
    ),
    "ks5l-userpanel-post4-2024-03.json": Panel(
        model="KS5L",
        firmware="stock",
        package="ICM168_3_2_10_ks5L_miner",
        system_version="BOOT_3_1_image_1.0",
        software_version="ICM168_3_2_10_ks5L_miner_ICM168_3_2_10_ks5L_bg",
        mac=None,  # masked by whoever gave it away
        hostname="XJGXG_SSYYGB",
        rate=15_011,
        rate_30m=10_789,
        reject_percent=0.0,
        uptime_s=102_542,  # 1 d 4 h 29 min 2 s
        fans=(5900, 5900, 5900, 5855),
        pools=(
            P(
                "stratum+tcp://asia1.kaspa-pool.org:4441",
                "kaspa:WALLET.worker_1",
                alive=True,
                active=True,
                priority=1,
                accepted=7225,
                difficulty_g=140_737.49,
            ),
            P("stratum+tcp://eu1.kaspa-pool.org:4441", "kaspa:WALLET.worker_1", priority=2),
            P("stratum+tcp://us1.kaspa-pool.org:4441", "kaspa:WALLET.worker_1", priority=3),
        ),
        boards=(
            B(5160.37, 61, 63, 875, rate_30m=3831.19),
            B(5629.50, 57, 61, 875, rate_30m=3440.25),
            B(4222.12, 62, 67, 875, rate_30m=3518.44),
        ),
        faults=(),  # `tempstate` is false, and every sensor is well
        accepted=7225,
        board_c=62,
        outlet_c=67,
    ),
    # Not how it is asked (port 4111 is), but the same keys, and some more.
    "pbfarmer-ks0-api-overview.json": Panel(
        model="KS0",
        firmware="pbfarmer",
        package="pbv077c_ks0miner",
        system_version="BOOT_2_0.BIN_image_1.0",
        software_version="pbv077c_ks0miner_pbv077c_bg",
        mac="00:0A:36:00:19:28",
        hostname="ks0",
        rate=150,
        rate_30m=145,
        reject_percent=0.0,
        uptime_s=69_567,  # 19 h 19 min 27 s
        fans=(1877, 1901),
        pools=(
            P(
                "stratum+tcp://us.kaspa.herominers.com:1207",
                "kaspa:WALLET.ks0",
                alive=True,
                active=True,
                accepted=33_240,
                rejected=7,
                difficulty_g=274.88,
            ),
            P("stratum+tcp://us1.kaspa-pool.org:4444", "kaspa:WALLET.ks0"),
        ),
        boards=(B(37.68, 43, 56, 1180, chip_c=67.161591, hw=None),),  # `idealpow` 1.18G is none
        faults=("fans",),
        drivable=False,
        accepted=33_240,
        rejected=7,
        board_c=43,
        outlet_c=56,
        chip_c=67.161591,
    ),
    "ks3m-machineconfig-post1.json": Config(
        slots=(
            (_NICEHASH, "NHb...L6D", "x", False, False),
            (_ASIA, "kaspa:qqp...jzj", "x", True, True),
            (_US, "kaspa:qqp...jzj", "x", False, False),
        ),
        ratio=1,
        mode="normal",
    ),
    "ks3m-ipconfig-post1.json": Network(mac="52:8C:03:36:EC:E7", hostname="petalinux_config13"),
    "http-exchange-userpanel.txt": Exchange(
        path="/user/userpanel", body="post=4", content_type="text/html", length=3394
    ),
    "pbfarmer-misc-replies.json": Foreign(
        paths=(
            "/api/machine",
            "/api/pool/list",
            "/api/clock",
            "/api/voltage",
            "/api/fan",
            "/api/network",
        ),
        mode_word="sleep",
        mode="sleep",
        mac="00:0A:36:00:19:28",
    ),
}
