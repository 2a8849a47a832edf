"""Which keys a document may have, and which of them was meant by one that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import AliasChoices, BaseModel

Loc = Sequence[int | str]  # the way to a value, as pydantic tells it
LIKENESS: Final = 0.6  # of two words that one person may have meant, from 0 to 1
NAMES_LIKENESS: Final = 0.75  # of dotted names, which share their beginnings and ends
_SHOWN_CHARS: Final = 80
_PART_MIN: Final = 3  # characters of a word that may stand for a longer one


def unknown_key(key: str, known: Iterable[str], *, called: str = "key") -> str:
    """That a key is not known, and which is meant (a known one is refused beside another spelling of it); the end of a
    sentence that began with the key. `called` is what such a key is to whoever wrote it.
    """
    names = list(known)
    if key in names:
        return "says what another key says already; give one of them"
    near = nearest(key, names)
    if near is not None:
        return f"unknown {called}; did you mean {near}?"
    listed = f"known here: {', '.join(names)}" if names else "none is known here"
    return f"unknown {called}; {listed}"


def nearest(word: str, known: Iterable[str], *, likeness: float = LIKENESS) -> str | None:
    """The known word that was probably meant: the one most like it, else the only one that it is a part of."""
    names, part = list(known), word[:_SHOWN_CHARS].lower()
    found = get_close_matches(part, names, n=1, cutoff=likeness)
    if found:
        return found[0]
    longer = [name for name in names if part in name.lower()] if len(part) >= _PART_MIN else []
    return longer[0] if len(longer) == 1 else None


def shown_key(key: str) -> str:
    """A key of somebody else's, cut and without what a terminal would obey."""
    cut = key[:_SHOWN_CHARS]
    return cut if cut.isprintable() else ascii(cut)[1:-1]


def keys_at(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that are known where `loc` leads from `model`, each in all its spellings."""
    here = _model_at(model, loc)
    return [] if here is None else [key for name in here.model_fields for key in _keys(here, name)]


def spellings_of(model: type[BaseModel], loc: Loc) -> tuple[str, ...]:
    """The spellings of the key that `loc` ends with."""
    here = _model_at(model, loc[:-1])
    found = () if here is None else tuple(_keys(here, name) for name in here.model_fields)
    return next((keys for keys in found if str(loc[-1]) in keys), ())


def _keys(model: type[BaseModel], name: str) -> tuple[str, ...]:
    alias = model.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        return tuple(str(each) for each in alias.choices)
    return (alias if isinstance(alias, str) else name,)


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
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
