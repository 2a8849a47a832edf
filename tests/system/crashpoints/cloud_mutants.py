"""Clouds with one rule of groups broken: `python -m tests.system.crashpoints.cloud_mutants MUTANT serve --data FOLDER`.

Each must make the checker fail, as those of the agent in `mutants.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from cloud.cli import main
from cloud.store.schema.tables import tasks
from cloud.store.tasks import claims, groups
from tests.system.crashpoints.mutants import put


def let_go_unproven() -> None:
    """Those that went first were handed out, which is taken for their proof."""

    def all_proven(first: Collection[groups.CanaryTask]) -> bool:
        return bool(first)

    put(groups, "all_proven", all_proven)


def handed_out_held() -> None:
    """A claim does not look at whether a task has to wait."""

    waits = tasks.c.held == sa.false()

    def dropped(element: Any, **_: Any) -> Any:
        is_asked = isinstance(element, sa.ColumnElement) and element.compare(waits)
        return sa.true() if is_asked else None

    for name in ("_WAITS", "_READY", "_FREE_TOO"):
        there = getattr(claims, name)
        assert str(waits.left) in str(there), name
        put(claims, name, replacement_traverse(there, {}, dropped))


MUTANTS: Final[Mapping[str, Callable[[], None]]] = {
    each.__name__: each for each in (let_go_unproven, handed_out_held)
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
