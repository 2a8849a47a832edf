"""Ranges that have a name of their own, to be scanned by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from agent.config.fields import Flag, RangeText, Section
from contract.ranges import parse_range
from contract.texts import not_blank, plain

NAME_CHARS: Final = 64


def range_name(text: str) -> str:
    """Raises ValueError for what would be taken for something else where it is typed."""
    name = not_blank(plain(text)).strip()
    if "," in name or name.startswith("-"):
        raise ValueError(
            f"{name!r} holds a comma or begins with a hyphen: a name of a range has none"
        )
    try:
        parse_range(name)
    except ValueError:
        return name
    raise ValueError(f"{name!r} is a range itself: give it a name")


class RangeConfig(Section):
    """Addresses that are scanned by their name. `auto_scan`: at start and on schedule, too."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARS), AfterValidator(range_name)]
    range: RangeText
    auto_scan: Flag = True


def check_names(entries: Sequence[RangeConfig]) -> None:
    """Raises ValueError where two have one name: capitals do not tell them apart."""
    seen: set[str] = set()
    for each in entries:
        if each.name.casefold() in seen:
            raise ValueError(f"two ranges are called {each.name!r}")
        seen.add(each.name.casefold())
