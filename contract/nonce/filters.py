"""What a search may ask of one field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contract.nonce.times import second_after, second_from
from contract.nonce.values import Text, Texts, Time


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
    """On free text; `contains` does not mind the case."""

    contains: Text | None = None


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
