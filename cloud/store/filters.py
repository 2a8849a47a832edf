"""Filters of the operator's API as SQL conditions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from operator import eq, ge, gt, le, lt
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from contract.nonce.filters import DateFilter, EnumFilter, NumberFilter, TagsFilter, TextFilter

Condition = sa.ColumnElement[bool]


class _Like(FunctionElement[bool]):
    """A text and a pattern, in any case. SQLite's own LIKE minds none, and is twice as quick as with `lower`."""

    type = sa.Boolean()
    inherit_cache = True


@compiles(_Like)
def _ilike(element: _Like, compiler: SQLCompiler, **options: Any) -> str:
    word = "LIKE" if compiler.dialect.name == "sqlite" else "ILIKE"
    text, pattern = (compiler.process(each, **options) for each in element.clauses)
    return f"({text} {word} {pattern} ESCAPE '\\')"


def matches(column: sa.ColumnElement[Any], wanted: EnumFilter | None) -> list[Condition]:
    """Conditions for the operators given; none for no filter. A null is unequal to every value."""
    return equals(wanted, column.in_)


def equals(
    wanted: EnumFilter | None, one_of: Callable[[Sequence[str]], Condition]
) -> list[Condition]:
    """The same by a condition that tells whether a row has one of these values."""
    if wanted is None:
        return []
    found: list[Condition] = []
    if wanted.eq is not None:
        found.append(one_of([wanted.eq]))
    if wanted.in_ is not None:
        found.append(one_of(wanted.in_))
    if wanted.ne is not None:
        found.append(_not(one_of([wanted.ne])))
    if wanted.nin is not None:
        found.append(_not(one_of(wanted.nin)))
    return found


def reads(
    wanted: TextFilter | None,
    one_of: Callable[[Sequence[str]], Condition],
    like: Callable[[str], Condition],
) -> list[Condition]:
    """The same for a text. `like` tells whether it is like a pattern of SQL's, in which a backslash escapes."""
    found = equals(wanted, one_of)
    if wanted is None:
        return found
    if wanted.contains is not None:
        found.append(like(f"%{_escaped(wanted.contains)}%"))
    if wanted.like is not None:
        found.append(sa.or_(*(like(_sql_pattern(each)) for each in wanted.like)))
    if wanted.unlike is not None:
        found.append(_not(sa.or_(*(like(_sql_pattern(each)) for each in wanted.unlike))))
    return found


def reads_in_any_case(column: sa.ColumnElement[Any], wanted: TextFilter | None) -> list[Condition]:
    """The same for the text of a column, whatever its case."""
    return reads(
        wanted,
        lambda values: is_any_case(column, values),
        lambda pattern: is_like(column, pattern),
    )


def is_any_case(column: sa.ColumnElement[Any], values: Sequence[str]) -> Condition:
    """Whether a text is one of these, whatever the case."""
    return sa.func.lower(column).in_([sa.func.lower(value) for value in values])


def is_like(column: sa.ColumnElement[Any], pattern: str) -> Condition:
    """Whether a text is like a pattern of SQL's, whatever the case."""
    return _Like(column, sa.literal(pattern))


def measures(column: sa.ColumnElement[Any], wanted: NumberFilter | None) -> list[Condition]:
    """Conditions on a figure; what has none matches none of them."""
    if wanted is None:
        return []
    signs = {"eq": eq, "gt": gt, "gte": ge, "lt": lt, "lte": le}
    told = ((sign, getattr(wanted, name)) for name, sign in signs.items())
    return [sign(column, value) for sign, value in told if value is not None]


def tagged(column: sa.ColumnElement[Any], wanted: TagsFilter | None) -> list[Condition]:
    """Conditions on a list of words that is stored as JSON."""
    if wanted is None:
        return []
    text = sa.cast(column, sa.Text)

    def has(tag: str) -> Condition:
        # A quotation mark inside of a tag stands behind a backslash, never behind one of these.
        written = _escaped(msgspec.json.encode(tag).decode())
        ways = (is_like(text, f"%{before}{written}%") for before in ("[", ",", ", "))
        return sa.and_(is_like(text, f"%{written}%"), sa.or_(*ways))

    found: list[Condition] = []
    if wanted.any_ is not None:
        found.append(sa.or_(sa.false(), *(has(tag) for tag in wanted.any_)))
    if wanted.all_ is not None:
        found += [has(tag) for tag in wanted.all_]
    if wanted.none is not None:
        found.append(_not(sa.or_(sa.false(), *(has(tag) for tag in wanted.none))))
    return found


def _not(condition: Condition) -> Condition:
    """That it does not hold: also where it is null."""
    return sa.not_(sa.func.coalesce(condition, sa.false()))


def _escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "\\%_" else each for each in text)


def _sql_pattern(pattern: str) -> str:
    return _escaped(pattern).replace("*", "%").replace("?", "_")


def within(column: sa.ColumnElement[datetime], wanted: DateFilter | None) -> list[Condition]:
    """Conditions on a time."""
    if wanted is None:
        return []
    bounds = wanted.bounds()
    if bounds is None:
        return [sa.false()]
    return [column >= bounds[0], column < bounds[1]]


def accepted(words: Collection[str], wanted: EnumFilter) -> frozenset[str]:
    """Which of a closed list of words a filter lets through."""
    return frozenset(
        word
        for word in words
        if (wanted.eq is None or word == wanted.eq)
        and (wanted.in_ is None or word in wanted.in_)
        and (wanted.ne is None or word != wanted.ne)
        and (wanted.nin is None or word not in wanted.nin)
    )
