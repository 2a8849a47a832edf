"""Updates of agents: the release that each runs from, and groups that are of no farm, whose tasks take turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    json = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )
    op.add_column("agents", sa.Column("release", sa.Text(), nullable=True))
    with op.batch_alter_table("task_groups") as batch:
        batch.alter_column("farm_id", existing_type=sa.String(length=36), nullable=True)
        batch.add_column(sa.Column("turns", json, nullable=True))
        batch.create_index("ix_task_groups_workspace_created", ["workspace_id", "created_at"])
