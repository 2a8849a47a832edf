"""What the operator's API answers: items and envelopes in Nonce's spellings.

A key that Nonce leaves out until it has a value is `UNSET`; a key it sends as null is `None`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from contract.nonce import Pagination


class NonceItem(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what answers hold."""


class ActorItem(NonceItem, frozen=True, kw_only=True):
    """Who did it: `type` is user, apikey or system."""

    type: str
    id: str
    name: str | None = None
    avatar: str | None = None
    metadata: dict[str, Any] = {}


class FarmItem(NonceItem, frozen=True, kw_only=True):
    id: str
    name: str | None
    description: str | None
    location: str | None
    workspace_id: str
    status: str
    archived: bool
    hosting_fee: float | None  # USD per kWh


class FarmRef(NonceItem, frozen=True, kw_only=True):
    id: str
    name: str | None


class AgentItem(NonceItem, frozen=True, kw_only=True):
    id: str
    farm_id: str
    farm: FarmRef
    workspace_id: str
    status: str | None
    version: str | None
    uptime: float | None  # seconds
    last_online_at: str | None
    last_updated_at: str | None
    host: dict[str, Any] | None


class ErrorItem(NonceItem, frozen=True, kw_only=True):
    code: str
    message: str


class HashboardItem(NonceItem, frozen=True, kw_only=True):
    serial_number: str | None
    hashrate: float | None
    chips: int | None
    chip_frequency: float | None  # MHz, as miners show it


class PoolItem(NonceItem, frozen=True, kw_only=True):
    """The shape of pools is not published: this one is ours."""

    index: int
    url: str
    user: str | None
    status: str | None
    active: bool | None
    accepted: int | None
    rejected: int | None


class PsuItem(NonceItem, frozen=True, kw_only=True):
    """The shape of power supplies is not published: this one is ours."""

    serial_number: str | None
    model: str | None
    version: str | None
    temp: float | None


class MinerItem(NonceItem, frozen=True, kw_only=True):
    """One miner: the union of the early and the late v1 fields. H/s, W, degC, J/TH, s."""

    id: str
    farm_id: str
    farm: FarmRef
    workspace_id: str
    agent_id: str | None
    serial_number: str | None
    make: str
    model: str | None
    ip: str
    mac: str
    firmware: str | None
    firmware_version: str | None
    hostname: str | None
    rack: str | None
    position: int | None
    tags: list[str]
    is_mining: bool
    last_check_succeed: bool
    stale: bool
    overheat: bool
    low_hashrate: bool
    overpower: bool
    underpower: bool
    status: str
    asset_status: str | None  # ours: the last one that it was given
    ops_status: str | None
    lifecycle_status: str
    health_status: str | None
    unstable_reason: str | None
    mining_mode: str
    mining_mode_preset: str | None
    hashrate: float | None
    hashrate_24h: float | None
    expected_hashrate: float | None
    power: float | None
    temp: float | None
    efficiency: float | None
    uptime: float | None
    last_updated_at: str | None
    errors: list[ErrorItem]
    hashboards: list[HashboardItem]
    total_chips: int | None
    expected_chips: int | None
    anomaly_flags: int
    pools: list[PoolItem]
    psus: list[PsuItem]


class BatchCreated(NonceItem, frozen=True, kw_only=True):
    batch_id: str
    task_name: str
    task_count: int
    task_params: dict[str, Any] | None
    created_by: ActorItem | None
    created_at: str


class BatchItem(NonceItem, frozen=True, kw_only=True):
    """`failed_count` holds timed-out and cancelled tasks too, so that the counts add up at the end. `task_params` of
    a task without any is {} here, and null in other answers.
    """

    batch_id: str
    task_name: str
    status: str
    task_count: int
    succeed_count: int
    failed_count: int
    task_params: dict[str, Any]
    metadata: dict[str, Any] | None
    created_by: ActorItem | None
    created_at: str


class TaskError(NonceItem, frozen=True, kw_only=True):
    message: str
    code: str | UnsetType = UNSET


class TaskItem(NonceItem, frozen=True, kw_only=True):
    """A task within its batch. A stamp is absent until its state is reached."""

    id: str
    batch_id: str
    task_name: str
    miner_id: str | None
    agent_id: str | None
    status: str
    params: dict[str, Any] | None
    created_at: str
    queuing_at: str | UnsetType = UNSET
    pending_at: str | UnsetType = UNSET
    succeed_at: str | UnsetType = UNSET
    failed_at: str | UnsetType = UNSET
    timed_out_at: str | UnsetType = UNSET
    cancelled_at: str | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET
    error: TaskError | UnsetType = UNSET
    log_download_url: str | None = None
    log_file_size: int | None = None


class BatchHead(NonceItem, frozen=True, kw_only=True):
    """The early shape of a batch within GetTaskBatch."""

    id: str
    task_name: str
    status: str
    created_by: ActorItem | None
    created_at: str


class BatchDetail(NonceItem, frozen=True, kw_only=True):
    """Both published shapes of GetTaskBatch in one object; their keys do not collide. Here
    `failed_count` is failed alone.
    """

    batch: BatchHead
    tasks: list[TaskItem]
    batch_id: str
    task_name: str
    status: str
    task_count: int
    created_count: int
    queuing_count: int
    pending_count: int
    succeed_count: int
    failed_count: int
    timed_out_count: int
    cancelled_count: int
    task_params: dict[str, Any] | None
    metadata: dict[str, Any] | None
    created_by: ActorItem | None
    created_at: str


class LogItem(NonceItem, frozen=True, kw_only=True):
    timestamp: str
    level: str
    message: str


class Downloadable(NonceItem, frozen=True, kw_only=True):
    """`file_path` is a signed URL, good for two weeks."""

    file_path: str
    file_name: str
    file_size: int


class MinerSnapshot(NonceItem, frozen=True, kw_only=True):
    """The miner of a task. Its keys are snake_case although the task's are not; text or absent, never null."""

    id: str
    status: list[str]
    lifecycle_status: str
    health_status: list[str]
    mining_mode: str
    metadata: dict[str, str]
    hashboards: list[dict[str, str]]


class MinerTaskItem(NonceItem, frozen=True, kw_only=True, rename="camel"):
    """A task of one miner; camelCase, absent rather than null."""

    id: str
    batch_id: str
    name: str
    status: str
    created_at: str
    miner: MinerSnapshot
    payload: dict[str, Any] | UnsetType = UNSET
    queuing_at: str | UnsetType = UNSET
    pending_at: str | UnsetType = UNSET
    succeed_at: str | UnsetType = UNSET
    failed_at: str | UnsetType = UNSET
    timed_out_at: str | UnsetType = UNSET
    cancelled_at: str | UnsetType = UNSET
    result: dict[str, Any] | UnsetType = UNSET
    logs: list[LogItem] | UnsetType = UNSET
    downloadable: Downloadable | UnsetType = UNSET


# The last three are ours; `outcome_unknown` is given by a retry of a batch only.
SkipReason = Literal[
    "no_change",
    "unsupported_mode",
    "miner_not_found",
    "unstable_miner",
    "auth_failed",
    "agent_offline",
    "outcome_unknown",
]


class Skip(NonceItem, frozen=True, kw_only=True):
    """`agent_ids` is ours: of a task for agents, those that get none."""

    reason: SkipReason
    message: str
    miner_ids: list[str]
    agent_ids: list[str] | UnsetType = UNSET


class CreateSummary(NonceItem, frozen=True, kw_only=True):
    created_count: int
    skipped_count: int


class CreateMeta(NonceItem, frozen=True, kw_only=True):
    summary: CreateSummary
    skipped: list[Skip]


# --- envelope ------------------------------------------------------------------------------------


class ListAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of lists and searches."""

    success: bool = True
    data: list[Any]
    pagination: Pagination
    error: None = None


class OneAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a single object."""

    success: bool = True
    data: Any
    error: None = None


class CreateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a batch creation; `data` is empty when every miner was skipped."""

    success: bool = True
    data: list[BatchCreated]
    error: None = None
    meta: CreateMeta
