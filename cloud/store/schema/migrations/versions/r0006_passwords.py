"""Passwords leave the parameters of tasks that have ended, and of batches whose tasks have all ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from contract.hiding import hidden

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_NAMES = ("miner.pool.update", "miner.pool.lock", "miner.firmware.update", "agent.self.update")
_PIECE = 1000
_TASKS = sa.table(
    "tasks",
    *(sa.column(name) for name in ("id", "batch_id", "name", "ended_at")),
    sa.column("params", sa.JSON()),
)
_BATCHES = sa.table(
    "task_batches",
    *(sa.column(name) for name in ("id", "task_name")),
    sa.column("params", sa.JSON()),
)


def upgrade() -> None:
    still_open = sa.exists().where(_TASKS.c.batch_id == _BATCHES.c.id, _TASKS.c.ended_at.is_(None))
    _hide(_TASKS, sa.and_(_TASKS.c.name.in_(_NAMES), _TASKS.c.ended_at.is_not(None)))
    _hide(_BATCHES, sa.and_(_BATCHES.c.task_name.in_(_NAMES), ~still_open))


def _hide(table: sa.TableClause, which: sa.ColumnElement[bool]) -> None:
    """In pieces: of years of tasks, all at once would not fit into memory."""
    connection, last = op.get_bind(), ""
    query = sa.select(table.c.id, table.c.params).where(which).order_by(table.c.id).limit(_PIECE)
    while found := connection.execute(query.where(table.c.id > last)).all():
        for row in found:
            shown = hidden(row.params)
            if shown != row.params:
                connection.execute(table.update().where(table.c.id == row.id).values(params=shown))
        last = found[-1].id
