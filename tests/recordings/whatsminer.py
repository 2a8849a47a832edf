"""What each recorded WhatsMiner reply says, written by hand from reading the reply.

Rates in TH/s, temperatures in degC, frequencies in MHz, power in W.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class S:
    """A summary of either API: the figures of the whole miner."""

    now: float
    mean: float
    m1: float | None = None
    m5: float | None = None
    m15: float | None = None
    ideal: float | None = None
    power_w: float | None = None
    limit_w: float | None = None
    mode: str | None = None
    chip_c: float | None = None
    board_c: float | None = None
    env_c: float | None = None
    fans: tuple[int, ...] = ()
    psu_rpm: int | None = None
    elapsed_s: float | None = None
    boot_s: float | None = None
    accepted: int | None = None
    rejected: int | None = None
    stale: int | None = None
    hw: int | None = None
    codes: tuple[int, ...] = ()
    mac: str | None = None
    firmware: str | None = None
    control_board: str | None = None
    ramping: bool = False


@dataclass(frozen=True)
class B:
    """A hash board."""

    slot: int
    rate: float
    chips: int
    mhz: float
    chip_c: float | None = None
    pcb_c: float | None = None
    serial: str | None = None
    ideal: float | None = None
    hw: int | None = None
    state: str | None = "ok"


@dataclass(frozen=True)
class Boards:
    boards: tuple[B, ...]
    in_tera: bool = False  # what the summary's shape would tell the driver
    ramping: bool = False


@dataclass(frozen=True)
class P:
    """A pool slot with a url."""

    index: int
    url: str
    user: str
    status: str = "alive"
    active: bool = False
    priority: int = 0
    accepted: int | None = None
    rejected: int | None = None
    stale: int | None = None
    difficulty: float | None = None
    ago_s: float | None = None


@dataclass(frozen=True)
class Pools:
    pools: tuple[P, ...]


@dataclass(frozen=True)
class Joined:
    """Three answers in one."""

    summary: S
    boards: Boards
    pools: Pools


@dataclass(frozen=True)
class Version:
    """`get_version`: who speaks, and in which dialect."""

    firmware: str
    generation: str
    model: str | None = None
    platform: str | None = None


@dataclass(frozen=True)
class Status:
    """`status`."""

    off: bool
    firmware: str
    mode: str | None = None
    limit_w: float | None = None


@dataclass(frozen=True)
class Info:
    """`get_miner_info`."""

    mac: str
    hostname: str | None
    light: bool
    serial: str | None = None


@dataclass(frozen=True)
class Supply:
    """`get_psu`, or the `power` part of a device info."""

    model: str
    version: str | None = None
    serial: str | None = None
    input_v: float | None = None
    input_a: float | None = None
    output_v: float | None = None
    rpm: int | None = None
    temp_c: float | None = None


@dataclass(frozen=True)
class Errors:
    """`get_error_code`: code and severity of each fault."""

    faults: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Details:
    """`devdetails`: the model."""

    model: str


@dataclass(frozen=True)
class Salts:
    """`get_token`."""

    time: str
    salt: str
    newsalt: str


@dataclass(frozen=True)
class Device:
    """`get.device.info`."""

    model: str
    firmware: str
    mac: str
    serial: str | None
    supply: Supply
    working: bool
    mode: str
    salt: str
    serials: tuple[str, ...]
    control_board: str
    platform: str
    faults: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Summary3:
    """`get.miner.status` of `summary`."""

    summary: S
    board_temps_c: tuple[float, ...]


@dataclass(frozen=True)
class Boards3:
    """`edevs` of `get.miner.status`, as a reply or its bare array."""

    boards: tuple[B, ...]


@dataclass(frozen=True)
class Mock:
    """The vendor's own mock: pools, boards, setting."""

    pools: tuple[P, ...]
    boards: tuple[B, ...]
    mode: str


@dataclass(frozen=True)
class Setting:
    """`msg` of `get.miner.setting`."""

    mode: str


@dataclass(frozen=True)
class Rows:
    """A reply we decode and take nothing from."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Accepted:
    """An order that was taken."""


@dataclass(frozen=True)
class Refused:
    """The error of the contract that this reply becomes, and a part of its text."""

    code: str
    says: str


_COUNTRY = "stratum+tcp://{}.stratum.slushpool.com:3333"
_NICE = "stratum+tcp://sha256asicboost.{}.nicehash.com:3368"
_ASICRS = tuple(f"stratum+tcp://btc{n}.example.pool:3333" for n in ("", "2", "3"))
_M7BS_SERIALS = ("BMM7BSFF306311K40019", "BMM7BSFF306311K40020")

EXPECTED: dict[str, object] = {
    # --- legacy ----------------------------------------------------------------------------------
    "legacy/m20s-2019-summary.json": S(
        now=65.46382208, mean=65.49208933, m1=65.46382208, m5=65.59932393, m15=65.49689124,
        board_c=75.0, fans=(4590, 4560), psu_rpm=8160, elapsed_s=97139, boot_s=98801,
        accepted=33825, rejected=185, stale=27, hw=1601,
    ),
    "legacy/m20s-2019-pools.json": Pools((
        P(0, _COUNTRY.format("us-east"), "002m20s", active=True, accepted=33825, rejected=185,
          stale=27, difficulty=49174, ago_s=0),
        P(1, "stratum+tcp://us-central01.miningrigrentals.com:50194", "xxxx.yyyy", priority=1,
          accepted=0, rejected=0, stale=0),
    )),
    "legacy/m20s-stats.json": Rows(("STATUS", "STATS", "id")),
    # --- v1 --------------------------------------------------------------------------------------
    "v1/get_token.json": Salts("6915", "BQ5hoXV9", "a5TtWui2"),
    "v1/m20s-summary.json": S(
        now=67.26644769, mean=68.71059719, m1=67.26644769, m5=67.82744638, m15=68.29018307,
        ideal=67.051, power_w=3482, limit_w=3500, mode="Normal", chip_c=87.7, board_c=72.0,
        env_c=28.5, fans=(4950, 4920), psu_rpm=8880, elapsed_s=66295, boot_s=66892,
        accepted=5018, rejected=29, stale=0, hw=912, mac="C4:11:04:01:3C:75",
        firmware="20200917.22.REL", control_board="ALLWINNER_H3",
    ),
    "v1/m20s-devs.json": Boards((
        B(0, 22.07966563, 111, 617, 87.7, 71.5, "H3M14S6F200114K10102", hw=324),
        B(1, 23.47092744, 111, 632, 84.5, 68.5, "H3M14S6F200114K10107", hw=277),
        B(2, 21.71030501, 111, 619, 87.2, 72.0, "H3M14S6F200114K10115", hw=311),
    )),
    "v1/m20s-p21-summary.json": S(
        now=67.39480097, mean=67.75325119, m1=67.43935249, m5=67.39480097, m15=67.68162018,
        ideal=68.796, power_w=3427, limit_w=3500, mode="Normal", chip_c=92.5, board_c=71.5,
        fans=(6450, 6480), psu_rpm=9060, elapsed_s=10154, boot_s=10792, accepted=2338, rejected=0,
        stale=0, hw=69, mac="C4:08:28:00:A4:19", firmware="20210322.22.REL",
        control_board="ALLWINNER_H3",
    ),
    "v1/m20s-p21-devs.json": Boards((
        B(0, 22.10378984, 105, 650, 90.0, 70.0, "H5M14S69129A17K10095", hw=15),
        B(1, 22.71979979, 105, 652, 90.11, 69.5, "H5M14S69129A17K10058", hw=47),
        B(2, 22.55473792, 105, 643, 92.5, 71.5, "H5M14S69129A17K10002", hw=7),
    )),
    "v1/m20s-p21-pools.json": Pools((
        P(1, _ASICRS[0], "asic-rs.test", active=True, accepted=2338, rejected=0, stale=0,
          difficulty=65536, ago_s=7),
        P(2, _ASICRS[1], "asic-rs.test", priority=1, accepted=0, rejected=0, stale=0),
        P(3, _ASICRS[2], "asic-rs.test", priority=2, accepted=0, rejected=0, stale=0),
    )),
    "v1/m20s-p21-get_psu.json": Supply("P21-12-3600-E", version="102220.009"),
    "v1/m20s-p21-get_version.json": Version("20210322.22.REL", "v1"),
    "v1/m20s-p21-status.json": Status(off=False, firmware="20220919.15.REL"),
    "v1/m30s-summary.json": S(
        now=85.16347324, mean=85.10639937, m1=85.16347324, m5=84.99016725, m15=84.93108351,
        ideal=86.472, power_w=3232, limit_w=3600, mode="Normal", chip_c=99.79, board_c=80.0,
        env_c=11.0, fans=(2370, 2430), psu_rpm=7576, elapsed_s=29600, boot_s=43805, accepted=1739,
        rejected=1, stale=0, hw=800, codes=(205,), mac="C6:02:14:00:1F:B3",
        firmware="20200512.13.REL",
    ),
    "v1/m30s-edevs.json": Boards((
        B(0, 29.64887376, 156, 546, 99.79, 80.0, "H5M1ES9C200507X10110", hw=396),
        B(1, 27.74021377, 156, 519, 89.14, 72.0, "H5M1ES9C200507X10273", hw=195),
        B(2, 27.62287512, 156, 518, 90.64, 72.5, "H5M1ES9C200507X10272", hw=209),
    )),
    "v1/m30s-pools.json": Pools((
        P(0, _NICE.format("eu"), "xxx", active=True, accepted=1739, rejected=1, stale=0,
          difficulty=537084.308275, ago_s=50),
        P(1, _NICE.format("hk"), "xxx", priority=1, accepted=0, rejected=0, stale=0),
        P(2, _COUNTRY.format("eu"), "xxx", priority=2, accepted=0, rejected=0, stale=0),
    )),
    "v1/m31s-pools+summary+edevs.json": Joined(
        S(
            now=96.41723165, mean=99.79364689, m1=97.87872592, m5=96.87715981, m15=96.80594025,
            ideal=100.999, power_w=3488, limit_w=3600, mode="High", chip_c=94.95, board_c=80.0,
            fans=(3870, 3930), psu_rpm=8784, elapsed_s=1216997, boot_s=1224515, accepted=457459,
            rejected=518, stale=95, hw=0, codes=(206, 2320), mac="C4:05:09:00:02:9B",
            firmware="20210109.22.REL", control_board="ALLWINNER_H6",
        ),
        Boards((
            B(0, 30.32274305, 215, 414, 94.95, 79.5, "xxx", hw=0),
            B(1, 32.63916866, 215, 444, 94.9, 80.0, "xxx", hw=0),
            B(2, 33.44075388, 215, 455, 92.9, 79.5, "xxx", hw=0),
        )),
        Pools((
            P(1, "stratum+tcp://btc.luxor.tech:700", "xxx", active=True, accepted=457459,
              rejected=518, stale=95, difficulty=54954, ago_s=2),
        )),
    ),
    "v1/m31s-status-sleeping.json": Status(off=True, firmware="20210109.22.REL"),
    # --- v2 --------------------------------------------------------------------------------------
    "v2/asicrs-summary.json": S(
        now=124.5, mean=125.0, ideal=126.0, power_w=3200, limit_w=3300, mode="Normal", chip_c=81.0,
        env_c=28.5, fans=(5400, 5280), elapsed_s=25000, boot_s=25500, accepted=5412,
        mac="D4:01:02:03:04:05",
    ),
    "v2/asicrs-devs.json": Boards((
        B(0, 41.5, 135, 600, 80.0, 65.0, "BHM5CSD1302803K30001", ideal=42.0),
        B(1, 41.8, 135, 600, 81.0, 66.0, "BHM5CSD1302803K30002", ideal=42.0),
        B(2, 41.7, 135, 600, 81.0, 67.0, "BHM5CSD1302803K30003", ideal=42.0),
    )),
    "v2/asicrs-pools.json": Pools((
        P(1, _ASICRS[0], "asic-rs.test", active=True, accepted=5412, rejected=0),
        P(2, _ASICRS[1], "asic-rs.test", priority=1, accepted=0, rejected=0),
        P(3, _ASICRS[2], "asic-rs.test", priority=2, accepted=0, rejected=0),
    )),
    "v2/asicrs-get_version.json": Version("20230803.11.REL", "v2", platform="h616"),
    "v2/asicrs-get_miner_info.json": Info("D4:01:02:03:04:05", "WhatsMiner", light=False),
    "v2/asicrs-get_psu.json": Supply("P222B", version="230208.220429", rpm=6000),
    "v2/asicrs-get_error_code_with_errors.json": Errors((("218", "error"), ("110", "error"))),
    "v2/asicrs-status.json": Status(
        off=False, firmware="20240624.18.REL", mode="low", limit_w=3600
    ),
    "v2/pyasic-status-20230911.json": Status(off=False, firmware="20230911.12.Rel"),
    # --- port 4028 of firmware with API v3 -------------------------------------------------------
    "v2-compat/m60s-farm-edevs.json": Boards(
        (
            B(0, 45.61, 215, 362, None, 73.88, "SKM3CSD7104715KA1227", 56.792, state=None),
            B(1, 50.13, 215, 373, None, 78.19, "SKM3CSD7104614B74283", 52.130, state=None),
            B(2, 44.8, 215, 338, None, 72.62, "SKM3CSD7104522K92245", 56.926, state=None),
        ),
        in_tera=True,
        ramping=True,
    ),
    "v2-compat/m60s-farm-devdetails.json": Refused("unsupported", "deprecated"),
    "v2-compat/m60s-farm-get_miner_info.json": Info(
        "CE:0C:1D:00:2A:53", "WhatsMiner", light=False
    ),
    "v2-compat/m7bs-rel3-get_version.json": Version(
        "20260312.16.REL3", "v2-compat", "M7BS_VM30", "h616"
    ),
    "v2-compat/m7bs-rel3-summary.json": S(
        now=692.632192, mean=692.030656, m1=692.632192, m15=692.00544, ideal=560.974,
        power_w=9763.263333333334, limit_w=9758, mode="High", chip_c=77.70713806152344,
        env_c=45.562, elapsed_s=10658.685546875, boot_s=12927,
    ),
    "v2-compat/m7bs-rel3-edevs.json": Boards(
        (
            B(0, 170.75, 288, 413, None, 65.31, _M7BS_SERIALS[0], 139.93, state=None),
            B(1, 175.6, 288, 424, None, 65.31, _M7BS_SERIALS[0], 139.93, state=None),
            B(2, 175.85, 288, 425, None, 54.81, _M7BS_SERIALS[1], 140.557, state=None),
            B(3, 170.43, 288, 413, None, 54.81, _M7BS_SERIALS[1], 140.557, state=None),
        ),
        in_tera=True,
    ),
    "v2-compat/m7bs-rel3-pools.json": Pools((
        P(1, "stratum+tcp://btc.f2pool.com:1314", "haven7346.M7bS_test", active=True, accepted=432,
          rejected=0, stale=0, difficulty=4194304),
    )),
    "v2-compat/m7bs-rel3-status.json": Status(
        off=False, firmware="20260312.16.REL3", mode="high", limit_w=10030
    ),
    "v2-compat/m7bs-rel3-get_miner_info.json": Info(
        "A0:5B:06:00:36:60", "WhatsMiner", light=True, serial="BTM7BS30FA26031256090407244H05947"
    ),
    "v2-compat/m7bs-rel3-get_error_code.json": Errors(()),
    # --- API v3 ----------------------------------------------------------------------------------
    "v3/m60s-get_device_info.json": Device(
        model="M60S_VK40", firmware="20251209.16.Rel2", mac="CE:02:01:00:8C:36",
        serial="BTM3CS40HD24083100000000000000000",
        supply=Supply("P221B", version="230224.220429", serial="1436B2429603097", rpm=6344),
        working=True, mode="normal", salt="uhCiDyVj",
        serials=("BKM3CSE1404807K42757", "BKM3CSE1404812K43675", "BKM3CSE1404807K42762"),
        control_board="CB6V10", platform="h616",
    ),
    "v3/m60s-get_miner_status_summary.json": Summary3(
        S(
            now=171.259, mean=170.8, m1=171.2, m15=170.5, ideal=181.051, power_w=3156, limit_w=3600,
            chip_c=82.0, board_c=41.5, env_c=28.5, fans=(5400, 5280), elapsed_s=50000, boot_s=1323,
        ),
        (41.1, 40.1, 41.5),
    ),
    "v3/m60s-get_miner_status_edevs.json": Boards3((
        B(0, 57.2, 75, 625, 80.0, ideal=60.35),
        B(1, 57.0, 75, 625, 82.0, ideal=60.35),
        B(2, 57.1, 75, 625, 81.0, ideal=60.35),
    )),
    "v3/m60s-get_miner_status_pools.json": Pools((
        P(1, _ASICRS[0], "asic-rs.test", active=True),
        P(2, _ASICRS[1], "asic-rs.test", priority=1),
        P(3, _ASICRS[2], "asic-rs.test", priority=2),
    )),
    "v3/m7bs-rel3-edevs-array.json": Boards3((
        B(0, 170.39, 288, 413.0592956542969, 77.8, ideal=139.93, state=None),
        B(1, 175.626, 288, 424.81365966796875, 68.6, ideal=139.93, state=None),
        B(2, 175.483, 288, 425.5421142578125, 68.6, ideal=140.557, state=None),
        B(3, 170.442, 288, 413.45306396484375, 78.0, ideal=140.557, state=None),
    )),
    "v3/m63-get_miner_setting-keys.json": Setting("normal"),
    # --- examples of the vendor's manuals --------------------------------------------------------
    "doc-examples/v2-devdetails.json": Details("M30S+VE40"),
    "doc-examples/v2-get_version.json": Version("20220125.13.Rel", "v2", platform="h6os"),
    "doc-examples/v2-get_psu.json": Supply(
        "P221B", version="V01.00.V01.03", serial="A1232B0120100049", input_v=224.0, input_a=8.718,
        rpm=6976,
    ),
    "doc-examples/v2-get_miner_info.json": Info("C6:07:20:00:1E:C2", None, light=False),
    "doc-examples/v2-get_error_code-2.0.4-malformed.txt": Errors((("329", "warning"),)),
    "doc-examples/v3-get_device_info.json": Device(
        model="M30S++_VH70", firmware="20240722.07.51.REL", mac="CA:01:14:00:04:EB", serial=None,
        supply=Supply(
            "P22-12-3300-C", version="20201224_P00031.20210326_S00037", serial="1355A2123xxxxxx",
            input_v=220.5, input_a=14.8, output_v=12.09, rpm=6112, temp_c=41.3,
        ),
        working=False, mode="normal", salt="px5hoXa9", serials=("HHM1EK46702216Kxxxxx",) * 3,
        control_board="CB6V10", platform="h616",
        faults=(("531", "error", "Slot1 not found."), ("532", "error", "Slot2 not found.")),
    ),
    "doc-examples/v3-get_miner_status_summary.json": Summary3(
        S(
            now=101.847, mean=101.847, m1=102.072, m15=101.847, ideal=101.366, power_w=3268,
            limit_w=3500, chip_c=100.3, board_c=72.3, env_c=34.8, fans=(4980, 5070),
            elapsed_s=1074, boot_s=1175,
        ),
        (69.6, 70.1, 72.3),
    ),
    "doc-examples/v3-get_system_setting.json": Rows((
        "web-pool", "timezone", "zonename", "hostname", "log-upload", "time-randomized",
        "ntp-server",
    )),
    "doc-examples/v3-pools-and-edevs-vendor-mock.json": Mock(
        (P(1, "stratum+tcp://pool.example:3333", "worker.1", active=True, ago_s=7),),
        (B(0, 33.972, 70, 785, 97.4, ideal=33.789, state=None),),
        "normal",
    ),
    # --- refusals --------------------------------------------------------------------------------
    "errors/missing-json-command.json": Refused("refused", "Missing JSON"),
    "errors/socket-connect-failed.txt": Refused("malformed_reply", "does not run"),
    "errors/write-not-enabled.json": Refused("write_disabled", "Miner API Switch"),
    "errors/write-ok-v1.1.json": Accepted(),
}  # fmt: skip
