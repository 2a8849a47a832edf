"""The half of the Mining Rig Monitor API for ASICs: paths, bodies, and what is wished of one.

    POST asic_miners/specs                AsicSpec     -> null
    POST asic_miners/logs                 AsicLog      -> null
    GET  asic_miners/expected_status                   -> Expected
    POST asic_miners/expected_status_bulk BulkRequest  -> {code: Expected}     (no header)

One unit for all hashrates of a record, degrees and watts as whole numbers.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

import msgspec

from contract.rigmonitor.shared import PREFIX, Body

SPECS: Final = PREFIX + "/asic_miners/specs"
LOGS: Final = PREFIX + "/asic_miners/logs"
EXPECTED_STATUS: Final = PREFIX + "/asic_miners/expected_status"
EXPECTED_STATUS_BULK: Final = PREFIX + "/asic_miners/expected_status_bulk"
BULK_MAX: Final = 500  # codes in one call, by our choice: nothing in the text limits them
# That a server of ours answers to one address, since they need no code.
BULK_CALLS_PER_S: Final = 10.0
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


def read_switch(value: object) -> Switch | None:
    """`on` and `off` exactly. `None` for anything else: it is no wish."""
    return Switch(value) if isinstance(value, str) and value in tuple(Switch) else None
