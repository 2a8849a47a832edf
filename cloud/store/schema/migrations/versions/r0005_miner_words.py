"""What is told of miners and searched for: asset status, health, a refused login, the age of the slow facts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("health", sa.Integer(), server_default="0", nullable=False),
        sa.Column("slow_read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("auth_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asset_status", sa.String(length=16), nullable=True),
    ):
        op.add_column("miners", column)
    # The others follow from the next look at each miner; this one nobody will say again.
    op.execute("UPDATE miners SET asset_status = ops_status WHERE ops_status IS NOT NULL")
