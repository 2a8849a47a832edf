"""Identity that lasts: parts by their serial numbers, records that may be of one miner; ranges that have a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    json = sa.JSON(none_as_null=True).with_variant(
        postgresql.JSONB(none_as_null=True), "postgresql"
    )
    farm = sa.String(length=36)
    op.add_column("miners", sa.Column("parts", sa.Text(), nullable=True))
    op.create_table(
        "part_stays",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("farm_id", farm, sa.ForeignKey("farms.id"), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("miner_id", sa.String(length=32), sa.ForeignKey("miners.id"), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("first_seen_at", at, nullable=False),
        sa.Column("last_seen_at", at, nullable=True),
    )
    op.create_index("ix_part_stays_serial", "part_stays", ["farm_id", "serial"])
    op.create_index("ix_part_stays_miner", "part_stays", ["miner_id"])
    op.create_table(
        "proposals",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("farm_id", farm, sa.ForeignKey("farms.id"), nullable=False),
        sa.Column("asset_id", sa.String(length=32), sa.ForeignKey("miners.id"), nullable=False),
        sa.Column("found_id", sa.String(length=32), sa.ForeignKey("miners.id"), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("found_parts", sa.Text(), nullable=True),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("evidence", json, nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("decided_at", at, nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.UniqueConstraint(
            "farm_id", "asset_id", "found_id", name="uq_proposals_farm_id_asset_id_found_id"
        ),
    )
    op.create_index("ix_proposals_asset", "proposals", ["asset_id"])
    op.create_index("ix_proposals_found", "proposals", ["found_id"])
    op.create_index("ix_proposals_status", "proposals", ["farm_id", "status", "id"])
    op.create_table(
        "ip_ranges",
        sa.Column("id", farm, primary_key=True, nullable=False),
        sa.Column("farm_id", farm, sa.ForeignKey("farms.id"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("range", sa.String(length=64), nullable=False),
        sa.Column("auto_scan", sa.Boolean(), nullable=False),
        sa.Column("actor_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.UniqueConstraint("farm_id", "name", name="uq_ip_ranges_farm_id_name"),
    )
