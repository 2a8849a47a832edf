"""What a search may ask of one field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from contract.nonce.times import second_after, second_from
from contract.nonce.values import Number, Text, Texts, Time

PATTERNS_MAX: Final = 100
TAGS_MAX: Final = 50
_WILDCARDS: Final = "*?"
_STARS_MAX: Final = 8  # in one pattern; each one more makes looking longer


def is_pattern(text: str) -> bool:
    """Whether a text has wildcards: `*` stands for any run of characters, `?` for one."""
    return any(each in text for each in _WILDCARDS)


def _patterns(values: list[str]) -> list[str]:
    for value in values:
        if not value.strip(_WILDCARDS):
            raise ValueError(f"{value!r} would match everything; name some of the text")
        if value.count("*") > _STARS_MAX:
            raise ValueError(f"a pattern may have {_STARS_MAX} stars")
    return values


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Tags = Annotated[list[Text], Field(max_length=TAGS_MAX)]
# One pattern or several, any of which may match.
Patterns = Annotated[
    list[Text],
    Field(min_length=1, max_length=PATTERNS_MAX),
    BeforeValidator(_listed),
    AfterValidator(_patterns),
]


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

    eq: Text | None = None
    ne: Text | None = None
    in_: Texts | None = Field(default=None, alias="in")
    nin: Texts | None = None


class TextFilter(EnumFilter):
    """On free text; `contains`, `like` and `unlike` (none of the patterns) do not mind the case."""

    contains: Text | None = None
    like: Patterns | None = None
    unlike: Patterns | None = None


class NumberFilter(Filter):
    """On a figure. What has none matches nothing."""

    eq: Number | None = None
    gt: Number | None = None
    gte: Number | None = None
    lt: Number | None = None
    lte: Number | None = None


class TagsFilter(Filter):
    """On a set of words, whatever their case: any of these, all of these, none of these."""

    any_: Tags | None = Field(default=None, alias="any")
    all_: Tags | None = Field(default=None, alias="all")
    none: Tags | None = None


class DateFilter(Filter):
    """On a time that items show in whole seconds: compared as shown."""

    eq: Time | None = None
    gt: Time | None = None
    gte: Time | None = None
    lt: Time | None = None
    lte: Time | None = None

    def bounds(self) -> tuple[datetime, datetime] | None:
        """The times that match, as `first <= at < end`; `None` if none can."""
        first = datetime.min.replace(tzinfo=UTC)
        end = datetime.max.replace(tzinfo=UTC)
        if self.eq is not None:
            if self.eq.microsecond:
                return None
            first, end = self.eq, second_after(self.eq)
        if self.gt is not None:
            first = max(first, second_after(self.gt))
        if self.gte is not None:
            first = max(first, second_from(self.gte))
        if self.lt is not None:
            end = min(end, second_from(self.lt))
        if self.lte is not None:
            end = min(end, second_after(self.lte))
        return (first, end) if first < end else None
