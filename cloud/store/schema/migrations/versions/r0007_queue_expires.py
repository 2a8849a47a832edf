"""Tasks by the end of their queue life, to find those of long ago."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tasks_queue_expires", "tasks", ["queue_expires_cloud_s"])
