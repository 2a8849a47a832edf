"""What a farm is run by: places of miners, groups of batches, saved selections, roles of keys, who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_LISTED = [
    *("farm_id", "ip_number", "id", "deleted_at", "stale_at", "last_ok", "identity"),
    *(
        "agent_id",
        "ip",
        "mac",
        "serial",
        "serials",
        "name",
        "make",
        "model",
        "firmware",
        "firmware_version",
    ),
    *("mode", "mode_preset", "hall", "row", "rack", "position", "tags"),
    *("hashrate_hs", "hashrate_ideal_hs", "power_w", "power_limit_w", "temp_c", "uptime_s"),
    *("anomaly_flags", "health", "auth_failed_at", "unstable_reason", "wrong_since"),
    *("asset_status", "ops_status"),
]


def upgrade() -> None:
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    at = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for column in (
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("hall", sa.Text(), nullable=True),
        sa.Column("row", sa.Text(), nullable=True),
        sa.Column("awake_mode", sa.String(length=32), nullable=True),
        sa.Column("power_limit_w", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=True),
        sa.Column("troubles", sa.Integer(), server_default="0", nullable=False),
        sa.Column("wrong_since", at, nullable=True),
        sa.Column("expected_hs", sa.Float(), nullable=True),
        sa.Column("expected_w", sa.Float(), nullable=True),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("pools_set", json, nullable=True),
        sa.Column("uptime_s", sa.Float(), nullable=True),  # follows from the next look
        sa.Column("stale_at", at, nullable=True),
    ):
        op.add_column("miners", column)
    _fill_stale_at()
    for name in ("ip", "agent", "status"):
        op.drop_index(f"ix_miners_farm_{name}", "miners")
    op.create_index("ix_miners_lists", "miners", _LISTED)
    # Those that are awake say it themselves with their next reading; of the others it is known no more.
    op.execute("UPDATE miners SET awake_mode = mode WHERE mode IN ('low', 'normal', 'high')")
    op.create_index("ix_miners_farm_pool", "miners", ["farm_id", "algorithm", "pool", "deleted_at"])
    op.add_column(
        "api_keys",
        sa.Column("role", sa.String(length=16), server_default="manager", nullable=False),
    )
    op.create_table(
        "task_groups",
        sa.Column("id", sa.String(length=36), primary_key=True),
        sa.Column("farm_id", sa.String(length=36), sa.ForeignKey("farms.id"), nullable=False),
        sa.Column(
            "workspace_id", sa.String(length=31), sa.ForeignKey("workspaces.id"), nullable=False
        ),
        sa.Column("task_name", sa.String(length=40), nullable=False),
        sa.Column("params", json, nullable=True),
        sa.Column("selection", json, nullable=True),
        sa.Column("canary", sa.Integer(), nullable=True),
        sa.Column("undo_of", sa.String(length=36), nullable=True),
        sa.Column("retry_of", sa.String(length=36), nullable=True),
        sa.Column("released_at", at, nullable=True),
        sa.Column("released_by", json, nullable=True),
        sa.Column("estimate", json, nullable=True),
        sa.Column("cancelled_at", at, nullable=True),
        sa.Column("actor_type", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=True),
        sa.Column("actor_avatar", sa.Text(), nullable=True),
        sa.Column("actor_metadata", json, nullable=False),
        sa.Column("created_at", at, nullable=False),
    )
    op.create_index("ix_task_groups_farm_created", "task_groups", ["farm_id", "created_at"])
    op.add_column("task_batches", sa.Column("group_id", sa.String(length=36), nullable=True))
    op.create_index("ix_task_batches_group", "task_batches", ["group_id"])
    op.add_column(
        "tasks", sa.Column("held", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.drop_index("ix_tasks_queue", "tasks")
    op.create_index(
        "ix_tasks_queue", "tasks", ["farm_id", "ended_at", "held", "agent_id", "created_at"]
    )
    op.create_table(
        "selections",
        sa.Column("farm_id", sa.String(length=36), sa.ForeignKey("farms.id"), primary_key=True),
        sa.Column("name", sa.String(length=64), primary_key=True),
        sa.Column("filters", json, nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", at, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column(
            "workspace_id", sa.String(length=31), sa.ForeignKey("workspaces.id"), nullable=True
        ),
        sa.Column("farm_id", sa.String(length=36), nullable=True),
        sa.Column("at", at, nullable=False),
        sa.Column("recorded_cloud_s", sa.Float(), server_default="0", nullable=False),
        sa.Column("actor_type", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=True),
        sa.Column("key_id", sa.String(length=40), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("target_kind", sa.String(length=16), nullable=False),
        sa.Column("target_id", sa.String(length=64), nullable=True),
        sa.Column("before", json, nullable=True),
        sa.Column("after", json, nullable=True),
    )
    op.create_index("ix_audit_workspace_at", "audit", ["workspace_id", "at"])
    op.create_index("ix_audit_farm_at", "audit", ["farm_id", "at"])
    op.create_index("ix_audit_target", "audit", ["target_id", "at"])
    op.create_index("ix_audit_recorded", "audit", ["recorded_cloud_s"])


def _fill_stale_at() -> None:
    """As it would have been stored with the last look: three intervals, at least a minute, after it."""
    miners = sa.table(
        "miners",
        sa.column("last_seen_at", sa.DateTime(timezone=True)),
        sa.column("interval_s", sa.Float()),
        sa.column("stale_at", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    told = sa.select(miners.c.interval_s).where(miners.c.last_seen_at.is_not(None)).distinct()
    for interval_s in list(connection.scalars(told)):
        seconds = max(60.0, 3 * min(interval_s or 300.0, 7 * 86_400.0))
        later = (
            sa.func.strftime("%Y-%m-%d %H:%M:%f000", miners.c.last_seen_at, f"+{seconds} seconds")
            if connection.dialect.name == "sqlite"
            else miners.c.last_seen_at + sa.cast(f"{seconds} seconds", sa.Interval())
        )
        same = (
            miners.c.interval_s.is_(None)
            if interval_s is None
            else miners.c.interval_s == interval_s
        )
        connection.execute(
            miners.update()
            .where(miners.c.last_seen_at.is_not(None), same)
            .values(stale_at=sa.type_coerce(later, sa.String()))
        )
