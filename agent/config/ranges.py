"""Ranges that have a name of their own, to be scanned by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from agent.config.fields import Flag, RangeText, Section
from contract.ranges import range_name
from contract.texts import not_blank, plain

NAME_CHARS: Final = 64


def _name(text: str) -> str:
    return range_name(not_blank(plain(text)).strip())


class RangeConfig(Section):
    """Addresses that are scanned by their name. `auto_scan`: at start and on schedule, too."""

    name: Annotated[str, Field(min_length=1, max_length=NAME_CHARS), AfterValidator(_name)]
    range: RangeText
    auto_scan: Flag = True


def check_names(entries: Sequence[RangeConfig]) -> None:
    """Raises ValueError where two have one name: capitals do not tell them apart."""
    seen: set[str] = set()
    for each in entries:
        if each.name.casefold() in seen:
            raise ValueError(f"two ranges are called {each.name!r}")
        seen.add(each.name.casefold())
