"""Task subscriptions: classes of work, nodes and their ledgers, what they take, and stacks of what was dispatched."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

# As they were named by then: what is added to the catalogue later comes by a migration of its own.
_BUILT_IN = (
    "agent.scan.create",
    "agent.ip_diagnosis.create",
    "agent.self.update",
    "miner.system.reboot",
    "miner.log.get",
    "miner.light.update",
    "miner.power_mode.update",
    "miner.mining.update",
    "miner.power_limit.update",
    "miner.pool.update",
    "miner.pool.lock",
    "miner.firmware.update",
)


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def workspace(*, key: bool = False) -> sa.Column[str]:
        return sa.Column(
            "workspace_id",
            sa.String(length=31),
            sa.ForeignKey("workspaces.id"),
            primary_key=key,
            nullable=False,
        )

    def agent(*, key: bool = False) -> sa.Column[str]:
        return sa.Column(
            "agent_id",
            sa.String(length=36),
            sa.ForeignKey("agents.id"),
            primary_key=key,
            nullable=False,
        )

    op.add_column(
        "farms",
        sa.Column("dispatch_policy", sa.String(length=16), server_default="open", nullable=False),
    )
    op.add_column("task_batches", sa.Column("max_price", sa.BigInteger(), nullable=True))
    op.add_column(
        "task_batches",
        sa.Column("may_split", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.create_table(
        "task_classes",
        workspace(key=True),
        sa.Column("task_small_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("operation", sa.String(length=40), nullable=False),
        sa.Column("model_name", sa.String(length=64), nullable=True),
        sa.Column("family", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.Column("deprecated_at", at, nullable=True),
    )
    op.create_index("ix_task_classes_operation", "task_classes", ["workspace_id", "operation"])
    op.create_index("ix_task_classes_deprecated", "task_classes", ["workspace_id", "deprecated_at"])
    op.create_table(
        "nodes",
        agent(key=True),
        sa.Column("ledger", sa.String(length=16), primary_key=True),
        sa.Column("node_small_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        workspace(),
        sa.Column("public_key", sa.LargeBinary(), nullable=True),
        sa.Column("badge", sa.LargeBinary(), nullable=True),
        sa.Column("head_sequence", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", at, nullable=False),
    )
    op.create_index("ix_nodes_ledger", "nodes", ["workspace_id", "ledger", "node_small_id"])
    op.create_table(
        "ledger_entries",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        workspace(),
        agent(),
        sa.Column("ledger", sa.String(length=16), nullable=False),
        sa.Column("badge", sa.LargeBinary(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tx_digest", sa.String(length=44), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.Column("taken_at", at, nullable=False),
        sa.UniqueConstraint("agent_id", "tx_digest", name="uq_ledger_entries_agent_id_tx_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_ledger_entries_badge", "ledger_entries", ["workspace_id", "badge", "sequence"]
    )
    op.create_table(
        "subscriptions",
        agent(key=True),
        sa.Column("ledger", sa.String(length=16), primary_key=True),
        sa.Column("node_small_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("task_small_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("max_units", sa.BigInteger(), nullable=False),
        sa.Column("valid", sa.Boolean(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tx_digest", sa.String(length=44), nullable=False),
        sa.Column("updated_at", at, nullable=False),
    )
    op.create_index(
        "ix_subscriptions_in_force",
        "subscriptions",
        ["agent_id", "task_small_id"],
        unique=True,
        sqlite_where=sa.text("in_force = 1"),
        postgresql_where=sa.text("in_force"),
    )
    op.create_table(
        "stacks",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        workspace(),
        sa.Column("stack_small_id", sa.BigInteger(), nullable=False),
        sa.Column("farm_id", sa.String(length=36), sa.ForeignKey("farms.id"), nullable=False),
        agent(),
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("task_small_id", sa.Integer(), nullable=False),
        sa.Column("ledger", sa.String(length=16), nullable=False),
        sa.Column("node_small_id", sa.BigInteger(), nullable=False),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("max_units", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("tx_digest", sa.String(length=44), nullable=False),
        sa.Column("created_at", at, nullable=False),
        sa.UniqueConstraint(
            "workspace_id", "stack_small_id", name="uq_stacks_workspace_id_stack_small_id"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stacks_batch", "stacks", ["batch_id"])
    op.create_index("ix_stacks_agent", "stacks", ["agent_id", "id"])
    op.create_index("ix_stacks_farm", "stacks", ["farm_id"])
    # A column that names another table is added without a copy of this one, which may be large.
    op.execute("ALTER TABLE tasks ADD COLUMN stack_id INTEGER REFERENCES stacks (id)")
    op.create_index(
        "ix_tasks_stack",
        "tasks",
        ["stack_id"],
        sqlite_where=sa.text("stack_id IS NOT NULL"),
        postgresql_where=sa.text("stack_id IS NOT NULL"),
    )
    _fill_catalogues()


def _fill_catalogues() -> None:
    connection = op.get_bind()
    for small_id, operation in enumerate(_BUILT_IN, start=1):
        connection.execute(
            sa.text(
                "INSERT INTO task_classes (workspace_id, task_small_id, operation, family, created_at) "
                "SELECT id, :small_id, :operation, '', created_at FROM workspaces"
            ),
            {"small_id": small_id, "operation": operation},
        )
