"""Batches of tasks: making one, what is skipped, looking for them, and what is asked of one."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import ActorItem, NonceItem
from contract.nonce.filters import DateFilter, EnumFilter, Filter
from contract.nonce.searches import Search
from contract.nonce.selections import Expected, Selection
from contract.nonce.subscriptions import Dispatch, OrderDispatch
from contract.nonce.tasks import TaskItem
from contract.nonce.values import Id, Text, Whole
from contract.texts import plain

MINERS_PER_BATCH: Final = 100
UPDATES_PER_BATCH: Final = 1000
CANARY_MAX: Final = 1000  # miners that go first
# `actor_type` of a filter -> `created_by.type` of an item.
ACTOR_TYPES: Final = {"user": "user", "api": "apikey", "automation": "system"}


class RackChange(BaseModel):
    """Where one miner stands; null clears. Both keys are required, so that a forgotten one clears nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    miner_id: Id
    rack: (
        Annotated[str, StringConstraints(strict=True, max_length=50), AfterValidator(plain)] | None
    )
    position: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None


class CreateBatch(BaseModel):
    """The body of CreateTaskBatch; `params` is checked by `contract.task.parse_params`. The last five are ours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_name: Annotated[str, Field(strict=True)]
    miner_ids: Annotated[list[Id], Field(min_length=1, max_length=MINERS_PER_BATCH)] | None = None
    updates: (
        Annotated[list[RackChange], Field(min_length=1, max_length=UPDATES_PER_BATCH)] | None
    ) = None
    params: dict[str, Any] | None = None
    selection: Selection | None = None
    expect_count: Expected | None = None
    canary: Annotated[Whole, Field(ge=1, le=CANARY_MAX)] | None = None
    dry_run: Annotated[bool, Field(strict=True)] = False
    dispatch: Dispatch | None = None


class BatchCreated(NonceItem, frozen=True, kw_only=True):
    batch_id: str
    task_name: str
    task_count: int
    task_params: dict[str, Any] | None
    created_by: ActorItem | None
    created_at: str


# The last six are ours; `outcome_unknown` is given by a retry only, `before_unknown` by an undo, `unsupported_agent` by
# an update of agents.
SkipReason = Literal[
    "no_change",
    "unsupported_mode",
    "miner_not_found",
    "unstable_miner",
    "auth_failed",
    "agent_offline",
    "outcome_unknown",
    "maintenance",
    "before_unknown",
    "unsupported_model",
    "unsupported_agent",
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
    """`group_id` is ours: of batches that were ordered as one."""

    summary: CreateSummary
    skipped: list[Skip]
    group_id: str | UnsetType = UNSET


class CreateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope of a batch creation; `data` is empty when every miner was skipped."""

    success: bool = True
    data: list[BatchCreated]
    error: None = None
    meta: CreateMeta


class ActorFilter(Filter):
    """`eq` only: user, automation or api."""

    eq: Text


class SearchBatches(Search):
    status: EnumFilter | None = None
    task_name: EnumFilter | None = None
    actor_type: ActorFilter | None = None
    created_at: DateFilter | None = None


class BatchItem(NonceItem, frozen=True, kw_only=True):
    """`failed_count` holds timed-out and cancelled tasks too, so that the counts add up at the end. `task_params` of
    a task without any is {} here, and null in other answers. The last three are ours: see `BatchDetail`.
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
    dispatch: OrderDispatch | UnsetType = UNSET
    held_reasons: dict[str, int] | UnsetType = UNSET
    amount: str | UnsetType = UNSET


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

    Ours: `dispatch` where it was ordered otherwise than by default; `held_reasons`, how many tasks wait for which
    reason, where some do; `amount`, the units done times their price, as text, where a subscription had a say.
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
    dispatch: OrderDispatch | UnsetType = UNSET
    held_reasons: dict[str, int] | UnsetType = UNSET
    amount: str | UnsetType = UNSET


class NoBody(BaseModel):
    """Of a call that is told everything by its path."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RetryBatch(BaseModel):
    """The body of our retry call, which may be left out. Without `dispatch` it is that of what is retried."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_unknown: Annotated[bool, Field(strict=True)] = False
    dispatch: Dispatch | None = None
