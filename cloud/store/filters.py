"""Filters of the operator's API as SQL conditions."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from contract.nonce.filters import DateFilter, EnumFilter, TextFilter

Condition = sa.ColumnElement[bool]


def matches(column: sa.ColumnElement[Any], wanted: EnumFilter | None) -> list[Condition]:
    """Conditions for the operators given; none for no filter. A null is unequal to every value."""
    if wanted is None:
        return []
    found: list[Condition] = []
    if wanted.eq is not None:
        found.append(column == wanted.eq)
    if wanted.in_ is not None:
        found.append(column.in_(wanted.in_))
    if wanted.ne is not None:
        found.append(sa.or_(column.is_(None), column != wanted.ne))
    if wanted.nin is not None:
        found.append(sa.or_(column.is_(None), column.not_in(wanted.nin)))
    if isinstance(wanted, TextFilter) and wanted.contains is not None:
        found.append(column.icontains(wanted.contains, autoescape=True))
    return found


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
