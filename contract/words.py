"""What a validator found wrong with a document, in the words of the person who wrote it: each fault once, by its key,
and beside a key that nobody knows the nearest one that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import AliasChoices, BaseModel, ValidationError

_Details = Mapping[str, Any]
_Loc = Sequence[int | str]
FAULTS_MAX: Final = 20  # told of one document; whoever made more of them reads the first
_NAME_MAX: Final = 80
NAMES_LIKENESS: Final = 0.75  # of dotted names, which share their beginnings and ends


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
        loc = each["loc"]
        path = ".".join(shown_key(str(step)) for step in loc)
        if _is_echo(each, found, model):
            continue
        if each["type"] == "extra_forbidden":
            words = (instead or {}).get(path) or unknown_key(str(loc[-1]), _names(model, loc[:-1]))
        else:
            words = in_words(each)
        faults.append(
            ": ".join(part for part in (".".join(filter(None, (at, path))), words) if part)
        )
    return faults


def in_words(problem: _Details) -> str:
    """One of pydantic's `errors()` (with its context), as the end of a sentence that began with the key."""
    kind, details = str(problem["type"]), problem.get("ctx") or {}
    if kind in _WORDS:
        return _WORDS[kind](details)
    text = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def unknown_key(key: str, known: Iterable[str]) -> str:
    """That a key is not known, and which is meant; the end of a sentence that began with the key."""
    names = list(known)
    if key in names:
        return "says what another key says already; give one of them"
    near = nearest(key, names)
    if near is not None:
        return f"unknown key; did you mean {near}?"
    return (
        f"unknown key; known here: {', '.join(names)}"
        if names
        else "unknown key; none is known here"
    )


def nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known word that was probably meant; `likeness` from 0 to 1, more where all of them are alike."""
    found = get_close_matches(word[:_NAME_MAX].lower(), list(known), n=1, cutoff=likeness)
    return found[0] if found else None


def shown_key(key: str) -> str:
    """A key of somebody else's, cut and without what a terminal would obey."""
    cut = key[:_NAME_MAX]
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def _is_echo(problem: _Details, found: Sequence[_Details], model: type[BaseModel]) -> bool:
    """Whether it follows from a fault that is told by itself: a list is too short without the entry that was refused, a
    key is missing that was written wrongly.
    """
    loc: _Loc = problem["loc"]
    if problem["type"] == "too_short":
        return any(len(each["loc"]) > len(loc) and each["loc"][: len(loc)] == loc for each in found)
    if problem["type"] != "missing":
        return False
    strange = [
        str(each["loc"][-1])
        for each in found
        if each["type"] == "extra_forbidden" and each["loc"][:-1] == loc[:-1]
    ]
    known = _names(model, loc[:-1])
    return any(nearest(key, known) in _spellings(model, loc) for key in strange)


def _names(model: type[BaseModel], loc: _Loc) -> list[str]:
    """The keys that are known where `loc` leads from `model`."""
    here = _model_at(model, loc)
    return [] if here is None else [key for name in here.model_fields for key in _keys(here, name)]


def _spellings(model: type[BaseModel], loc: _Loc) -> tuple[str, ...]:
    """All the keys that say what the one at `loc` says."""
    here = _model_at(model, loc[:-1])
    fields = () if here is None else here.model_fields
    return next((keys for name in fields if loc[-1] in (keys := _keys(here, name))), ())  # type: ignore[arg-type]


def _keys(model: type[BaseModel], name: str) -> tuple[str, ...]:
    alias = model.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(each) for each in alias.choices)
    return (alias if isinstance(alias, str) else name,)


def _model_at(model: type[BaseModel], loc: _Loc) -> type[BaseModel] | None:
    here: type[BaseModel] | None = model
    for step in loc:
        if here is None or isinstance(step, int):
            continue
        fields = here.model_fields
        name = next((each for each in fields if step in (each, *_keys(here, each))), None)
        here = None if name is None else _model_in(fields[name].annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field, or an entry of it, is one of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(each) for each in get_args(annotation))
    return next((each for each in inner if each is not None), None)


def _plural(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


def _said(text: str) -> Callable[[_Details], str]:
    return lambda _details: text


_WORDS: Final[Mapping[str, Callable[[_Details], str]]] = {
    "missing": _said("is missing"),
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
