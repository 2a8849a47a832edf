"""What a miner is and what one look at it shows. SI base units; what a miner does not say is `None`, never 0 or ""."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from contract.hiding import masked_url
from contract.ports import PORTS


class Make(StrEnum):
    """Manufacturers, spelt as the Nonce API spells them."""

    ANTMINER = "Bitmain"
    WHATSMINER = "MicroBT"
    ICERIVER = "IceRiver"
    RIG = "rig"  # a computer that mines with its processor or its graphics cards, whoever built it
    UNKNOWN = "unknown"


class Firmware(StrEnum):
    """Whose firmware runs. Only STOCK is ever written to."""

    STOCK = "stock"
    BRAIINS = "braiins"
    VNISH = "vnish"
    LUXOS = "luxos"
    HIVEON = "hiveon"
    MARATHON = "marathon"
    EPIC = "epic"
    PBFARMER = "pbfarmer"
    MSKMINER = "mskminer"
    CHIPLESS = "chipless"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> Firmware:
        """A name that a newer agent knows: one more of the others here, and no reason to refuse its readings."""
        del value
        return cls.OTHER


class PowerMode(StrEnum):
    """The four modes operators ask for."""

    SLEEP = "sleep"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


def awake_mode_of(word: object) -> PowerMode | None:
    """A mode to hash in, out of a word that came from elsewhere; `None` for sleep and for what is no mode."""
    awake = (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
    return next((mode for mode in awake if mode.value == word), None)


class Algorithm(StrEnum):
    """What is hashed. Equihash rates are solutions per second, all others hashes per second."""

    SHA256 = "sha256"
    SCRYPT = "scrypt"
    KHEAVYHASH = "kheavyhash"
    ETHASH = "ethash"
    EQUIHASH = "equihash"
    X11 = "x11"
    BLAKE2B = "blake2b"
    BLAKE2S = "blake2s"
    BLAKE3 = "blake3"
    SHA512_256D = "sha512256d"
    ZKSNARK = "zksnark"
    OTHER = "other"


class UptimeKind(StrEnum):
    """What an uptime counts from: the boot of the device, or the start of its mining process."""

    BOOT = "boot"
    PROCESS = "process"


class Frozen(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Base of the records below: immutable, cheap to keep by the thousand, absent fields not sent."""


class Endpoint(Frozen, frozen=True, kw_only=True):
    """Where a miner listens; what each port is for, `contract.ports` says."""

    host: str
    http_port: int = PORTS["http_port"].number
    rpc_port: int = PORTS["rpc_port"].number
    v3_port: int = PORTS["v3_port"].number
    daemon_port: int = PORTS["daemon_port"].number


class Identity(Frozen, frozen=True, kw_only=True):
    """Who answers at an address. `drivable` is true only for a stock firmware a driver fully knows how to write to."""

    make: Make
    model: str | None = None
    firmware: Firmware = Firmware.OTHER
    firmware_version: str | None = None
    generation: str | None = None
    mac: str | None = None  # upper case, colons
    serial: str | None = None
    hostname: str | None = None
    drivable: bool = False
    reason: str | None = None  # why it is not drivable, in words for the operator


class Pool(Frozen, frozen=True, kw_only=True):
    """One pool slot as the miner runs it. `status` is the miner's own word, lower case
    (alive, dead, deed, disabled ...). A password that somebody wrote into the `url` is hidden, whoever makes this.
    """

    index: int
    url: str
    user: str | None = None
    status: str | None = None
    active: bool | None = None
    priority: int | None = None
    accepted: int | None = None
    rejected: int | None = None
    stale: int | None = None
    difficulty: float | None = None
    last_share_s: float | None = None  # seconds since the last share

    def __post_init__(self) -> None:
        if "@" in self.url:
            msgspec.structs.force_setattr(self, "url", masked_url(self.url))


class RigPart(StrEnum):
    """Which parts of a rig mine."""

    CPU = "cpu"
    GPU = "gpu"


class BoardState(StrEnum):
    """What a miner says of one of its boards."""

    OK = "ok"
    BAD = "bad"
    OFF = "off"  # powered down, or told to pause


class Board(Frozen, frozen=True, kw_only=True):
    """One hash board. Temperatures in degC; `temp_chip_c` and `temp_pcb_c` are the hottest sensors of their kind.

    In a rig: one graphics card, or the processor where that mines. `hashrate_hs` is the rate of its first algorithm,
    `hashrate_2_hs` that of the second of two that are mined at once; `frequency_hz` is the clock of its core.
    """

    index: int
    part: RigPart | None = None
    name: str | None = None
    bus_id: str | None = None  # of PCI: `0000:05:00.0`
    serial: str | None = None
    hashrate_hs: float | None = None
    hashrate_2_hs: float | None = None
    hashrate_30m_hs: float | None = None
    hashrate_ideal_hs: float | None = None
    chips: int | None = None
    chips_expected: int | None = None
    chips_bad: int | None = None
    frequency_hz: float | None = None
    memory_hz: float | None = None
    temp_chip_c: float | None = None
    temp_pcb_c: float | None = None
    temp_inlet_c: float | None = None
    temp_outlet_c: float | None = None
    temp_memory_c: float | None = None
    fan_percent: float | None = None
    power_w: float | None = None
    hw_errors: int | None = None
    state: BoardState | None = None


class Psu(Frozen, frozen=True, kw_only=True):
    """The power supply's own record."""

    model: str | None = None
    serial: str | None = None
    version: str | None = None
    input_v: float | None = None
    input_a: float | None = None
    output_v: float | None = None
    fan_rpm: int | None = None
    temp_c: float | None = None


class MinerFault(Frozen, frozen=True, kw_only=True):
    """A fault the miner itself reports. `severity` is error, warning or info."""

    code: str
    text: str
    severity: str = "error"


class RigWork(Frozen, frozen=True, kw_only=True):
    """What a mining program does on one kind of part of a rig: one algorithm. The rates of its boards make its own."""

    part: RigPart
    slot: int = 1  # 2: the second of two algorithms at once
    program: str
    program_version: str | None = None
    algorithm: str | None = None  # as the program spells it
    pool: str | None = None
    hashrate_hs: float | None = None
    paused: bool | None = None
    uptime_s: float | None = None  # of the program
    accepted: int | None = None
    rejected: int | None = None

    def __post_init__(self) -> None:
        if self.pool and "@" in self.pool:
            msgspec.structs.force_setattr(self, "pool", masked_url(self.pool))


class Moving(Frozen, frozen=True, kw_only=True):
    """What changes from poll to poll.

    Of a rig: `hashrate_hs` is the rate of the first of its `works` that hashes, for rates of two algorithms have no
    sum; `power_w` is what its cards draw.
    """

    hashrate_hs: float | None = None
    hashrate_1m_hs: float | None = None
    hashrate_5m_hs: float | None = None
    hashrate_15m_hs: float | None = None
    hashrate_30m_hs: float | None = None
    hashrate_avg_hs: float | None = None  # since the process began
    # It hashes, but the whole and its boards contradict each other, so that no rate of either is given: both in words.
    hashrate_doubt: str | None = None
    power_w: float | None = None
    temp_chip_c: float | None = None
    temp_board_c: float | None = None
    temp_inlet_c: float | None = None
    temp_outlet_c: float | None = None
    temp_env_c: float | None = None
    temp_cpu_c: float | None = None
    fan_rpm: tuple[int, ...] = ()
    fan_psu_rpm: int | None = None
    uptime_s: float | None = None
    uptime_kind: UptimeKind | None = None
    accepted: int | None = None
    rejected: int | None = None
    stale: int | None = None
    pool_reject_percent: float | None = None  # the miner's own figure, where it gives one
    hw_errors: int | None = None
    boards: tuple[Board, ...] = ()
    pools: tuple[Pool, ...] = ()
    works: tuple[RigWork, ...] = ()

    @property
    def hashes(self) -> bool:
        """Whether it shows that it hashes, however fast."""
        return bool(self.hashrate_hs) or self.hashrate_doubt is not None


class Slow(Frozen, frozen=True, kw_only=True):
    """What changes when somebody changes it, or when something breaks."""

    mode: PowerMode | None = None  # running
    mode_configured: PowerMode | None = None
    mode_raw: str | None = None  # the miner's own word for the running mode
    mode_preset: str | None = None
    light_on: bool | None = None
    power_limit_w: float | None = None  # in watts, whatever the percentage beside it
    power_percent: float | None = None  # of that; None: no percentage is set, or it tells none
    # Of its full power, what both leave it, 0 to 1. None: it is not limited, or nobody knows what its full power is.
    power_share: float | None = None
    # Of a meter that is asked with these facts only: it stands for the looks between, as long as the miner hashes.
    metered_power_w: float | None = None
    faults: tuple[MinerFault, ...] = ()

    @property
    def awake_mode(self) -> PowerMode | None:
        """The mode it hashes in when it hashes. `None` while it sleeps or is switched off, while it goes from one mode
        to another, and where it does not tell.
        """
        told = {each for each in (self.mode, self.mode_configured) if each is not None}
        return told.pop() if len(told) == 1 and PowerMode.SLEEP not in told else None


class Static(Frozen, frozen=True, kw_only=True):
    """What stays as long as the device and its firmware do."""

    make: Make
    model: str | None = None
    firmware: Firmware = Firmware.OTHER
    firmware_version: str | None = None
    # Where a maker numbers its parts apart: boot loader and system below, miner and web side above.
    system_version: str | None = None
    software_version: str | None = None
    generation: str | None = None
    mac: str | None = None
    serial: str | None = None
    hostname: str | None = None
    control_board: str | None = None
    algorithm: Algorithm | None = None
    hashrate_ideal_hs: float | None = None
    chips_expected: int | None = None
    cpu_name: str | None = None
    ram_bytes: int | None = None
    psu: Psu | None = None


class Reading(Frozen, frozen=True, kw_only=True):
    """One look at one miner. `slow` and `static` are `None` where this look did not ask for them, `mac` where none of
    its replies told one.
    """

    read_at: datetime
    moving: Moving
    mac: str | None = None
    slow: Slow | None = None
    static: Static | None = None
    raw: dict[str, Any] | None = None  # replies of an unknown model, kept for whoever adds it

    @property
    def is_hashing(self) -> bool | None:
        """See `shows_hashing`."""
        return shows_hashing(self.moving, self.static)


def shows_hashing(moving: Moving, static: Static | None) -> bool | None:
    """Whether it works: over 5 % of its ideal rate, or over 0 where the ideal is not known.

    `None` if it does not say.
    """
    if moving.hashrate_hs is None:
        return True if moving.hashes else None
    ideal = static.hashrate_ideal_hs if static else None
    return moving.hashrate_hs > 0.05 * (ideal or 0.0)


def normalize_mac(text: str | None) -> str | None:
    """`0211223344ff`, `02-11-..`, `0211.2233.44ff` or `02:11:..` -> `02:11:22:33:44:FF`.

    `None` for what tells no device from another: nothing, zeros, a broadcast or multicast address, anything else than
    twelve digits.
    """
    if not text:
        return None
    digits = text.strip().replace(":", "").replace("-", "").replace(".", "").upper()
    if len(digits) != 12 or any(c not in "0123456789ABCDEF" for c in digits):
        return None
    if digits in ("000000000000", "FFFFFFFFFFFF") or int(digits[:2], 16) & 1:
        return None
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
