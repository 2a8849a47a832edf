"""Which miners are meant, as a person writes it: `model=S21*,rack=A1|A2,power>3000,tags=hot,status!=offline`.

Filters with commas between; all of them must hold. Several values stand with bars between: any of them may hold. `*`
stands for any run of characters, `?` for one. The keys are those of a search, and `ip` for its ranges; a value with a
comma or a bar in it is written in double quotes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from contract.keys import shown_key, unknown_key
from contract.nonce.filters import (
    DateFilter,
    EnumFilter,
    NumberFilter,
    TagsFilter,
    TextFilter,
    is_pattern,
)
from contract.nonce.miners import MinerFilters
from contract.nonce.times import parse_time

Write = Callable[
    [str, str, list[str]], dict[str, Any]
]  # key, sign, values -> operators of the filter
_TEXT_MAX: Final = 4096  # characters
_ALIASES: Final = {"ip": "ip_ranges"}
_UNSAID: Final = ("health_statuses", "lifecycle_statuses")  # retired
_FLAGS: Final = {"true": True, "false": False}
_PART: Final = re.compile(r'\s*((?:[^,"]|"[^"]*")*)\s*(?:,|$)')
_FILTER: Final = re.compile(r"([^=!<>]+?)\s*(!=|>=|<=|=|>|<)\s*(.+)", re.DOTALL)
_VALUE: Final = re.compile(r'((?:[^|"]|"[^"]*")*)(?:\||$)')
_NUMBER: Final = re.compile(
    r"([+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})(?:[eE][+-]?\d{1,3})?)\s*([kMGTPE%]?)"
)
_SCALES: Final = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "%": 0.01}
_COMPARED: Final = {"=": "eq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def parse_selection(text: str) -> dict[str, Any]:
    """The filters in the spelling of a search body. Raises ValueError, in words that name the filter, for what is no
    list of filters.
    """
    if len(text) > _TEXT_MAX:
        raise ValueError(f"it has {len(text)} characters, and may have {_TEXT_MAX}")
    found: dict[str, Any] = {}
    for part in _parts(text):
        match = _FILTER.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:80]!r} is no filter; write it as model=S21*")
        key, sign, value = match.groups()
        name = _ALIASES.get(key, key)
        if name not in _WRITERS:
            raise ValueError(f"{shown_key(key)}: {unknown_key(key, _KNOWN, called='filter')}")
        condition = _WRITERS[name](key, sign, _values(key, value))
        _merge(found, name, key, condition)
    if not found:
        raise ValueError("it is empty; write for example model=S21*,status=online")
    return found


def _parts(text: str) -> list[str]:
    parts, at = [], 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise ValueError(f"{text[at : at + 80]!r} has a quotation mark that is not closed")
        parts.append(match[1].strip())
        at = match.end()
    return [part for part in parts if part]


def _values(key: str, text: str) -> list[str]:
    values, at = [], 0
    while at <= len(text):
        match = _VALUE.match(text, at)
        assert match is not None  # the quotation marks of a part are closed
        values.append(_unquoted(match[1].strip()))
        at = match.end() if match.end() > match.end(1) else len(text) + 1
    if not all(values):
        raise ValueError(f"{key} has an empty value; write it as {key}=A|B")
    return values


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] == '"' and '"' not in value[1:-1]
    return value[1:-1] if quoted else value


def _merge(found: dict[str, Any], name: str, key: str, condition: Any) -> None:
    """Several signs may stand for one key, each once: `power>3000,power<3500`."""
    before = found.setdefault(name, condition)
    if before is condition:
        return
    if not isinstance(before, dict) or not isinstance(condition, dict) or before.keys() & condition:
        raise ValueError(f"{key} is given twice; several values are written as {key}=A|B")
    found[name] = before | condition


def _words(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    if any(map(is_pattern, values)):
        raise ValueError(f"{key} is one of a few words, and takes no * or ?")
    return _equal(key, sign, values)


def _text(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    if not any(map(is_pattern, values)):
        return _equal(key, sign, values)
    _only(key, sign, "=", "!=")
    if blank := next((each for each in values if not each.strip("*?")), None):
        raise ValueError(f"{key}={blank} would match everything; name some of the text")
    return {"like" if sign == "=" else "unlike": values}


def _equal(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    _only(key, sign, "=", "!=")
    one, many = ("eq", "in") if sign == "=" else ("ne", "nin")
    return {one: values[0]} if len(values) == 1 else {many: values}


def _tags(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    _only(key, sign, "=", "!=")
    return {"any" if sign == "=" else "none": values}


def _number(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    _only(key, sign, *_COMPARED)
    match = _NUMBER.fullmatch(_single(key, values))
    number = math.inf if match is None else float(match[1]) * _SCALES[match[2]]
    if math.isinf(number):
        raise ValueError(f"{key} takes a number such as {key}>3000, 3.2k, 90T or 80%")
    return {_COMPARED[sign]: number}


def _time(key: str, sign: str, values: list[str]) -> dict[str, Any]:
    _only(key, sign, *_COMPARED)
    text = _single(key, values)
    try:
        parse_time(text)
    except ValueError as error:
        raise ValueError(f"{key} {error}") from None
    return {_COMPARED[sign]: text}


def _flag(key: str, sign: str, values: list[str]) -> Any:
    _only(key, sign, "=")
    word = _single(key, values).lower()
    if word not in _FLAGS:
        raise ValueError(f"{key} takes true or false")
    return _FLAGS[word]


def _one(key: str, sign: str, values: list[str]) -> Any:
    _only(key, sign, "=")
    return _single(key, values)


def _list(key: str, sign: str, values: list[str]) -> Any:
    _only(key, sign, "=")
    return values


def _only(key: str, sign: str, *signs: str) -> None:
    if sign not in signs:
        raise ValueError(f"{key} takes {' '.join(signs)}, and not {sign}")


def _single(key: str, values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError(f"{key} takes one value")
    return values[0]


_BY_KIND: Final[Mapping[Any, Write]] = {
    TextFilter: _text,
    EnumFilter: _words,
    TagsFilter: _tags,
    NumberFilter: _number,
    DateFilter: _time,
}


def _writer(name: str) -> Write:
    """How a key of MinerFilters is written, by the kind of its filter."""
    kinds = get_args(MinerFilters.model_fields[name].annotation)
    by_name = {"ip_ranges": _list, "unstable": _flag, "saved": _one}
    return next((_BY_KIND[kind] for kind in kinds if kind in _BY_KIND), by_name.get(name, _one))


_WRITERS: Final = {name: _writer(name) for name in MinerFilters.model_fields if name not in _UNSAID}
_KNOWN: Final = sorted({*_WRITERS, *_ALIASES} - set(_ALIASES.values()))
