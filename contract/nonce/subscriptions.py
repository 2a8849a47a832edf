"""Task subscriptions as operators see them: classes of work, how orders are dispatched, what it comes to. Ours."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from contract.nonce.answers import NonceItem
from contract.nonce.values import Whole
from contract.subscription.dispatch import DispatchPolicy
from contract.subscription.ids import SMALL_MAX
from contract.task import BY_AGENTS, TaskName
from contract.texts import not_blank, plain

FAMILY_MAX: Final = 64  # characters of a family of models


class Dispatch(BaseModel):
    """Of an order: what a subscription may charge for each miner, and whether one batch may go to a site in several
    stacks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_price_per_compute_unit: Annotated[Whole, Field(ge=1, le=SMALL_MAX)] | None = None
    may_split: Annotated[bool, Field(strict=True)] = True


def _by_agent(name: TaskName) -> TaskName:
    if name not in BY_AGENTS:
        raise ValueError("must be the name of a task that agents carry out")
    return name


def _ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError("must be of ASCII characters")
    return text


class CreateTaskClass(BaseModel):
    """The body that makes a class of work. `model_name` narrows it to the miners whose model begins so, in any case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    operation: Annotated[TaskName, AfterValidator(_by_agent)]
    model_name: (
        Annotated[
            str,
            StringConstraints(strict=True, strip_whitespace=True, max_length=FAMILY_MAX),
            AfterValidator(not_blank),
            AfterValidator(plain),
            AfterValidator(_ascii),
        ]
        | None
    ) = None


class SetDispatch(BaseModel):
    """The body that sets how a farm's work is dispatched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: DispatchPolicy


class TaskClassItem(NonceItem, frozen=True, kw_only=True):
    """A class of work; `task_id` is its object id."""

    task_small_id: int
    task_id: str
    operation: str
    model_name: str | None
    is_deprecated: bool
    created_at: str
    deprecated_at: str | None


class DispatchItem(NonceItem, frozen=True, kw_only=True):
    farm_id: str
    policy: str


class OrderDispatch(NonceItem, frozen=True, kw_only=True):
    """As it was ordered."""

    max_price_per_compute_unit: int | None
    may_split: bool


class SubscriptionItem(NonceItem, frozen=True, kw_only=True):
    """What an agent takes a class of work for, by the entry `tx_digest` of its ledger."""

    agent_id: str
    ledger: str
    node_small_id: int
    task_small_id: int
    price_per_compute_unit: int
    max_num_compute_units: int
    valid: bool
    tx_digest: str
    updated_at: str


class AmountItem(NonceItem, frozen=True, kw_only=True):
    """Units of one class of work that one agent did on one day in UTC. `amount` is price times units, as text: it may
    be more than 64 bits hold.
    """

    day: str
    agent_id: str
    task_small_id: int
    units: int
    amount: str


class HeldMiners(NonceItem, frozen=True, kw_only=True):
    """Of a dry run: miners whose tasks would wait, and why."""

    reason: str
    count: int
    miner_ids: list[str]
