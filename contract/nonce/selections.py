"""Which miners are meant, by what is true of them: in the body of an order, and kept under a name. Ours."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from contract.nonce.answers import NonceItem
from contract.nonce.miners import MinerFilters
from contract.nonce.values import Whole
from contract.texts import not_blank, plain

SELECTIONS_MAX: Final = 1000  # kept of one farm
NAME_MAX: Final = 64  # characters
_WILD: Final = "*?%"  # of nothing but these, a text says nothing
_TAKEN_AND_IGNORED: Final = ("health_statuses",)  # of a search, as published
_OF_ALL: Final = ("0.0.0.0/0", "0.0.0.0-255.255.255.255")
_EMPTY: Final = (
    'selects nothing in particular, which would be every miner of the farm; name a filter, such as {"status": '
    '{"eq": "online"}}, or write {"all": true} if every miner is meant'
)

SelectionName = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=NAME_MAX),
    AfterValidator(not_blank),
    AfterValidator(plain),
]


def says_something(filters: MinerFilters) -> bool:
    """Whether some miner could be left out by these filters; wildcards alone leave out none."""
    given = filters.model_dump(by_alias=True, exclude_none=True, exclude={"saved", "all"})
    return any(_narrows(value) for name, value in given.items() if name not in _TAKEN_AND_IGNORED)


def _narrows(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_narrows_by(operator, each) for operator, each in value.items())
    if isinstance(value, list):
        return bool(value) and all(_narrows(each) for each in value)
    return not isinstance(value, str) or (bool(value.strip(f"{_WILD} ")) and value not in _OF_ALL)


def _narrows_by(operator: str, value: Any) -> bool:
    if operator in ("nin", "unlike", "none"):
        return any(map(_narrows, value))  # one of them rules somebody out
    if operator in ("in", "like", "any"):
        return not value or all(map(_narrows, value))  # in none is nobody
    return _narrows(value)


class SavedFilters(MinerFilters):
    """What is kept under a name."""

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        if getattr(self, "saved", None) is not None:
            raise ValueError("cannot name another selection that is kept; write its filters out")
        if not says_something(self):
            raise ValueError(_EMPTY)
        return self


class Selection(MinerFilters):
    """The miners of an order: those for whom all of this holds. `saved` names filters that were kept; `all` stands
    alone.
    """

    saved: SelectionName | None = None
    all: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _says_whom(self) -> Self:
        narrow = says_something(self)
        if self.all and (narrow or self.saved is not None):
            raise ValueError("all is every miner of the farm, and takes no filter beside it")
        if not (narrow or self.all or self.saved is not None):
            raise ValueError(_EMPTY)
        return self

    def as_given(self) -> dict[str, Any]:
        """As it is kept with what was ordered by it."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class ExpectedCount(BaseModel):
    """How many miners are to be selected, and by how many percent it may be more or fewer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[Whole, Field(ge=0, le=10_000_000)]
    within_percent: Annotated[float, Field(strict=True, ge=0, le=100)] = 0.0

    def holds(self, number: int) -> bool:
        """Whether that many is what was expected."""
        return abs(number - self.count) * 100 <= self.within_percent * self.count

    def in_words(self) -> str:
        """For a message."""
        return f"{self.count}" + (
            f" within {self.within_percent:g} %" if self.within_percent else ""
        )


def _expected(value: object) -> object:
    return value if isinstance(value, dict | ExpectedCount) else {"count": value}


Expected = Annotated[ExpectedCount, BeforeValidator(_expected)]


class SaveSelection(BaseModel):
    """The body that keeps filters. One of that name is not replaced unless that is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: SelectionName
    filters: SavedFilters
    replace: Annotated[bool, Field(strict=True)] = False


class SelectionItem(NonceItem, frozen=True, kw_only=True):
    name: str
    filters: dict[str, Any]
    created_by: str  # the actor's id
    created_at: str
