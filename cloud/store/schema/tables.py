"""The tables of the cloud. Dialect-neutral; `farm_id` leads every hot key, so that they shard by farm.

How the pieces are meant to be used:

- A task is *waiting* when its status is created or queuing and `journal_id` is None, *handed out*
  when `journal_id` names the agent's journal that got it, *begun* (pinned to that journal) once `pending_at` is set.
- Whoever creates tasks fills `agent_id` and status `queuing` + `queuing_at` when the executing agent
  is known; with `agent_id` None and status `created` they are given to the first agent of the farm that asks.
  Then it wakes that agent (`cloud.link.wake_ups.WakeUps.wake`).
- A task that arose on site has `epoch` 0 (`contract.link.ON_SITE`): reported by the agent that carries it out, handed
  out by nobody, see `cloud.store.tasks.onsite`.
- `tasks.result` is what the agent said when the task ended; `tasks.late` is a list of outcomes that came after the
  task was closed. What an operator sees is `result | {"late": late}`.
- A task that is `held` waits for the canary of its group: created, handed out to nobody, ended by no sweep.
- Cancel: a waiting task is cancelled at once; for one handed out, `cancel_requested_at` is set and the agent is woken.
- A task that a subscription concerns is dispatched within a stack: `tasks.stack_id` is set in the statement that
  judges whether it may go, see `cloud.store.subscriptions.dispatch`, and stays through a hand-back.
- Things end and are deleted by columns that end in `_cloud_s`: cloud time, see `cloud.store.cloud_time`. Those in `_at`
  are of the wall clock, to be shown.
- `miners.moving / slow / static` are the JSON of `contract.miner.{Moving, Slow, Static}`; the columns beside
  them are copies for filters. `anomaly_flags` and `health` are what `contract.condition.anomalies` makes of them when a
  reading comes in; both what is shown and what is searched for are read from there. `state`, `troubles`, `expected_hs`,
  `expected_w` and `pool` are what `contract.condition.judgement` makes of the look.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from contract.begin import BEGIN_ID_CHARS

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class At(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite, which knows no time zones, keeps it without one."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_JSON: Final = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_ID: Final = sa.String(36)


def _stamp(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, At, nullable=null)


workspaces = sa.Table(
    "workspaces",
    metadata,
    sa.Column("id", sa.String(31), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    _stamp("created_at", null=False),
    _stamp("revoked_at"),
)

farms = sa.Table(
    "farms",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False, index=True),
    sa.Column("name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("location", sa.Text),
    sa.Column("status", sa.String(32), nullable=False, server_default="running"),
    sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("hosting_fee", sa.Float),  # USD/kWh
    _stamp("created_at", null=False),
    _stamp("updated_at", null=False),
    # open: agents that subscribed to nothing get all tasks; subscribed: only what they subscribed to
    sa.Column("dispatch_policy", sa.String(16), nullable=False, server_default="open"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),  # key_...
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False, index=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("prefix", sa.String(24), nullable=False),  # the first characters, to recognise it by
    sa.Column("key_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("actor_type", sa.String(16), nullable=False),  # user or apikey
    sa.Column("actor_id", sa.String(40), nullable=False),
    sa.Column("actor_name", sa.Text),
    sa.Column("actor_metadata", _JSON, nullable=False),  # email of a user, keyPrefix of a key
    # what may be done with it: viewer, operator or manager
    sa.Column("role", sa.String(16), nullable=False, server_default="manager"),
    _stamp("created_at", null=False),
    _stamp("expires_at"),
    _stamp("revoked_at"),
)

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False, index=True),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False, index=True),
    sa.Column("name", sa.Text),
    sa.Column("token_hash", sa.String(64), unique=True),  # None until enrolled
    sa.Column("platform", sa.Text),
    sa.Column("host", _JSON),  # Nonce's host object, as the agent sends it
    sa.Column("version", sa.Text),
    sa.Column("release", sa.Text),  # SHA-256 of the release it runs from; None: it runs from none
    sa.Column("uptime_s", sa.Float),
    _stamp("last_online_at"),  # last word from it; written at most once a minute
    sa.Column("last_online_cloud_s", sa.Float),  # the same moment
    _stamp("last_updated_at"),  # last readings or heartbeat
    sa.Column("journal_id", sa.Text),
    # the highest event number taken of that journal
    sa.Column("last_seq", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("capabilities", _JSON),
    sa.Column("health", _JSON),  # depths, sinks and notices of the last heartbeat
    sa.Column("ranges", _JSON, nullable=False, server_default="[]"),  # list of text
    sa.Column("settings", _JSON, nullable=False, server_default="{}"),
    sa.Column("settings_rev", sa.Integer, nullable=False, server_default="0"),
    _stamp("created_at", null=False),
    _stamp("revoked_at"),
)

enroll_codes = sa.Table(
    "enroll_codes",
    metadata,
    sa.Column("code_hash", sa.String(64), primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("agent_id", sa.ForeignKey("agents.id")),  # re-enrol this agent instead of making one
    _stamp("created_at", null=False),
    _stamp("expires_at", null=False),
    _stamp("used_at"),
)

miners = sa.Table(
    "miners",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("agent_id", sa.ForeignKey("agents.id"), index=True),
    # the MAC, ip:<address> without one, rig:<id> of what reports to the Mining Rig Monitor API
    sa.Column("identity", sa.String(64), nullable=False),
    sa.Column("mac", sa.String(17)),
    sa.Column("ip", sa.String(45)),
    sa.Column("ip_number", sa.BigInteger),
    sa.Column("serial", sa.Text),
    sa.Column("serials", sa.Text, nullable=False, server_default=""),  # |A|B|: miner, boards, psu
    sa.Column("make", sa.String(32)),
    sa.Column("model", sa.Text),
    sa.Column("firmware", sa.String(32)),
    sa.Column("firmware_version", sa.Text),
    sa.Column("generation", sa.Text),
    sa.Column("hostname", sa.Text),
    sa.Column("algorithm", sa.String(32)),
    sa.Column("moving", _JSON),
    sa.Column("slow", _JSON),
    sa.Column("static", _JSON),
    sa.Column("raw", _JSON),  # replies of a model nobody knows yet
    sa.Column("mode", sa.String(32)),  # running power mode, Nonce's word
    sa.Column("mode_preset", sa.Text),
    sa.Column("awake_mode", sa.String(32)),  # the last mode that it was seen to hash in
    # the parts it showed last, as `cloud.store.assets.parts` follows them; None: nobody has looked yet
    sa.Column("parts", sa.Text),
    sa.Column("hashrate_hs", sa.Float),
    sa.Column("hashrate_ideal_hs", sa.Float),
    sa.Column("hashrate_24h_hs", sa.Float),  # mean of the looks of the last 24 full or begun hours
    # [[hour since 1970, sum of H/s, looks], ...], what the mean is made of.
    sa.Column("hours", _JSON),
    sa.Column("power_w", sa.Float),
    sa.Column("power_limit_w", sa.Float),
    sa.Column("temp_c", sa.Float),
    sa.Column("uptime_s", sa.Float),
    sa.Column("anomaly_flags", sa.Integer, nullable=False, server_default="0"),
    sa.Column("health", sa.Integer, nullable=False, server_default="0"),
    sa.Column("state", sa.String(16)),  # by its figures, as if it answered; None before the first
    sa.Column("troubles", sa.Integer, nullable=False, server_default="0"),  # those of its figures
    sa.Column("wrong_since", At),  # the look that first showed what is wrong; None where nothing is
    sa.Column("expected_hs", sa.Float),  # in the mode it runs in
    sa.Column("expected_w", sa.Float),
    sa.Column("pool", sa.Text),  # where it hashes to: host/account
    sa.Column("pools_set", _JSON),  # by the last proven task: {at, pools: [host/account]}
    sa.Column("drivable", sa.Boolean),
    sa.Column("modes", _JSON),  # list of the modes its driver can set
    sa.Column("unstable_reason", sa.String(32)),
    sa.Column("last_read_at", At),  # last look that brought something
    sa.Column("last_seen_at", At),  # last look, failed ones included
    sa.Column("stale_at", At),  # when nobody has looked for so long that it says no more
    sa.Column("slow_read_at", At),  # last look that asked for the slow facts
    sa.Column("auth_failed_at", At),  # last look whose login it refused; None once it took one
    sa.Column("last_ok", sa.Boolean),
    sa.Column("last_error", sa.Text),
    sa.Column("interval_s", sa.Float),
    sa.Column("asset_status", sa.String(16)),  # the last one it was given, None before the first
    sa.Column("ops_status", sa.String(16)),  # None, maintenance retired off_rack transit archived
    sa.Column("comment", sa.Text),
    sa.Column("tags", _JSON, nullable=False, server_default="[]"),
    sa.Column("name", sa.Text),  # given by people
    # where it stands: farm > hall > row > rack > position
    sa.Column("hall", sa.Text),
    sa.Column("row", sa.Text),
    sa.Column("rack", sa.Text),
    sa.Column("position", sa.Integer),
    _stamp("created_at", null=False),
    _stamp("updated_at", null=False),
    _stamp("deleted_at"),
    sa.UniqueConstraint("farm_id", "identity"),
    sa.Index("ix_miners_farm_pool", "farm_id", "algorithm", "pool", "deleted_at"),
    # Rows are as wide as a page, so that a look through them reads the whole file; all that is searched for lies here
    # once more, a tenth as long and in the order of the lists. (PostgreSQL takes 32 columns in an index.)
    sa.Index(
        "ix_miners_lists",
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
    ),
)

# Batches that were ordered as one: of more miners than a batch may have, some first and the others held, or to undo.
task_groups = sa.Table(
    "task_groups",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id")),  # None: of agents, whatever farm they are of
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("task_name", sa.String(40), nullable=False),
    sa.Column("params", _JSON),
    sa.Column("selection", _JSON),  # the filters it was chosen by; None where miners were named
    sa.Column("canary", sa.Integer),  # so many first; None for all at once
    sa.Column("undo_of", _ID),  # the batch or group that it undoes
    sa.Column("retry_of", _ID),  # the group whose failed tasks these are again
    _stamp("released_at"),  # when those that were held were let go
    sa.Column("released_by", _JSON),  # the operator who did, as actor; None: they were proven
    sa.Column("estimate", _JSON),  # watts of its miners before, and expected after
    _stamp("cancelled_at"),
    # how the agents take turns, see contract.nonce.updates; None: what waits is let go all at once
    sa.Column("turns", _JSON),
    sa.Column("actor_type", sa.String(16), nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    sa.Column("actor_name", sa.Text),
    sa.Column("actor_avatar", sa.Text),
    sa.Column("actor_metadata", _JSON, nullable=False),
    _stamp("created_at", null=False),
    sa.Index("ix_task_groups_farm_created", "farm_id", "created_at"),
    sa.Index("ix_task_groups_workspace_created", "workspace_id", "created_at"),
)

task_batches = sa.Table(
    "task_batches",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("task_name", sa.String(40), nullable=False),
    sa.Column("params", _JSON),
    sa.Column("metadata", _JSON, key="meta"),
    sa.Column("task_count", sa.Integer, nullable=False),
    sa.Column("retry_of", _ID),  # the batch whose failed tasks these are again
    sa.Column("group_id", _ID),  # the group it is of
    sa.Column("actor_type", sa.String(16), nullable=False),  # user, apikey or system
    sa.Column("actor_id", sa.String(64), nullable=False),
    sa.Column("actor_name", sa.Text),
    sa.Column("actor_avatar", sa.Text),
    sa.Column("actor_metadata", _JSON, nullable=False),
    _stamp("created_at", null=False),
    # what a subscription may cost at most; whether its tasks for one agent may be several stacks
    sa.Column("max_price", sa.BigInteger),
    sa.Column("may_split", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Index("ix_task_batches_farm_created", "farm_id", "created_at"),
    sa.Index("ix_task_batches_farm_name", "farm_id", "task_name", "created_at"),
    sa.Index("ix_task_batches_farm_actor", "farm_id", "actor_type", "created_at"),
    sa.Index("ix_task_batches_group", "group_id"),
)

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("batch_id", sa.ForeignKey("task_batches.id"), index=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("miner_id", sa.ForeignKey("miners.id")),
    sa.Column("agent_id", sa.ForeignKey("agents.id")),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("params", _JSON),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="1"),
    sa.Column("journal_id", sa.Text),  # the agent's journal it was handed out to
    sa.Column("begin_id", sa.String(BEGIN_ID_CHARS)),  # under which it began, see contract.begin
    _stamp("handed_at"),
    _stamp("created_at", null=False),
    _stamp("queuing_at"),
    _stamp("pending_at"),
    _stamp("succeed_at"),
    _stamp("failed_at"),
    _stamp("timed_out_at"),
    _stamp("cancelled_at"),
    _stamp("ended_at"),  # equal to the stamp of the terminal status
    sa.Column("queue_expires_cloud_s", sa.Float, nullable=False),
    sa.Column("limit_s", sa.Float, nullable=False),  # counted from pending_at
    # when the sweeper ends a begun task; set when its beginning is heard of
    sa.Column("deadline_cloud_s", sa.Float),
    _stamp("cancel_requested_at"),
    sa.Column("result", _JSON),
    sa.Column("late", _JSON),
    sa.Column("miner_snapshot", _JSON),  # the miner as it was known when the task was made
    sa.Column("log_lines", sa.Integer, nullable=False, server_default="0"),
    # waits for the canary of its group: handed out to nobody, and its queue life has not begun
    sa.Column("held", sa.Boolean, nullable=False, server_default=sa.false()),
    # the stack it was dispatched in; None where no subscription had a say
    sa.Column("stack_id", sa.ForeignKey("stacks.id")),
    # the claim of an agent, the open tasks of the sweeper, the tasks of a miner
    sa.Index("ix_tasks_queue", "farm_id", "ended_at", "held", "agent_id", "created_at"),
    sa.Index("ix_tasks_miner", "farm_id", "miner_id", "created_at"),
    sa.Index("ix_tasks_status", "farm_id", "status", "created_at"),
    sa.Index("ix_tasks_ended", "ended_at"),
    sa.Index("ix_tasks_queue_expires", "queue_expires_cloud_s"),  # those of long ago
    sa.Index(
        "ix_tasks_stack",
        "stack_id",
        sqlite_where=sa.text("stack_id IS NOT NULL"),
        postgresql_where=sa.text("stack_id IS NOT NULL"),
    ),
)

# Of tasks that are found by something else, by their ids, batch or miner: asked for the column itself, SQLite would go
# through all tasks that are open.
IS_OPEN: Final = sa.func.coalesce(tasks.c.ended_at, tasks.c.ended_at).is_(None)

task_events = sa.Table(
    "task_events",
    metadata,
    sa.Column("task_id", sa.ForeignKey("tasks.id"), primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("journal_id", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    # Of what was said, to tell a repeat from a conflict.
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("received_cloud_s", sa.Float, nullable=False),
)

task_logs = sa.Table(
    "task_logs",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("task_id", sa.ForeignKey("tasks.id"), nullable=False, index=True),
    _stamp("at", null=False),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)

task_files = sa.Table(
    "task_files",
    metadata,
    sa.Column("task_id", sa.ForeignKey("tasks.id"), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    _stamp("completed_at"),  # None while it is still being uploaded
    sa.Column("created_cloud_s", sa.Float, nullable=False),
    sa.Index("ix_task_files_created", "created_cloud_s"),
)

reading_batches = sa.Table(
    "reading_batches",
    metadata,
    sa.Column("agent_id", sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("received_cloud_s", sa.Float, nullable=False),
    sa.Index("ix_reading_batches_received", "received_cloud_s"),
)

# One row, see `cloud.store.cloud_time`.
cloud_time = sa.Table(
    "cloud_time",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seconds", sa.Float, nullable=False),
    # the reading that moved it last, of the clock that counts since its host started
    sa.Column("boot_id", sa.String(64), nullable=False),
    sa.Column("boot_s", sa.Float, nullable=False),
)

# Machines that report to the Mining Rig Monitor API: who may report, and what is wished of them. What they report is
# in their row of `miners`, the one with the identity `rig:<id>`.
rigs = sa.Table(
    "rigs",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False, index=True),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("code_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("code_prefix", sa.String(8), nullable=False),  # to recognise a code by
    sa.Column("kind", sa.String(8), nullable=False, server_default="asic"),  # or cpu-gpu
    sa.Column("asic_expected", sa.String(3), nullable=False, server_default="on"),
    sa.Column("light_expected", sa.String(3), nullable=False, server_default="off"),
    sa.Column("mining_expected", sa.String(8), nullable=False, server_default="mining"),  # or stop
    _stamp("expected_set_at"),  # when one of them was last set, and by which actor's id
    sa.Column("expected_set_by", sa.String(64)),
    _stamp("activated_at"),  # its first specs
    _stamp("created_at", null=False),
    _stamp("revoked_at"),
)

# With what, where to and for whom rigs mine. Ids are numbers, since clients of the published API read them as such, and
# none is given twice.
playbooks = sa.Table(
    "playbooks",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False, index=True),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("software_name", sa.String(64), nullable=False),
    sa.Column("software_version", sa.String(64), nullable=False),
    sa.Column("command_argument", sa.Text, nullable=False),  # before anything is filled in
    sa.Column("cpu_coin_name", sa.Text),
    sa.Column("cpu_algorithm", sa.Text),
    sa.Column("cpu_wallet_address", sa.Text),
    sa.Column("cpu_pool_address", sa.Text),
    sa.Column("gpu_coin_name_1", sa.Text),
    sa.Column("gpu_algorithm_1", sa.Text),
    sa.Column("gpu_wallet_address_1", sa.Text),
    sa.Column("gpu_pool_address_1", sa.Text),
    sa.Column("gpu_coin_name_2", sa.Text),
    sa.Column("gpu_algorithm_2", sa.Text),
    sa.Column("gpu_wallet_address_2", sa.Text),
    sa.Column("gpu_pool_address_2", sa.Text),
    _stamp("created_at", null=False),
    _stamp("updated_at", null=False),
    sqlite_autoincrement=True,
)

# Which rigs mine by which of them. A rig has each program once.
rig_playbooks = sa.Table(
    "rig_playbooks",
    metadata,
    sa.Column("rig_id", sa.ForeignKey("rigs.id"), primary_key=True),
    sa.Column("playbook_id", sa.ForeignKey("playbooks.id"), primary_key=True, index=True),
    sa.Column("software_name", sa.String(64), nullable=False),
    _stamp("created_at", null=False),
    sa.UniqueConstraint("rig_id", "software_name"),
)

# Classes of work, numbered by workspace. `family`: what the model of a miner begins with, in small letters; empty for
# any. A task is of the longest family that is not deprecated.
task_classes = sa.Table(
    "task_classes",
    metadata,
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), primary_key=True),
    sa.Column("task_small_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("operation", sa.String(40), nullable=False),
    sa.Column("model_name", sa.String(64)),
    sa.Column("family", sa.String(64), nullable=False, server_default=""),
    _stamp("created_at", null=False),
    _stamp("deprecated_at"),
    sa.Index("ix_task_classes_operation", "workspace_id", "operation"),
    sa.Index("ix_task_classes_deprecated", "workspace_id", "deprecated_at"),
)

# Agents as nodes of a ledger. `head_sequence` is the number of the last entry, or announcement, that was taken.
nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("agent_id", sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("ledger", sa.String(16), primary_key=True),
    sa.Column("node_small_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("public_key", sa.LargeBinary),  # of the local ledger, as all below but the number
    sa.Column("badge", sa.LargeBinary),
    sa.Column("head_sequence", sa.BigInteger, nullable=False),
    sa.Column("head", sa.LargeBinary),
    _stamp("created_at", null=False),
    sa.Index("ix_nodes_ledger", "workspace_id", "ledger", "node_small_id"),
)

# Whatever a ledger took, as it came; the ids are the order in which it was taken. `sequence` counts in the chain of
# `badge`, or what another ledger took by its announcements.
ledger_entries = sa.Table(
    "ledger_entries",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("agent_id", sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("ledger", sa.String(16), nullable=False),
    sa.Column("badge", sa.LargeBinary),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("tx_digest", sa.String(44), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary),
    _stamp("taken_at", null=False),
    sa.UniqueConstraint("agent_id", "tx_digest"),
    sa.Index("ix_ledger_entries_badge", "workspace_id", "badge", "sequence"),
    sqlite_autoincrement=True,
)

# What nodes take classes of work for. `in_force`: the one row of an agent and a class by which its work is dispatched,
# also while it is not `valid`.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("agent_id", sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("ledger", sa.String(16), primary_key=True),
    sa.Column("node_small_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("task_small_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("price", sa.BigInteger, nullable=False),  # per compute unit
    sa.Column("max_units", sa.BigInteger, nullable=False),
    sa.Column("valid", sa.Boolean, nullable=False),
    sa.Column("in_force", sa.Boolean, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # of the entry that said so last
    sa.Column("tx_digest", sa.String(44), nullable=False),
    _stamp("updated_at", null=False),
    sa.Index(
        "ix_subscriptions_in_force",
        "agent_id",
        "task_small_id",
        unique=True,
        sqlite_where=sa.text("in_force = 1"),
        postgresql_where=sa.text("in_force"),
    ),
)

# What was dispatched of one batch to one agent together, under the terms of that moment and the entry that said them.
stacks = sa.Table(
    "stacks",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), nullable=False),
    sa.Column("stack_small_id", sa.BigInteger, nullable=False),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("agent_id", sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("batch_id", _ID, nullable=False),
    sa.Column("task_small_id", sa.Integer, nullable=False),
    sa.Column("ledger", sa.String(16), nullable=False),
    sa.Column("node_small_id", sa.BigInteger, nullable=False),
    sa.Column("units", sa.BigInteger, nullable=False),
    sa.Column("price", sa.BigInteger, nullable=False),
    sa.Column("max_units", sa.BigInteger, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("tx_digest", sa.String(44), nullable=False),
    sa.Column("head_sequence", sa.BigInteger, nullable=False),  # of the node, at that moment
    _stamp("created_at", null=False),
    sa.UniqueConstraint("workspace_id", "stack_small_id"),
    sa.Index("ix_stacks_batch", "batch_id"),
    sa.Index("ix_stacks_agent", "agent_id", "id"),
    sa.Index("ix_stacks_farm", "farm_id"),
    sqlite_autoincrement=True,
)

# Images for miners, by the name that tasks give. `sha256` names the file on disk, in the folder of its workspace.
firmware = sa.Table(
    "firmware",
    metadata,
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("make", sa.String(32), nullable=False),
    sa.Column("models", _JSON, nullable=False),  # patterns
    sa.Column("version", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Column("file_name", sa.String(150), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    _stamp("created_at", null=False),
    sa.Column("created_cloud_s", sa.Float, nullable=False),
    _stamp("completed_at"),  # None while it is still being uploaded
    sa.UniqueConstraint("workspace_id", "sha256"),
)

# Where parts with a serial number were: one row for each stay in a miner. A miner that shows a part now has a row of it
# without `last_seen_at`: then that is when the miner was last read.
part_stays = sa.Table(
    "part_stays",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # hashboard, psu or control_board
    sa.Column("miner_id", sa.ForeignKey("miners.id"), nullable=False),
    sa.Column("slot", sa.Integer),
    _stamp("first_seen_at", null=False),
    _stamp("last_seen_at"),
    sa.Index("ix_part_stays_serial", "farm_id", "serial"),
    sa.Index("ix_part_stays_miner", "miner_id"),
)

# Pairs of records that may be of one miner: `found_id` is that of `asset_id` with another control board.
proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("asset_id", sa.ForeignKey("miners.id"), nullable=False),
    sa.Column("found_id", sa.ForeignKey("miners.id"), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),  # open, confirmed, rejected
    # the parts that were rejected: with others it is another question
    sa.Column("found_parts", sa.Text),
    sa.Column("score", sa.Integer, nullable=False),
    sa.Column("evidence", _JSON, nullable=False),  # as it was when this was proposed, or decided
    _stamp("created_at", null=False),
    _stamp("decided_at"),
    sa.Column("decided_by", sa.String(64)),
    sa.UniqueConstraint("farm_id", "asset_id", "found_id"),
    sa.Index("ix_proposals_asset", "asset_id"),
    sa.Index("ix_proposals_found", "found_id"),
    sa.Index("ix_proposals_status", "farm_id", "status", "id"),
)

# Ranges of addresses that have a name; agents are told of those of their farm with their settings.
ip_ranges = sa.Table(
    "ip_ranges",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("farm_id", sa.ForeignKey("farms.id"), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("range", sa.String(64), nullable=False),
    sa.Column("auto_scan", sa.Boolean, nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    _stamp("created_at", null=False),
    sa.UniqueConstraint("farm_id", "name"),
)

# Filters that people gave a name, so that they need not be typed again.
selections = sa.Table(
    "selections",
    metadata,
    sa.Column("farm_id", sa.ForeignKey("farms.id"), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("filters", _JSON, nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    _stamp("created_at", null=False),
)

# Who did what: a row for each write of an operator or of the command line, in its transaction.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column(
        "id",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("workspace_id", sa.ForeignKey("workspaces.id")),
    sa.Column("farm_id", _ID),
    _stamp("at", null=False),
    sa.Column("recorded_cloud_s", sa.Float, nullable=False, server_default="0"),
    sa.Column("actor_type", sa.String(16), nullable=False),  # user, apikey or system
    sa.Column("actor_id", sa.String(64), nullable=False),
    sa.Column("actor_name", sa.Text),
    sa.Column("key_id", sa.String(40)),  # None for the command line
    sa.Column("address", sa.String(64)),  # whom the request came from
    sa.Column("action", sa.String(64), nullable=False),  # such as miner.system.reboot or key.revoke
    sa.Column("target_kind", sa.String(16), nullable=False),  # miner, batch, group, key, agent, ...
    sa.Column("target_id", sa.String(64)),
    sa.Column("before", _JSON),
    sa.Column("after", _JSON),
    sa.Index("ix_audit_workspace_at", "workspace_id", "at"),
    sa.Index("ix_audit_farm_at", "farm_id", "at"),
    sa.Index("ix_audit_target", "target_id", "at"),
    sa.Index("ix_audit_recorded", "recorded_cloud_s"),
)
