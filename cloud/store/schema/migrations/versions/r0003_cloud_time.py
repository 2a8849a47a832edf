"""Cloud time: what ends or is deleted because time passed is compared with a count of its own, not with the wall clock.

It begins at 0 with the last moment the old database tells of. Neither that moment nor the clock on the wall is trusted
alone, since either may have been wrong: the earlier of the two counts, and no task gets more than its whole life again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from contract.clock import SystemClock

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AT: Final = sa.DateTime(timezone=True)
_STAMPS: Final = {
    "agents": ("created_at", "last_online_at", "last_updated_at"),
    "tasks": ("created_at", "handed_at", "pending_at", "ended_at"),
    "task_events": ("received_at",),
    "reading_batches": ("received_at",),
    "task_files": ("created_at",),
}


def upgrade() -> None:
    time = op.create_table(
        "cloud_time",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("boot_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cloud_time")),
    )
    op.bulk_insert(time, [{"id": 1, "seconds": 0.0, "boot_id": "", "boot_s": 0.0}])
    zero = _zero()

    _add("agents", "last_online_cloud_s", _age("last_online_at", zero))

    _add("tasks", "queue_expires_cloud_s", _left("queue_expires_at", "created_at", zero))
    _add("tasks", "deadline_cloud_s", _left("deadline_at", "pending_at", zero))
    with op.batch_alter_table("tasks") as batch:
        batch.alter_column("queue_expires_cloud_s", existing_type=sa.Float(), nullable=False)
        batch.drop_column("queue_expires_at")
        batch.drop_column("deadline_at")

    for table, stamp, name, index in (
        ("task_events", "received_at", "received_cloud_s", None),
        ("reading_batches", "received_at", "received_cloud_s", "ix_reading_batches_received"),
        ("task_files", "created_at", "created_cloud_s", "ix_task_files_created"),
    ):
        _add(table, name, _age(stamp, zero))
        if index is not None:
            op.drop_index(index, table)
        with op.batch_alter_table(table) as batch:
            batch.alter_column(name, existing_type=sa.Float(), nullable=False)
            batch.drop_column(stamp)
        if index is not None:
            op.create_index(index, table, [name])


def _zero() -> datetime:
    """The moment at which cloud time begins."""
    known = []
    for table, stamps in _STAMPS.items():
        columns = [sa.column(name, _AT) for name in stamps]
        query = sa.select(*map(sa.func.max, columns)).select_from(sa.table(table, *columns))
        known += [
            at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
            for at in op.get_bind().execute(query).one()
            if at is not None
        ]
    now = SystemClock().now()
    return min(now, max(known, default=now))


def _add(table: str, name: str, value: sa.ColumnElement[Any]) -> None:
    op.add_column(table, sa.Column(name, sa.Float(), nullable=True))
    op.execute(sa.table(table, sa.column(name)).update().values({name: value}))


def _left(until: str, since: str, zero: datetime) -> sa.ColumnElement[Any]:
    """How much of the time from one stamp to another is left; NULL where there is no end."""
    left_s = _seconds(sa.literal(zero, _AT), sa.column(until, _AT))
    whole_s = _seconds(sa.column(since, _AT), sa.column(until, _AT))
    return sa.case((left_s > whole_s, whole_s), else_=left_s)


def _age(stamp: str, zero: datetime) -> sa.ColumnElement[Any]:
    """When something was, at 0 or before; NULL where it never was."""
    at_s = _seconds(sa.literal(zero, _AT), sa.column(stamp, _AT))
    return sa.case((at_s > 0, 0.0), else_=at_s)


def _seconds(earlier: sa.ColumnElement[Any], later: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    if op.get_context().dialect.name == "sqlite":
        return (sa.func.julianday(later) - sa.func.julianday(earlier)) * 86_400.0
    return sa.cast(sa.extract("epoch", later - earlier), sa.Float())
