"""The miners of a farm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.miner import Make
from contract.nonce.answers import NonceItem
from contract.nonce.filters import (
    DateFilter,
    EnumFilter,
    Filter,
    NumberFilter,
    TagsFilter,
    TextFilter,
)
from contract.nonce.searches import Search
from contract.nonce.sites import FarmRef
from contract.nonce.values import Text

IP_RANGES_MAX: Final = 10
SORT_KEYS_MAX: Final = 3
HEALTH_WORDS: Final = (
    "error", "low_hashrate", "overheated", "overpower", "underpower", "auth_failed",
)  # fmt: skip
# Names of anomalies and their bits; bit 7 is not published. Ours begin above 9.
ANOMALY_BITS: Final = {
    "fan": 0,
    "power": 1,
    "temperature": 2,
    "hashboard": 3,
    "network": 4,
    "firmware": 5,
    "unknown": 6,
    "control_board": 8,
    "pool": 9,
    "low_hashrate": 10,
}
OPS_STATUSES: Final = ("maintenance", "retired", "off_rack", "transit", "archived")
# Which of the four modes a make has, where its driver has not said so itself.
MODES_BY_MAKE: Final[Mapping[str, frozenset[str]]] = {
    Make.ANTMINER: frozenset({"sleep", "low", "normal"}),
    Make.WHATSMINER: frozenset({"low", "normal", "high"}),
}
MODEL_FAMILY: Final = "Antminer "  # `S21` is the Antminer S21, and no Antminer S21 Pro
# The firmware generations that take a power limit, by make.
POWER_LIMITED: Final[Mapping[str, frozenset[str]]] = {
    Make.WHATSMINER: frozenset({"v2", "v2-compat", "v3"}),
    Make.RIG: frozenset({"linux"}),
}


# In all filters together: a database takes 32,766 with a question, and some stand in it twice, or with those of a saved
# selection.
VALUES_MOST: Final = 5000


class MinerFilters(BaseModel):
    """What miners are searched and selected by; all that is given must hold. `lifecycle_statuses` goes to the axis its
    words belong to; `health_statuses` is taken and ignored. `saved` is the name of a selection that was saved: its
    filters hold, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent_id: TextFilter | None = None
    sn: TextFilter | None = None
    mac: TextFilter | None = None
    status: EnumFilter | None = None
    ops_status: EnumFilter | None = None
    unstable: Annotated[bool, Field(strict=True)] | None = None
    lifecycle_statuses: EnumFilter | None = None
    health_statuses: EnumFilter | None = None
    ip_ranges: Annotated[list[Text], Field(max_length=IP_RANGES_MAX)] | None = None
    # Those below are ours.
    saved: Text | None = None
    asset_status: EnumFilter | None = None
    agent: TextFilter | None = None  # id or name
    serial: TextFilter | None = None  # as `sn`
    name: TextFilter | None = None
    make: TextFilter | None = None
    model: TextFilter | None = None
    firmware: TextFilter | None = None
    firmware_version: TextFilter | None = None
    mode: EnumFilter | None = None
    health: EnumFilter | None = None
    anomalies: EnumFilter | None = None
    tags: TagsFilter | None = None
    hall: TextFilter | None = None
    row: TextFilter | None = None
    rack: TextFilter | None = None
    position: NumberFilter | None = None
    hashrate: NumberFilter | None = None  # H/s
    hashrate_realization: NumberFilter | None = None  # 1.0 is 100 % of what is expected
    power: NumberFilter | None = None  # W
    power_limit: NumberFilter | None = None  # W
    efficiency: NumberFilter | None = None  # J/TH
    temperature: NumberFilter | None = None  # degC
    uptime: NumberFilter | None = None  # s
    wrong_since: DateFilter | None = None  # since when something is wrong with it

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        number = sum(
            len(values)
            for name in type(self).model_fields
            if isinstance(filter_ := getattr(self, name), Filter)
            for values in filter_.__dict__.values()
            if isinstance(values, list)
        )
        if number > VALUES_MOST:
            raise ValueError(
                f"the filters have {number} values together, and may have {VALUES_MOST}; ask in several pieces"
            )
        return self


SortField = Literal[
    "ip", "name", "make", "model", "firmware_version", "mode", "hall", "row", "rack", "position",
    "hashrate", "hashrate_realization", "power", "power_limit", "efficiency", "temperature", "uptime",
]  # fmt: skip


class SortKey(BaseModel):
    """What a list is sorted by. Miners that have none of it come last, either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: SortField
    direction: Literal["asc", "desc"] = "asc"


class SearchMiners(MinerFilters, Search):
    """The body of a search. What is equal by `sort` stands by address."""

    sort: Annotated[list[SortKey], Field(max_length=SORT_KEYS_MAX)] = []


class ErrorItem(NonceItem, frozen=True, kw_only=True):
    code: str
    message: str


class HashboardItem(NonceItem, frozen=True, kw_only=True):
    """Those below `chip_frequency` are ours, and of the parts of a rig only: a graphics card, or its processor."""

    serial_number: str | None
    hashrate: float | None
    chips: int | None
    chip_frequency: float | None  # MHz, as miners show it
    part: str | UnsetType = UNSET  # cpu or gpu
    name: str | UnsetType | None = UNSET
    bus_id: str | UnsetType | None = UNSET
    hashrate_2: float | UnsetType | None = UNSET  # of a second algorithm at the same time
    temp: float | UnsetType | None = UNSET
    memory_temp: float | UnsetType | None = UNSET
    fan: float | UnsetType | None = UNSET  # percent
    power: float | UnsetType | None = UNSET


class PoolItem(NonceItem, frozen=True, kw_only=True):
    """The shape of pools is not published: this one is ours."""

    index: int
    url: str
    user: str | None
    status: str | None
    active: bool | None
    accepted: int | None
    rejected: int | None


class PsuItem(NonceItem, frozen=True, kw_only=True):
    """The shape of power supplies is not published: this one is ours."""

    serial_number: str | None
    model: str | None
    version: str | None
    temp: float | None


class MinerItem(NonceItem, frozen=True, kw_only=True):
    """One miner: the union of the early and the late v1 fields. H/s, W, degC, J/TH, s."""

    id: str
    farm_id: str
    farm: FarmRef
    workspace_id: str
    agent_id: str | None
    serial_number: str | None
    make: str
    model: str | None
    ip: str
    mac: str
    firmware: str | None
    firmware_version: str | None
    hostname: str | None
    name: str | None  # ours, like hall and row
    hall: str | None
    row: str | None
    rack: str | None
    position: int | None
    tags: list[str]
    is_mining: bool
    last_check_succeed: bool
    stale: bool
    overheat: bool
    low_hashrate: bool
    overpower: bool
    underpower: bool
    status: str
    asset_status: str | None  # ours: the last one that it was given
    ops_status: str | None
    lifecycle_status: str
    health_status: str | None
    unstable_reason: str | None
    mining_mode: str
    mining_mode_preset: str | None
    hashrate: float | None
    hashrate_24h: float | None
    expected_hashrate: float | None
    power: float | None
    temp: float | None
    efficiency: float | None
    uptime: float | None
    last_updated_at: str | None
    errors: list[ErrorItem]
    hashboards: list[HashboardItem]
    total_chips: int | None
    expected_chips: int | None
    anomaly_flags: int
    pools: list[PoolItem]
    psus: list[PsuItem]
