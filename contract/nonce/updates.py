"""Updates of agents, over all farms of a workspace: one first, then the others in turns, none after a failure. Ours."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from contract.nonce.answers import ActorItem, NonceItem
from contract.nonce.batches import Skip
from contract.nonce.selections import Expected
from contract.nonce.sites import WORKSPACE
from contract.nonce.values import Id, Whole

UPDATES: Final = WORKSPACE + "/updates"
AGENTS_MOST: Final = 1000  # that are named in one order
AT_ONCE_MOST: Final = 100
BEGIN_WITHIN_S: Final = 3600

UpdateState = Literal["first", "going", "done", "stopped", "cancelled"]


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """How the agents of an update take turns. The one that goes first goes alone; of the others `at_once` are under way
    at a time. Whose turn it is has `begin_within_s` to begin.
    """

    first_agent_id: str
    at_once: int
    begin_within_s: int


class CreateUpdate(BaseModel):
    """The body that orders an update; `params` are those of `agent.self.update`. Agents are named by their ids or
    names; without any, all of these farms are meant, and without farms all of the workspace.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    params: dict[str, Any] | None = None
    agent_ids: Annotated[list[Id], Field(min_length=1, max_length=AGENTS_MOST)] | None = None
    farm_ids: Annotated[list[Id], Field(min_length=1, max_length=AGENTS_MOST)] | None = None
    first: Id | None = None
    at_once: Annotated[Whole, Field(ge=1, le=AT_ONCE_MOST)] = 1
    begin_within_s: Annotated[Whole, Field(ge=60, le=86_400)] = BEGIN_WITHIN_S
    expect_count: Expected | None = None
    dry_run: Annotated[bool, Field(strict=True)] = False


class PlannedAgent(NonceItem, frozen=True, kw_only=True):
    """One that would get a task, as its last heartbeat has it."""

    id: str
    name: str | None
    farm_id: str
    farm_name: str | None
    version: str | None
    release: str | None


class UpdatePlan(NonceItem, frozen=True, kw_only=True):
    """What an order would do. `count` is what `expect_count` is compared with: the agents that are meant, skipped ones
    among them. `agents` are in the order of their turns, the first one first.
    """

    task_params: dict[str, Any] | None
    count: int
    created_count: int
    skipped_count: int
    first_agent_id: str | None
    at_once: int
    begin_within_s: int
    agents: list[PlannedAgent]
    skipped: list[Skip]


class UpdateItem(NonceItem, frozen=True, kw_only=True):
    """Counts and status are those of its tasks, one for each agent; `message` says where it stands, and why it
    stopped.
    """

    group_id: str
    state: UpdateState
    message: str
    status: str
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
    first_agent_id: str
    at_once: int
    begin_within_s: int
    cancelled_at: str | None
    created_by: ActorItem | None
    created_at: str


class AgentUpdate(NonceItem, frozen=True, kw_only=True):
    """What became of one agent. `before` and `after` are `{version, release_sha256}`, as its process told
    of itself.
    """

    agent_id: str
    name: str | None
    farm_id: str
    farm_name: str | None
    task_id: str
    batch_id: str
    is_first: bool
    is_held: bool
    held_reason: str | None
    status: str
    outcome: str | None
    message: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ended_at: str | None


class UpdateDetail(NonceItem, frozen=True, kw_only=True):
    update: UpdateItem
    agents: list[AgentUpdate]
