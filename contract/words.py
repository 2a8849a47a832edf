"""What a validator found wrong with a document, each fault once, in the words of the person who wrote it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from contract.keys import Loc, keys_at, nearest, shown_key, spellings_of, unknown_key

_Details = Mapping[str, Any]
FAULTS_MAX: Final = 20  # told of one document; whoever made more of them reads the first


def faults_in(
    error: ValidationError,
    model: type[BaseModel],
    *,
    at: str = "",
    instead: Mapping[str, str] | None = None,
) -> list[str]:
    """One sentence per fault of a document that is no `model`, each begins with its key: `params.url: is missing`.

    `at` is where the document stands; `instead` what is to be said of keys that are known elsewhere, by their path.
    """
    found = error.errors(include_url=False, include_input=False)[:FAULTS_MAX]
    faults = []
    for each in found:
        if _is_echo(each, found, model):
            continue
        loc = each["loc"]
        path = ".".join(shown_key(str(step)) for step in loc)
        if each["type"] == "extra_forbidden":
            words = (instead or {}).get(path) or unknown_key(str(loc[-1]), keys_at(model, loc[:-1]))
        else:
            words = in_words(each)
        key = ".".join(filter(None, (at, path)))
        faults.append(f"{key}: {words}" if key else words)
    return faults


def in_words(problem: _Details) -> str:
    """One of pydantic's `errors()` (with its context), as the end of a sentence that began with the key."""
    kind, details = str(problem["type"]), problem.get("ctx") or {}
    if kind in _WORDS:
        return _WORDS[kind](details)
    text = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _is_echo(problem: _Details, found: Sequence[_Details], model: type[BaseModel]) -> bool:
    """Whether it follows from a fault that is told by itself: a list is too short without the entry that was refused, a
    key is missing that was written wrongly.
    """
    loc: Loc = problem["loc"]
    if problem["type"] == "too_short":
        return any(len(each["loc"]) > len(loc) and each["loc"][: len(loc)] == loc for each in found)
    if problem["type"] != "missing":
        return False
    known, meant = keys_at(model, loc[:-1]), spellings_of(model, loc)
    return any(
        nearest(str(each["loc"][-1]), known) in meant
        for each in found
        if each["type"] == "extra_forbidden" and each["loc"][:-1] == loc[:-1]
    )


def _plural(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _said(text: str) -> Callable[[_Details], str]:
    return lambda _details: text


_WORDS: Final[Mapping[str, Callable[[_Details], str]]] = {
    "missing": _said("is missing"),
    "string_type": _said("must be text"),
    "string_unicode": _said("must be text that can be written as UTF-8"),
    "bool_type": _said("must be true or false"),
    "bool_parsing": _said("must be true or false"),
    "int_type": _said("must be a whole number, without quotes"),
    "int_parsing": _said("must be a whole number"),
    "int_from_float": _said("must be a whole number"),
    "float_type": _said("must be a number, without quotes"),
    "float_parsing": _said("must be a number"),
    "finite_number": _said("must be a number that is not infinite"),
    "tuple_type": _said("must be a list"),
    "list_type": _said("must be a list"),
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
