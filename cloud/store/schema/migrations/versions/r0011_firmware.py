"""The firmware library: images of a workspace, by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    json = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )
    op.create_table(
        "firmware",
        sa.Column(
            "workspace_id",
            sa.String(length=31),
            sa.ForeignKey("workspaces.id"),
            primary_key=True,
            nullable=False,
        ),
        sa.Column("name", sa.String(length=64), primary_key=True, nullable=False),
        sa.Column("make", sa.String(length=32), nullable=False),
        sa.Column("models", json, nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("file_name", sa.String(length=150), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("created_cloud_s", sa.Float(), nullable=False),
        sa.Column("completed_at", at, nullable=True),
        sa.UniqueConstraint("workspace_id", "sha256", name="uq_firmware_workspace_id_sha256"),
    )
