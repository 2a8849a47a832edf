"""Clouds with one rule of groups broken: `python -m tests.system.crashpoints.cloud_mutants MUTANT serve --data FOLDER`.

Each must make the checker fail, as those of the agent in `mutants.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa

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

    def _queued(query: Any, agent: Any, cloud_s: float) -> Any:
        return query.where(
            tasks.c.farm_id == agent.farm_id,
            sa.or_(tasks.c.agent_id == agent.id, tasks.c.agent_id.is_(None)),
            tasks.c.ended_at.is_(None),
            tasks.c.journal_id.is_(None),
            tasks.c.queue_expires_cloud_s > cloud_s,
        ).order_by(tasks.c.created_at, tasks.c.id)

    put(claims, "_queued", _queued)


MUTANTS: Final[Mapping[str, Callable[[], None]]] = {
    each.__name__: each for each in (let_go_unproven, handed_out_held)
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
