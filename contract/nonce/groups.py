"""Batches that were ordered as one: what is asked for before, during and after. Ours."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, UnsetType
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import ActorItem, NonceItem
from contract.nonce.batches import Skip
from contract.nonce.subscriptions import HeldMiners

PASSWORDS_MAX: Final = 1000  # in one undo

CanaryState = Literal["waiting", "proven", "failed", "released", "cancelled"]


class PlannedMiner(NonceItem, frozen=True, kw_only=True, gc=False):
    """One that would get a task."""

    id: str
    name: str | None
    ip: str
    model: str | None
    rack: str | None


class Watts(NonceItem, frozen=True, kw_only=True):
    """Of the miners that get a task: what they take now by their readings, and what is expected afterwards. Those of
    `unknown_count` miners are in neither: they tell none, or nobody knows what they will take.
    """

    before: float
    expected: float
    unknown_count: int


class Pace(NonceItem, frozen=True, kw_only=True):
    """How long it takes until the last order has begun. Only orders that raise power wait for their turn."""

    minutes: float
    raising_count: int
    assumed: str


class DryRun(NonceItem, frozen=True, kw_only=True):
    """What an order would do. `count` is what `expect_count` is compared with: the miners that are meant, those that
    are skipped among them. `held`: whose tasks would wait now, where some would.
    """

    task_name: str
    task_params: dict[str, Any] | None
    count: int
    created_count: int
    skipped_count: int
    batch_count: int
    canary_miner_ids: list[str]
    miners: list[PlannedMiner]
    skipped: list[Skip]
    watts: Watts
    pace: Pace
    passwords_needed: list[str]
    held: list[HeldMiners] | UnsetType = UNSET


class CanaryItem(NonceItem, frozen=True, kw_only=True):
    """How those that go first are doing, and why the others wait."""

    count: int
    proven_count: int
    held_count: int
    state: CanaryState
    message: str


class GroupItem(NonceItem, frozen=True, kw_only=True):
    """Counts and status are derived from the tasks of all its batches."""

    group_id: str
    task_name: str
    status: str
    batch_count: int
    task_count: int
    created_count: int
    queuing_count: int
    pending_count: int
    succeed_count: int
    failed_count: int
    timed_out_count: int
    cancelled_count: int
    unknown_count: int
    held_count: int
    task_params: dict[str, Any] | None
    selection: dict[str, Any] | None
    canary: int | None
    undo_of: str | None
    retry_of: str | None
    released_at: str | None
    released_by: ActorItem | None
    cancelled_at: str | None
    created_by: ActorItem | None
    created_at: str


class GroupBatch(NonceItem, frozen=True, kw_only=True):
    batch_id: str
    task_name: str
    status: str
    task_count: int
    is_canary: bool


class GroupWatts(NonceItem, frozen=True, kw_only=True):
    """As estimated when it was ordered, and what its miners take by their last readings."""

    before: float | None
    expected: float | None
    now: float


class GroupDetail(NonceItem, frozen=True, kw_only=True):
    """`held_reasons` and `amount` are those of its batches, as of one."""

    group: GroupItem
    batches: list[GroupBatch]
    canary: CanaryItem | None
    watts: GroupWatts
    held_reasons: dict[str, int] | UnsetType = UNSET
    amount: str | UnsetType = UNSET


_Secret = Annotated[str, StringConstraints(strict=True, max_length=512)]


class UndoBody(BaseModel):
    """The body of an undo, which may be left out. `passwords` are those of pools, by user, by url, or for all
    others under `*`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    passwords: Annotated[dict[_Secret, _Secret], Field(max_length=PASSWORDS_MAX)] = {}
    dry_run: Annotated[bool, Field(strict=True)] = False
