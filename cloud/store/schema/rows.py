"""Rows of the tables as our functions hand them on, one struct for each table: its fields are the columns of `tables`.

What a query joins to a row is a field of a struct of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

RowT = TypeVar("RowT", bound=msgspec.Struct)


class WorkspaceRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


class FarmRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    workspace_id: str
    name: str | None
    description: str | None
    location: str | None
    status: str
    archived: bool
    hosting_fee: float | None
    created_at: datetime
    updated_at: datetime
    dispatch_policy: str


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    workspace_id: str
    name: str
    prefix: str
    key_hash: str
    actor_type: str
    actor_id: str
    actor_name: str | None
    actor_metadata: dict[str, Any]
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class AgentRow(msgspec.Struct, kw_only=True):
    """`journal_id` and `last_seq` follow what the agent says while a call of it is answered."""

    id: str
    farm_id: str
    workspace_id: str
    name: str | None
    token_hash: str | None
    platform: str | None
    host: dict[str, Any] | None
    version: str | None
    release: str | None
    uptime_s: float | None
    last_online_at: datetime | None
    last_online_cloud_s: float | None
    last_updated_at: datetime | None
    journal_id: str | None
    last_seq: int
    capabilities: Any
    health: dict[str, Any] | None
    ranges: list[str]
    settings: dict[str, Any]
    settings_rev: int
    created_at: datetime
    revoked_at: datetime | None


class MinerRow(msgspec.Struct, kw_only=True):
    """`moving`, `slow` and `static` are the JSON of their records, see `tables`."""

    id: str
    farm_id: str
    workspace_id: str
    agent_id: str | None = None
    identity: str
    mac: str | None = None
    ip: str | None = None
    ip_number: int | None = None
    serial: str | None = None
    serials: str = ""
    make: str | None = None
    model: str | None = None
    firmware: str | None = None
    firmware_version: str | None = None
    generation: str | None = None
    hostname: str | None = None
    algorithm: str | None = None
    moving: dict[str, Any] | None = None
    slow: dict[str, Any] | None = None
    static: dict[str, Any] | None = None
    raw: dict[str, Any] | None = None
    mode: str | None = None
    mode_preset: str | None = None
    awake_mode: str | None = None
    parts: str | None = None
    hashrate_hs: float | None = None
    hashrate_ideal_hs: float | None = None
    hashrate_24h_hs: float | None = None
    hours: list[list[Any]] | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    temp_c: float | None = None
    uptime_s: float | None = None
    anomaly_flags: int = 0
    health: int = 0
    state: str | None = None
    troubles: int = 0
    wrong_since: datetime | None = None
    expected_hs: float | None = None
    expected_w: float | None = None
    pool: str | None = None
    pools_set: dict[str, Any] | None = None
    drivable: bool | None = None
    modes: list[str] | None = None
    unstable_reason: str | None = None
    last_read_at: datetime | None = None
    last_seen_at: datetime | None = None
    stale_at: datetime | None = None
    slow_read_at: datetime | None = None
    auth_failed_at: datetime | None = None
    last_ok: bool | None = None
    last_error: str | None = None
    interval_s: float | None = None
    asset_status: str | None = None
    ops_status: str | None = None
    comment: str | None = None
    tags: list[str] = msgspec.field(default_factory=list)
    name: str | None = None
    hall: str | None = None
    row: str | None = None
    rack: str | None = None
    position: int | None = None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


class GroupRow(msgspec.Struct, kw_only=True):
    id: str
    farm_id: str | None
    workspace_id: str
    task_name: str
    params: dict[str, Any] | None
    selection: dict[str, Any] | None
    canary: int | None
    undo_of: str | None
    retry_of: str | None
    released_at: datetime | None
    released_by: dict[str, Any] | None
    estimate: dict[str, Any] | None
    cancelled_at: datetime | None
    turns: dict[str, Any] | None
    actor_type: str
    actor_id: str
    actor_name: str | None
    actor_avatar: str | None
    actor_metadata: dict[str, Any]
    created_at: datetime


class BatchRow(msgspec.Struct, kw_only=True):
    id: str
    farm_id: str
    workspace_id: str
    task_name: str
    params: dict[str, Any] | None
    metadata: dict[str, Any] | None
    task_count: int
    retry_of: str | None
    group_id: str | None = None
    actor_type: str
    actor_id: str
    actor_name: str | None
    actor_avatar: str | None
    actor_metadata: dict[str, Any]
    created_at: datetime
    max_price: int | None
    may_split: bool


class TaskRow(msgspec.Struct, kw_only=True):
    id: str
    batch_id: str | None
    farm_id: str
    workspace_id: str
    miner_id: str | None
    agent_id: str | None
    name: str
    kind: str
    params: dict[str, Any] | None
    status: str
    epoch: int
    journal_id: str | None
    begin_id: str | None
    handed_at: datetime | None
    created_at: datetime
    queuing_at: datetime | None
    pending_at: datetime | None
    succeed_at: datetime | None
    failed_at: datetime | None
    timed_out_at: datetime | None
    cancelled_at: datetime | None
    ended_at: datetime | None
    queue_expires_cloud_s: float
    limit_s: float
    deadline_cloud_s: float | None
    cancel_requested_at: datetime | None
    result: dict[str, Any] | None
    late: list[dict[str, Any]] | None
    miner_snapshot: dict[str, Any] | None
    log_lines: int
    held: bool = False
    stack_id: int | None = None


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    task_id: str
    at: datetime
    level: str
    message: str


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    task_id: str
    name: str
    farm_id: str
    size_bytes: int
    sha256: str
    completed_at: datetime | None
    created_cloud_s: float


class RigRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    farm_id: str
    workspace_id: str
    name: str
    code_hash: str
    code_prefix: str
    kind: str
    asic_expected: str
    light_expected: str
    mining_expected: str
    expected_set_at: datetime | None
    expected_set_by: str | None
    activated_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class PlaybookRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    farm_id: str
    workspace_id: str
    software_name: str
    software_version: str
    command_argument: str
    cpu_coin_name: str | None
    cpu_algorithm: str | None
    cpu_wallet_address: str | None
    cpu_pool_address: str | None
    gpu_coin_name_1: str | None
    gpu_algorithm_1: str | None
    gpu_wallet_address_1: str | None
    gpu_pool_address_1: str | None
    gpu_coin_name_2: str | None
    gpu_algorithm_2: str | None
    gpu_wallet_address_2: str | None
    gpu_pool_address_2: str | None
    created_at: datetime
    updated_at: datetime


class TaskClassRow(msgspec.Struct, frozen=True, kw_only=True):
    workspace_id: str
    task_small_id: int
    operation: str
    model_name: str | None
    family: str
    created_at: datetime
    deprecated_at: datetime | None


class NodeRow(msgspec.Struct, frozen=True, kw_only=True):
    agent_id: str
    ledger: str
    node_small_id: int
    workspace_id: str
    public_key: bytes | None
    badge: bytes | None
    head_sequence: int
    head: bytes | None
    created_at: datetime


class SubscriptionRow(msgspec.Struct, frozen=True, kw_only=True):
    agent_id: str
    ledger: str
    node_small_id: int
    task_small_id: int
    price: int
    max_units: int
    valid: bool
    in_force: bool
    sequence: int
    tx_digest: str
    updated_at: datetime


class StackRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    workspace_id: str
    stack_small_id: int
    farm_id: str
    agent_id: str
    batch_id: str
    task_small_id: int
    ledger: str
    node_small_id: int
    units: int
    price: int
    max_units: int
    sequence: int
    tx_digest: str
    head_sequence: int
    created_at: datetime


class FirmwareRow(msgspec.Struct, frozen=True, kw_only=True):
    workspace_id: str
    name: str
    make: str
    models: list[str]
    version: str | None
    notes: str | None
    file_name: str
    size_bytes: int
    sha256: str
    actor_id: str
    created_at: datetime
    created_cloud_s: float
    completed_at: datetime | None


class PartStayRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    farm_id: str
    serial: str
    kind: str
    miner_id: str
    slot: int | None
    first_seen_at: datetime
    last_seen_at: datetime | None


class ProposalRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    farm_id: str
    asset_id: str
    found_id: str
    status: str
    found_parts: str | None
    score: int
    evidence: list[dict[str, Any]]
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None


class RangeRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    farm_id: str
    name: str
    range: str
    auto_scan: bool
    actor_id: str
    created_at: datetime


class SelectionRow(msgspec.Struct, frozen=True, kw_only=True):
    farm_id: str
    name: str
    filters: dict[str, Any]
    actor_id: str
    created_at: datetime


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    workspace_id: str | None
    farm_id: str | None
    at: datetime
    recorded_cloud_s: float
    actor_type: str
    actor_id: str
    actor_name: str | None
    key_id: str | None
    address: str | None
    action: str
    target_kind: str
    target_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def read_rows(kind: type[RowT], result: sa.CursorResult[Any]) -> list[RowT]:
    """All rows of a query for the columns of `kind`."""
    names = tuple(result.keys())
    return [kind(**dict(zip(names, row, strict=True))) for row in result]


def read_row(kind: type[RowT], result: sa.CursorResult[Any]) -> RowT | None:
    """The first of them; None for none."""
    row = result.mappings().first()
    return None if row is None else kind(**row)
