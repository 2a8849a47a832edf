"""The tasks of a miner and of a batch, in the two spellings Nonce has for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from msgspec import UNSET, UnsetType

from contract.nonce.answers import NonceItem

TASK_WINDOW: Final = timedelta(days=7)  # how far back the tasks of one miner may be asked for


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
    held_reason: str | UnsetType = UNSET  # ours: why it is not handed to its agent


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
