"""The operator's API in Nonce's spellings: paths, envelope, pages, filters, request bodies and items.

Requests are pydantic models (they guard a border), answers are msgspec Structs (they leave by the thousand).
A key that Nonce leaves out until it has a value is `UNSET`; a key it sends as null is `None`.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from contract.miner import Make

WORKSPACE: Final = "/private-api/v1/{workspace_id}"
FARM: Final = WORKSPACE + "/farms/{farm_id}"
PAGE_MAX: Final = 2**53 - 1
SIZE_MAX: Final = 10_000
SIZE_DEFAULT: Final = 10
MINERS_PER_BATCH: Final = 100
UPDATES_PER_BATCH: Final = 1000
IP_RANGES_MAX: Final = 10
FILTER_VALUES_MAX: Final = 1000
FILTER_TEXT_MAX: Final = 1024
TASK_WINDOW: Final = timedelta(days=7)  # how far back the tasks of one miner may be asked for

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
RUN_STATUSES: Final = ("online", "offline", "stale")
# Retired words that clients still send as `status`; each stands for a fact of the item.
HEALTH_STATUSES: Final = (
    "error",
    "low_hashrate",
    "overheated",
    "overpower",
    "underpower",
    "overclocking",
)
# Which of the four modes a make has, where its driver has not said so itself.
MODES_BY_MAKE: Final = {
    Make.ANTMINER: frozenset({"sleep", "low", "normal"}),
    Make.WHATSMINER: frozenset({"low", "normal", "high"}),
}
# `actor_type` of a filter -> `created_by.type` of an item.
ACTOR_TYPES: Final = {"user": "user", "api": "apikey", "automation": "system"}


def nonce_time(at: datetime) -> str:
    """`2026-11-21T18:55:00Z`: Nonce shows whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """A filter's time: ISO 8601 with an offset or Z. A `+` that became a blank on its way through a
    query string is put back.

    Raises ValueError for anything else.
    """
    cleaned = text.strip()
    if len(cleaned) > 6 and cleaned[-6] == " " and cleaned[-3] == ":":
        cleaned = f"{cleaned[:-6]}+{cleaned[-5:]}"
    try:
        at = datetime.fromisoformat(cleaned)
        if at.tzinfo is None:
            raise ValueError("it has no offset")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be an ISO 8601 time with an offset, such as 2026-11-21T18:55:00Z"
        ) from None


# --- pages ---------------------------------------------------------------------------------------


class Pagination(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The `pagination` object; camelCase even where items are snake_case."""

    total: int
    limit: int
    offset: int
    has_next: bool
    has_previous: bool


class Page(msgspec.Struct, frozen=True):
    """Which slice of a list is asked for; `number` counts from 1."""

    number: int = 1
    size: int = SIZE_DEFAULT

    @property
    def offset(self) -> int:
        """Rows before this page. May exceed 64 bits (a documented example does): clamp it for SQL."""
        return (self.number - 1) * self.size

    @property
    def sql_offset(self) -> int:
        """`offset` as a database can take it."""
        return min(self.offset, 2**62)

    def pagination(self, total: int) -> Pagination:
        """The answer's `pagination` for a list of `total` items."""
        return Pagination(
            total=total,
            limit=self.size,
            offset=self.offset,
            has_next=self.offset + self.size < total,
            has_previous=self.number > 1,
        )


# --- requests ------------------------------------------------------------------------------------


def _whole(value: object) -> object:
    """JSON Schema counts 1.0 as an integer; JSON's true and "1" are none."""
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("must be an integer")


_Value = Annotated[str, StringConstraints(strict=True, max_length=FILTER_TEXT_MAX)]
_Values = Annotated[list[_Value], Field(max_length=FILTER_VALUES_MAX)]
_When = Annotated[datetime, BeforeValidator(lambda value: parse_time(_text(value)))]
_PageNumber = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=PAGE_MAX)]
_PageSize = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=SIZE_MAX)]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be text")


class Filter(BaseModel):
    """Operators on one field, all of which must hold. An operator we do not know is refused: to leave
    one out would answer with more than was asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("Provide at least one operator")
        return self


class EnumFilter(Filter):
    """On an id or one of a few words. An unknown word matches nothing; it is no error."""

    eq: _Value | None = None
    ne: _Value | None = None
    in_: _Values | None = Field(default=None, alias="in")
    nin: _Values | None = None


class TextFilter(EnumFilter):
    """On free text; `contains` does not mind the case."""

    contains: _Value | None = None


class DateFilter(Filter):
    """On a time that items show in whole seconds: compared as shown."""

    eq: _When | None = None
    gt: _When | None = None
    gte: _When | None = None
    lt: _When | None = None
    lte: _When | None = None

    def bounds(self) -> tuple[datetime, datetime] | None:
        """The times that match, as `first <= at < end`; `None` if none can."""
        first = datetime.min.replace(tzinfo=UTC)
        end = datetime.max.replace(tzinfo=UTC)
        if self.eq is not None:
            if self.eq.microsecond:
                return None
            first, end = self.eq, _second_after(self.eq)
        if self.gt is not None:
            first = max(first, _second_after(self.gt))
        if self.gte is not None:
            first = max(first, _second_from(self.gte))
        if self.lt is not None:
            end = min(end, _second_from(self.lt))
        if self.lte is not None:
            end = min(end, _second_after(self.lte))
        return (first, end) if first < end else None


class ActorFilter(Filter):
    """`eq` only: user, automation or api."""

    eq: _Value


class Search(BaseModel):
    """Base of the search bodies. Keys we do not know are let through, as Nonce lets them."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    page_number: _PageNumber = Field(default=1, alias="page")
    limit: _PageSize = SIZE_DEFAULT

    @property
    def page(self) -> Page:
        """The slice asked for."""
        return Page(self.page_number, self.limit)


class SearchBatches(Search):
    status: EnumFilter | None = None
    task_name: EnumFilter | None = None
    actor_type: ActorFilter | None = None
    created_at: DateFilter | None = None


class SearchAgents(Search):
    farm_id: EnumFilter | None = None
    status: EnumFilter | None = None


class SearchMiners(Search):
    """`lifecycle_statuses` goes to the axis its words belong to; `health_statuses` is taken and ignored."""

    agent_id: TextFilter | None = None
    sn: TextFilter | None = None
    mac: TextFilter | None = None
    status: EnumFilter | None = None
    ops_status: EnumFilter | None = None
    unstable: Annotated[bool, Field(strict=True)] | None = None
    lifecycle_statuses: EnumFilter | None = None
    health_statuses: EnumFilter | None = None
    ip_ranges: Annotated[list[_Value], Field(max_length=IP_RANGES_MAX)] | None = None


_Id = Annotated[str, StringConstraints(strict=True, max_length=200)]


class RackChange(BaseModel):
    """Where one miner stands; null clears. Both keys are required, so that a forgotten one clears nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    miner_id: _Id
    rack: Annotated[str, StringConstraints(strict=True, max_length=50)] | None
    position: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=2**31 - 1)] | None


class CreateBatch(BaseModel):
    """The body of CreateTaskBatch; `params` is checked by `contract.task.parse_params`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task_name: Annotated[str, Field(strict=True)]
    miner_ids: Annotated[list[_Id], Field(min_length=1, max_length=MINERS_PER_BATCH)] | None = None
    updates: (
        Annotated[list[RackChange], Field(min_length=1, max_length=UPDATES_PER_BATCH)] | None
    ) = None
    params: dict[str, Any] | None = None


class RetryBatch(BaseModel):
    """The body of our retry call, which may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_unknown: Annotated[bool, Field(strict=True)] = False


# --- items ---------------------------------------------------------------------------------------


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what answers hold."""


class Actor(Item, frozen=True, kw_only=True):
    """Who did it: `type` is user, apikey or system."""

    type: str
    id: str
    name: str | None = None
    avatar: str | None = None
    metadata: dict[str, Any] = {}


class FarmItem(Item, frozen=True, kw_only=True):
    id: str
    name: str | None
    description: str | None
    location: str | None
    workspace_id: str
    status: str
    archived: bool
    hosting_fee: float | None  # USD per kWh


class FarmRef(Item, frozen=True, kw_only=True):
    id: str
    name: str | None


class AgentItem(Item, frozen=True, kw_only=True):
    id: str
    farm_id: str
    farm: FarmRef
    workspace_id: str
    status: str | None
    version: str | None
    uptime: float | None  # seconds
    last_online_at: str | None
    last_updated_at: str | None
    host: dict[str, Any] | None


class ErrorItem(Item, frozen=True, kw_only=True):
    code: str
    message: str


class HashboardItem(Item, frozen=True, kw_only=True):
    serial_number: str | None
    hashrate: float | None
    chips: int | None
    chip_frequency: float | None  # MHz, as miners show it


class PoolItem(Item, frozen=True, kw_only=True):
    """The shape of pools is not published: this one is ours."""

    index: int
    url: str
    user: str | None
    status: str | None
    active: bool | None
    accepted: int | None
    rejected: int | None


class PsuItem(Item, frozen=True, kw_only=True):
    """The shape of power supplies is not published: this one is ours."""

    serial_number: str | None
    model: str | None
    version: str | None
    temp: float | None


class MinerItem(Item, frozen=True, kw_only=True):
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


class BatchCreated(Item, frozen=True, kw_only=True):
    batch_id: str
    task_name: str
    task_count: int
    task_params: dict[str, Any] | None
    created_by: Actor | None
    created_at: str


class BatchItem(Item, frozen=True, kw_only=True):
    """`failed_count` holds timed-out and cancelled tasks too, so that the counts add up at the end."""

    batch_id: str
    task_name: str
    status: str
    task_count: int
    succeed_count: int
    failed_count: int
    task_params: dict[str, Any] | None
    metadata: dict[str, Any] | None
    created_by: Actor | None
    created_at: str


class TaskError(Item, frozen=True, kw_only=True):
    message: str
    code: str | UnsetType = UNSET


class TaskItem(Item, frozen=True, kw_only=True):
    """A task within its batch. A stamp is absent until its state is reached."""

    id: str
    batch_id: str
    task_name: str
    miner_id: str | None
    agent_id: str | None
    status: str
    params: dict[str, Any] | None
    created_at: str
    queuing_at: str | UnsetType = UNSET
    pending_at: str | UnsetType = UNSET
    succeed_at: str | UnsetType = UNSET
    failed_at: str | UnsetType = UNSET
    timed_out_at: str | UnsetType = UNSET
    cancelled_at: str | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET
    error: TaskError | UnsetType = UNSET
    log_download_url: str | None = None
    log_file_size: int | None = None


class BatchHead(Item, frozen=True, kw_only=True):
    """The early shape of a batch within GetTaskBatch."""

    id: str
    task_name: str
    status: str
    created_by: Actor | None
    created_at: str


class BatchDetail(Item, frozen=True, kw_only=True):
    """Both published shapes of GetTaskBatch in one object; their keys do not collide. Here
    `failed_count` is failed alone.
    """

    batch: BatchHead
    tasks: list[TaskItem]
    batch_id: str
    task_name: str
    status: str
    task_count: int
    created_count: int
    queuing_count: int
    pending_count: int
    succeed_count: int
    failed_count: int
    timed_out_count: int
    cancelled_count: int
    task_params: dict[str, Any] | None
    metadata: dict[str, Any] | None
    created_by: Actor | None
    created_at: str


class LogItem(Item, frozen=True, kw_only=True):
    timestamp: str
    level: str
    message: str


class Downloadable(Item, frozen=True, kw_only=True):
    """`file_path` is a signed URL, good for two weeks."""

    file_path: str
    file_name: str
    file_size: int


class MinerSnapshot(Item, frozen=True, kw_only=True):
    """The miner of a task. Its keys are snake_case although the task's are not; text or absent, never null."""

    id: str
    status: list[str]
    lifecycle_status: str
    health_status: list[str]
    mining_mode: str
    metadata: dict[str, str]
    hashboards: list[dict[str, str]]


class MinerTaskItem(Item, frozen=True, kw_only=True, rename="camel"):
    """A task of one miner; camelCase, absent rather than null."""

    id: str
    batch_id: str
    name: str
    status: str
    created_at: str
    miner: MinerSnapshot
    payload: dict[str, Any] | UnsetType = UNSET
    queuing_at: str | UnsetType = UNSET
    pending_at: str | UnsetType = UNSET
    succeed_at: str | UnsetType = UNSET
    failed_at: str | UnsetType = UNSET
    timed_out_at: str | UnsetType = UNSET
    cancelled_at: str | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET
    logs: list[LogItem] | UnsetType = UNSET
    downloadable: Downloadable | UnsetType = UNSET


# The last is ours: only a retry of a batch gives it.
SkipReason = Literal[
    "no_change", "unsupported_mode", "miner_not_found", "unstable_miner", "outcome_unknown"
]


class Skip(Item, frozen=True, kw_only=True):
    reason: SkipReason
    message: str
    miner_ids: list[str]


class CreateSummary(Item, frozen=True, kw_only=True):
    created_count: int
    skipped_count: int


class CreateMeta(Item, frozen=True, kw_only=True):
    summary: CreateSummary
    skipped: list[Skip]


# --- envelope ------------------------------------------------------------------------------------


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of lists and searches."""

    success: bool = True
    data: list[Any]
    pagination: Pagination
    error: None = None


class OneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a single object."""

    success: bool = True
    data: Any
    error: None = None


class CreateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a batch creation; `data` is empty when every miner was skipped."""

    success: bool = True
    data: list[BatchCreated]
    error: None = None
    meta: CreateMeta


# --- private -------------------------------------------------------------------------------------


def _second_from(at: datetime) -> datetime:
    """The first whole second that is not before `at`."""
    return at if at.microsecond == 0 else _second_after(at)


def _second_after(at: datetime) -> datetime:
    """The whole second that follows the one `at` lies in; the end of time stays where it is."""
    try:
        return at.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
