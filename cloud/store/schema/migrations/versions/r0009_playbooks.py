"""CPU/GPU rigs beside ASICs among the machines of a monitor: which kind each is, what is wished, playbooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for column in (
        sa.Column("kind", sa.String(length=8), server_default="asic", nullable=False),
        sa.Column("mining_expected", sa.String(length=8), server_default="mining", nullable=False),
    ):
        op.add_column("rigs", column)
    op.create_table(
        "playbooks",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("farm_id", sa.String(length=36), sa.ForeignKey("farms.id"), nullable=False),
        sa.Column(
            "workspace_id", sa.String(length=31), sa.ForeignKey("workspaces.id"), nullable=False
        ),
        sa.Column("software_name", sa.String(length=64), nullable=False),
        sa.Column("software_version", sa.String(length=64), nullable=False),
        sa.Column("command_argument", sa.Text(), nullable=False),
        sa.Column("cpu_coin_name", sa.Text(), nullable=True),
        sa.Column("cpu_algorithm", sa.Text(), nullable=True),
        sa.Column("cpu_wallet_address", sa.Text(), nullable=True),
        sa.Column("cpu_pool_address", sa.Text(), nullable=True),
        sa.Column("gpu_coin_name_1", sa.Text(), nullable=True),
        sa.Column("gpu_algorithm_1", sa.Text(), nullable=True),
        sa.Column("gpu_wallet_address_1", sa.Text(), nullable=True),
        sa.Column("gpu_pool_address_1", sa.Text(), nullable=True),
        sa.Column("gpu_coin_name_2", sa.Text(), nullable=True),
        sa.Column("gpu_algorithm_2", sa.Text(), nullable=True),
        sa.Column("gpu_wallet_address_2", sa.Text(), nullable=True),
        sa.Column("gpu_pool_address_2", sa.Text(), nullable=True),
        sa.Column("created_at", at, nullable=False),
        sa.Column("updated_at", at, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_playbooks_farm_id", "playbooks", ["farm_id"])
    op.create_table(
        "rig_playbooks",
        sa.Column("rig_id", sa.String(length=36), sa.ForeignKey("rigs.id"), primary_key=True),
        sa.Column("playbook_id", number, sa.ForeignKey("playbooks.id"), primary_key=True),
        sa.Column("software_name", sa.String(length=64), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.UniqueConstraint(
            "rig_id", "software_name", name="uq_rig_playbooks_rig_id_software_name"
        ),
    )
    op.create_index("ix_rig_playbooks_playbook_id", "rig_playbooks", ["playbook_id"])
