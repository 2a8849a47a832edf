"""What a validator found wrong with one value, in the words of the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_Details = Mapping[str, Any]


def in_words(problem: _Details) -> str:
    """One of pydantic's `errors()` (with its context), as the end of a sentence that began with the key."""
    kind, details = str(problem["type"]), problem.get("ctx") or {}
    if kind in _WORDS:
        return _WORDS[kind](details)
    text = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _plural(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _said(text: str) -> Callable[[_Details], str]:
    return lambda _details: text


_WORDS: Final[Mapping[str, Callable[[_Details], str]]] = {
    "missing": _said("is missing"),
    "extra_forbidden": _said("unknown key"),
    "string_type": _said("must be text"),
    "bool_type": _said("must be true or false"),
    "bool_parsing": _said("must be true or false"),
    "int_type": _said("must be a whole number, without quotes"),
    "int_parsing": _said("must be a whole number"),
    "int_from_float": _said("must be a whole number"),
    "float_type": _said("must be a number, without quotes"),
    "float_parsing": _said("must be a number"),
    "finite_number": _said("must be a number that is not infinite"),
    "tuple_type": _said("must be a list"),
    "dict_type": _said("must be keys with values"),
    "model_type": _said("must be keys with values"),
    "path_type": _said("must be the path of a file, as text"),
    "none_required": _said("must be left out"),
    "literal_error": lambda d: f"must be {d['expected']}",
    "enum": lambda d: f"must be {d['expected']}",
    "too_short": lambda d: f"needs at least {_plural(d['min_length'])}",
    "too_long": lambda d: f"takes at most {_plural(d['max_length'])}",
    "string_too_short": lambda d: (
        "must not be empty"
        if d["min_length"] == 1
        else f"must have at least {d['min_length']} characters"
    ),
    "string_too_long": lambda d: f"must have at most {d['max_length']} characters",
    "greater_than": lambda d: f"must be more than {d['gt']:g}",
    "greater_than_equal": lambda d: f"must be {d['ge']:g} or more",
    "less_than": lambda d: f"must be less than {d['lt']:g}",
    "less_than_equal": lambda d: f"must be {d['le']:g} or less",
}
