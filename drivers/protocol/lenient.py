"""JSON as no standard has it, for the repairs of each make: each names the breaks its firmwares make by a pattern."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

import msgspec

BROKEN: Final = (ValueError, OverflowError, RecursionError)
"""What `decode` raises. Deep nesting and numbers out of range are among what a hostile reply can hold."""


def decode(text: str, tail: re.Pattern[str]) -> Any:
    """Plain values of a text with raw line ends and control characters in its strings; what follows the value has to
    be a `tail`. Raises one of BROKEN.
    """
    value, end = _LENIENT.raw_decode(text)
    if not tail.fullmatch(text, end):
        raise ValueError(f"{len(text) - end} characters follow it")
    if "\\u" in text:
        msgspec.json.encode(value)  # half a surrogate pair cannot be written again: not text
    return value


def mended(match: re.Match[str]) -> str:
    """What is written in place of a break, by the name of its group; anything else (a string above all) stays."""
    text = match.group()
    match match.lastgroup:
        case "glued":  # two objects without a comma between them
            return "},{"
        case "merged":  # a text and the key behind it, likewise
            return text[:-1] + ',"'
        case "leading":  # a comma before the first
            return text[0]
        case "trailing":  # a comma behind the last
            return ""
        case "empty":  # a key without a value
            return ": null"
        case _:
            return text


# --- private -------------------------------------------------------------------------------------


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too big a number")
    return value


_LENIENT: Final = json.JSONDecoder(strict=False, parse_constant=_no_constant, parse_float=_finite)
