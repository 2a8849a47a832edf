"""The Mining Rig Monitor API (MRM) for ASICs: paths, bodies, limits and the texts inside them; no I/O.

    GET  ping                                          -> {"message": "pong"}
    POST asic_miners/specs                AsicSpec     -> null
    POST asic_miners/logs                 AsicLog      -> null
    GET  asic_miners/expected_status                   -> Expected
    POST asic_miners/expected_status_bulk BulkRequest  -> {code: Expected}     (no header)

The others carry the machine's code in the header `API_CODE`. Names and units are MRM's own, not ours: one unit for all
hashrates of a record, degrees and watts as whole numbers, no time. A struct is what both the published text and server
5.0.0 take; a field without a default is one that both ask for. What a server of ours takes beyond that (numbers as
text, fractions for whole numbers) is its own affair.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Final, Self

import msgspec

PREFIX: Final = "/api/v1"
PING: Final = PREFIX + "/ping"
SPECS: Final = PREFIX + "/asic_miners/specs"
LOGS: Final = PREFIX + "/asic_miners/logs"
EXPECTED_STATUS: Final = PREFIX + "/asic_miners/expected_status"
EXPECTED_STATUS_BULK: Final = PREFIX + "/asic_miners/expected_status_bulk"
PORT: Final = 4000  # of the official server

HEADER: Final = "API_CODE"
# Some proxies drop header names with an underscore; a server may be told to take this one too.
HEADER_ALIAS: Final = "API-CODE"

# What server 5.0.0 can keep. Beyond it answers 500, so a client stays inside and a server of ours is wider.
OFFICIAL_CODE_CHARS: Final = 255
OFFICIAL_TEXT_CHARS: Final = 255
OFFICIAL_UOM_CHARS: Final = 4
OFFICIAL_UPTIME_CHARS: Final = 11
OFFICIAL_UPTIME_DAYS: Final = 99  # what fits into those 11
OFFICIAL_INT_MIN: Final = -(2**31)
OFFICIAL_INT_MAX: Final = 2**31 - 1
OFFICIAL_STALE_S: Final = 60.0  # a machine whose newest log is older leaves the dashboard

BULK_MAX: Final = 500  # codes in one call, by our choice: nothing in the text limits them
# That a server of ours answers to one address, since they need no code.
BULK_CALLS_PER_S: Final = 10.0
OFFLINE_AFTER_S: Final = 150.0  # our server: two and a half times the minute between logs
BOARDS: Final = 3
FANS: Final = 4
POOLS: Final = 3

# The only unit of an ASIC's hashrates that the official server's totals know.
GH_PER_S: Final = "GH/s"
NO_POOL: Final = "-"  # address and user of a machine without a pool: neither may be blank


class Switch(StrEnum):
    """What the operator wants a machine, or the lamp on it, to be."""

    ON = "on"
    OFF = "off"


class PoolState(StrEnum):
    """Whether a machine has a connection to a pool."""

    CONNECTED = "Connected"
    UNCONNECTED = "Unconnected"


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the bodies. Flat; what is not known is left out."""


class AsicSpec(Body, frozen=True, kw_only=True):
    """What a machine is. Sent at its start and when it changed; makes the machine an activated one."""

    model: str  # `Ice River KS5L`
    model_variant: str | None = None  # `12TH`
    firmware_version: str
    software_version: str


class AsicLog(Body, frozen=True, kw_only=True):
    """What a machine does now; the server stamps the arrival. All hashrates are in `hashrate_uom`.

    Temperatures are whole degC (`_temp_1` inlet or board, `_temp_2` outlet or chip), fans rpm, power W,
    `pool_rejection_rate` percent, `uptime` what `uptime_text` makes.
    """

    hashrate_5_min: float
    hashrate_30_min: float | None = None
    hashrate_uom: str
    pool_rejection_rate: float | None = None
    uptime: str

    pool_1_address: str
    pool_1_user: str
    pool_1_state: PoolState
    pool_1_accepted_share: int | None = None
    pool_1_rejected_share: int | None = None
    pool_2_address: str | None = None
    pool_2_user: str | None = None
    pool_2_state: PoolState | None = None
    pool_2_accepted_share: int | None = None
    pool_2_rejected_share: int | None = None
    pool_3_address: str | None = None
    pool_3_user: str | None = None
    pool_3_state: PoolState | None = None
    pool_3_accepted_share: int | None = None
    pool_3_rejected_share: int | None = None

    hashboard_1_hashrate_5_min: float | None = None
    hashboard_1_hashrate_30_min: float | None = None
    # Server 5.0.0 asks for it, so a client sends it; the text does not, so a server of ours takes a log without it.
    hashboard_1_temp_1: int | None = None
    hashboard_1_temp_2: int | None = None
    hashboard_2_hashrate_5_min: float | None = None
    hashboard_2_hashrate_30_min: float | None = None
    hashboard_2_temp_1: int | None = None
    hashboard_2_temp_2: int | None = None
    hashboard_3_hashrate_5_min: float | None = None
    hashboard_3_hashrate_30_min: float | None = None
    hashboard_3_temp_1: int | None = None
    hashboard_3_temp_2: int | None = None

    fan_1_speed: int
    fan_2_speed: int | None = None
    fan_3_speed: int | None = None
    fan_4_speed: int | None = None

    lan_ip: str
    wan_ip: str | None = None
    coin_name: str
    power: int


class Expected(Body, frozen=True, kw_only=True):
    """What the operator wants of one machine. Server 5.0.0 adds the name, the text does not."""

    asic_expected_status: Switch
    light_expected_status: Switch
    name: str | None = None


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The codes asked about, under the key of server 5.0.0 and under that of the text."""

    api_code_list: tuple[str, ...]
    asic_api_code_list: tuple[str, ...]

    @classmethod
    def of(cls, codes: tuple[str, ...]) -> Self:
        """What either server understands; at most `BULK_MAX` codes."""
        return cls(api_code_list=codes, asic_api_code_list=codes)


def uptime_text(seconds: float, *, days_max: int | None = None) -> str:
    """`days:hours:minutes:seconds`, two digits each (`07:23:50:20`), more for the days from 100 on.

    `days_max` caps the days alone: pass `OFFICIAL_UPTIME_DAYS` for the official server.
    """
    minutes, second = divmod(int(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days_max is not None:
        days = min(days, days_max)
    return f"{days:02}:{hour:02}:{minute:02}:{second:02}"


def uptime_s(text: str) -> float | None:
    """The inverse of `uptime_text`, without its cap; `None` for anything but four numbers."""
    match = _UPTIME.fullmatch(text.strip())
    if match is None:
        return None
    day, hour, minute, second = (int(part) for part in match.groups())
    return float(((day * 24 + hour) * 60 + minute) * 60 + second)


def hashrate_hs(value: float, unit: str) -> float | None:
    """A rate in hashes (or solutions) per second. `GH/s`, `gh/s`, `G`, `kSol/s`: case means nothing to
    MRM. `None` for a unit nobody knows, and for a rate beyond all numbers.
    """
    match = _UNIT.fullmatch(unit.strip().lower())
    if match is None:
        return None
    rate = value * 1000.0 ** " kmgtpez".index(match[1] or " ")
    return rate if math.isfinite(rate) else None


def read_switch(value: object) -> Switch | None:
    """`on` and `off` exactly. `None` for anything else: it is no wish."""
    return Switch(value) if isinstance(value, str) and value in tuple(Switch) else None


# No device has run for a million days; longer digits are no number worth reading.
_UPTIME: Final = re.compile(r"([0-9]{1,6}):([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})")
_UNIT: Final = re.compile(r"(?=.)([kmgtpez])?(?:(?:h|hash|hashes|sol|sols)(?:/s|ps)?)?")
