"""The operator's API in Nonce's spellings: paths, pages, filters and request bodies.

What it answers is in `contract.nonce_items`. Requests are pydantic models (they guard a border), answers
are msgspec Structs (they leave by the thousand).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Self

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from contract.miner import Make
from contract.texts import plain

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
# What is said of names that Nonce has published, and that are not served, or not there.
_LATER: Final = dict.fromkeys(
    (
        "anomaly_flags", "efficiency", "hashrate", "hashrate_realization", "last_updated_at", "mining_mode",
        "network_mode", "power", "rack", "runtime", "search", "sort", "tags", "temperature",
    ),
    "is published for a later version of the API and is not served here",
)  # fmt: skip
QUERY_INSTEAD: Final = {
    "limit": "is called pageSize in a query",
    "page_size": "is called pageSize here",
    **_LATER,
}
BODY_INSTEAD: Final = {
    "pageSize": "is called limit in a body",
    "page_size": "is called limit here",
    **dict.fromkeys(
        (
            "anomaly_filters",
            "hashrate_realization_max",
            "hashrate_realization_min",
            "mining_modes_in",
        ),
        "is taken by GET miner/latest, not by a search",
    ),
    **_LATER,
}
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
# Which of the four modes a make has, where its driver has not said so itself.
MODES_BY_MAKE: Final[Mapping[str, frozenset[str]]] = {
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
    """Base of the search bodies. A key we do not know is refused: without its filter more would be found than was asked
    for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    asset_status: EnumFilter | None = None  # ours
    unstable: Annotated[bool, Field(strict=True)] | None = None
    lifecycle_statuses: EnumFilter | None = None
    health_statuses: EnumFilter | None = None
    ip_ranges: Annotated[list[_Value], Field(max_length=IP_RANGES_MAX)] | None = None


_Id = Annotated[str, StringConstraints(strict=True, max_length=200)]


class RackChange(BaseModel):
    """Where one miner stands; null clears. Both keys are required, so that a forgotten one clears nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    miner_id: _Id
    rack: (
        Annotated[str, StringConstraints(strict=True, max_length=50), AfterValidator(plain)] | None
    )
    position: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=2**31 - 1)] | None


class CreateBatch(BaseModel):
    """The body of CreateTaskBatch; `params` is checked by `contract.task.parse_params`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_name: Annotated[str, Field(strict=True)]
    miner_ids: Annotated[list[_Id], Field(min_length=1, max_length=MINERS_PER_BATCH)] | None = None
    updates: (
        Annotated[list[RackChange], Field(min_length=1, max_length=UPDATES_PER_BATCH)] | None
    ) = None
    params: dict[str, Any] | None = None


class NoBody(BaseModel):
    """Of a call that is told everything by its path."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RetryBatch(BaseModel):
    """The body of our retry call, which may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_unknown: Annotated[bool, Field(strict=True)] = False


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
