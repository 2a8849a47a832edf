"""What a farm is run by: places of miners, groups of batches, saved selections, roles of keys, who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


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
    ):
        op.add_column("miners", column)
    # Those that are awake say it themselves with their next reading; of the others it is known no more.
    op.execute("UPDATE miners SET awake_mode = mode WHERE mode IN ('low', 'normal', 'high')")
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
