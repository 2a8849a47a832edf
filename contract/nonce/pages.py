"""The pages of a list: which one is asked for, and what the answer says of it."""

from __future__ import annotations

from typing import Final

import msgspec

PAGE_MAX: Final = 2**53 - 1
SIZE_MAX: Final = 10_000
SIZE_DEFAULT: Final = 10


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
