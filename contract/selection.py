"""Which miners are meant, as a person writes it: `model=S21,status=online|stale,mac=02:00:5e*`.

Pairs of a filter and its value with commas between; all of them must hold. Several values stand with bars between, any
of them may hold; one that ends in `*` matches by what it begins with. The keys are those of a search.
"""

from __future__ import annotations

from typing import Any, Final

_TEXT_MAX: Final = 4096  # characters
_LISTS: Final = ("ip_ranges",)
_FLAGS: Final = {"true": True, "false": False}


def parse_selection(text: str) -> dict[str, Any]:
    """The filters in the spelling of a search body. Raises ValueError, in words, for what is no list of pairs; whether
    a filter is known, and takes that value, is checked with the body.
    """
    if len(text) > _TEXT_MAX:
        raise ValueError(f"it has {len(text)} characters, and may have {_TEXT_MAX}")
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise ValueError(f"{part[:80]!r} is no filter; write it as model=S21")
        if key in found:
            raise ValueError(f"{key} is given twice; several values are written as {key}=A|B")
        found[key] = _condition(key, value)
    if not found:
        raise ValueError("it is empty; write for example model=S21,status=online")
    return found


def _condition(key: str, value: str) -> Any:
    values = [each.strip() for each in value.split("|")]
    if key in _LISTS:
        return values
    if value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    return {"eq": value} if len(values) == 1 else {"in": values}
