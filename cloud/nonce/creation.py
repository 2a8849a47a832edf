"""Making a batch: who executes, what is skipped, and all of it stored in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from cloud.config import CloudSettings
from cloud.context import CLOCK, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.http.auth import ACTOR, check_task
from cloud.http.errors import ApiError
from cloud.nonce.event_tasks import carry_out, tell_maintenance
from cloud.nonce.miners import snapshot_of
from cloud.nonce.planning import BatchPlan, BatchRequest, plan, same_kind, skip_agents
from cloud.nonce.tasks import masked_params
from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.ids import new_uuid
from cloud.store.miners import search
from cloud.store.miners.search import ListedMiner
from cloud.store.schema.rows import FarmRow
from cloud.store.tasks import batches, lookup
from cloud.store.tasks.batches import EnrolledAgent
from contract.nonce.answers import ActorItem
from contract.nonce.batches import BatchCreated, CreateAnswer, CreateMeta, CreateSummary, Skip
from contract.nonce.times import nonce_time
from contract.outcome import Outcome
from contract.task import SPECS, TaskStatus

Row = Mapping[str, Any]
_SEEN: Final = timedelta(days=1)  # a task for agents goes to those that were


class BatchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A batch to be made. `params` is what is stored and shown; `skipped` was left out beforehand."""

    request: BatchRequest
    params: dict[str, Any] | None
    retry_of: str | None = None
    only_agents: frozenset[str] | None = None  # of an agent task; None is every agent of the farm
    skipped: Sequence[Skip] = ()


async def create(request: web.Request, farm: FarmRow, order: BatchOrder) -> CreateAnswer:
    """Store the batch, wake the agents, answer as CreateTaskBatch does.

    ApiError 403 where the role of the key does not reach the task, 409 where an agent is needed and the farm has none,
    or a retry is already under way.
    """
    now, name = request.app[CLOCK].now(), order.request.name
    check_task(request, name, order.request.params)
    spec = SPECS[name]
    maker = _Maker(
        farm=farm,
        order=order,
        settings=request.app[SETTINGS],
        actor=request[ACTOR],
        now=now,
        cloud_s=request.app[TIME].now(),
        batch_id=new_uuid(),
    )
    planned = BatchPlan(chosen=[], skipped=[])
    called_off: frozenset[str] = frozenset()
    async with request.app[STORE].write() as connection:
        if order.retry_of is not None:
            running = await batches.open_retry_of(connection, farm.id, order.retry_of)
            if running is not None:
                raise ApiError(409, f"Batch {running} retries this one and has not ended yet")
        agents = await batches.executors(connection, farm.id) if spec.by_agent else []
        if spec.wants_miner:
            ids = order.request.miner_ids
            known = await search.by_ids(connection, farm.id, ids)
            recent = await lookup.last_of_kind(connection, farm.id, same_kind(name), ids)
            planned = plan(order.request, known, recent, now)
            tasks = (
                [maker.for_agent(row, [each.id for each in agents]) for row in planned.chosen]
                if spec.by_agent
                else [
                    maker.done(row, evidence)
                    for row, evidence in await carry_out(
                        connection, order.request, planned.chosen, now
                    )
                ]
            )
            called_off = await tell_maintenance(
                connection, farm.id, order.request, [] if spec.by_agent else planned.chosen, now
            )
        else:
            if not agents:
                raise ApiError(409, "This farm has no agent: enroll one first")
            asked = [
                row for row in agents if order.only_agents is None or row.id in order.only_agents
            ]
            away = [row for row in asked if not _was_seen(request, row, now)]
            tasks = [maker.task(None, row.id) for row in asked if row not in away]
            planned = BatchPlan(chosen=[], skipped=[skip_agents(away)] if away else [])
        if tasks:
            await batches.insert(connection, maker.batch(len(tasks)), tasks)
            await audit.record(
                connection,
                maker.actor,
                now,
                name,
                ("batch", maker.batch_id),
                workspace_id=farm.workspace_id,
                farm_id=farm.id,
                after=maker.told(tasks),
            )
    _wake(request, farm, tasks)
    request.app[WAKE_UPS].wake(*called_off)
    skipped = [*planned.skipped, *order.skipped]
    return CreateAnswer(
        data=[maker.created(len(tasks))] if tasks else [],
        meta=CreateMeta(
            summary=CreateSummary(
                created_count=len(tasks), skipped_count=sum(map(_number, skipped))
            ),
            skipped=skipped,
        ),
    )


def _was_seen(request: web.Request, agent: EnrolledAgent, now: datetime) -> bool:
    """Within a day: heard of, or new."""
    heard_s = agent.last_online_cloud_s
    return (
        request.app[SESSIONS].is_online(agent.id, heard_s)
        or (heard_s is not None and request.app[TIME].now() - heard_s <= _SEEN.total_seconds())
        or (heard_s is None and now - agent.created_at <= _SEEN)
    )


def _number(skip: Skip) -> int:
    return len(skip.miner_ids) + (0 if skip.agent_ids is UNSET else len(skip.agent_ids))


class _Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one batch."""

    farm: FarmRow
    order: BatchOrder
    settings: CloudSettings
    actor: Actor
    now: datetime
    cloud_s: float
    batch_id: str

    def batch(self, count: int) -> dict[str, Any]:
        retry_of = self.order.retry_of
        return {
            "id": self.batch_id,
            "farm_id": self.farm.id,
            "workspace_id": self.farm.workspace_id,
            "task_name": self.order.request.name,
            "params": self.order.params,
            "meta": None if retry_of is None else {"retry_of": retry_of},
            "task_count": count,
            "retry_of": retry_of,
            "actor_type": self.actor.type,
            "actor_id": self.actor.id,
            "actor_name": self.actor.name,
            "actor_avatar": self.actor.avatar,
            "actor_metadata": self.actor.metadata,
            "created_at": self.now,
        }

    def for_agent(self, miner: ListedMiner, agents: Sequence[str]) -> dict[str, Any]:
        """Of a miner: for the agent that looks at it, else for the one that was heard from last."""
        own = miner.agent_id
        return self.task(miner, own if own in agents else next(iter(agents), None))

    def task(self, miner: ListedMiner | None, agent_id: str | None) -> dict[str, Any]:
        """Waiting for its agent; for any agent of the farm where none is known yet."""
        name = self.order.request.name
        snapshot = None if miner is None else snapshot_of(miner, self.farm, self.now)
        known = agent_id is not None
        return {
            "id": new_uuid(),
            "batch_id": self.batch_id,
            "farm_id": self.farm.id,
            "workspace_id": self.farm.workspace_id,
            "miner_id": None if miner is None else miner.id,
            "agent_id": agent_id,
            "name": name,
            "kind": SPECS[name].kind,
            "params": self.order.params,
            "status": TaskStatus.QUEUING if known else TaskStatus.CREATED,
            "created_at": self.now,
            "queuing_at": self.now if known else None,
            "pending_at": None,
            "succeed_at": None,
            "ended_at": None,
            "queue_expires_cloud_s": self.cloud_s + self.settings.queue_ttl_s,
            "limit_s": self.settings.limit_s(name),
            "result": None,
            "miner_snapshot": snapshot,
        }

    def done(self, miner: ListedMiner, evidence: dict[str, Any]) -> dict[str, Any]:
        """Of an event: already carried out."""
        stamps = dict.fromkeys(("queuing_at", "pending_at", "succeed_at", "ended_at"), self.now)
        place = self.order.request.places.get(miner.id)
        own = {} if place is None else {"params": {"rack": place[0], "position": place[1]}}
        return (
            self.task(miner, None)
            | stamps
            | own
            | {
                "status": TaskStatus.SUCCEED,
                "result": {"outcome": Outcome.DONE.value, "verified": True, "evidence": evidence},
            }
        )

    def told(self, tasks: Sequence[Row]) -> dict[str, Any]:
        """What the audit keeps of the batch. Where each miner went stands in its task."""
        params = {key: each for key, each in (self.order.params or {}).items() if key != "updates"}
        told: dict[str, Any] = {"tasks": len(tasks), "params": params}
        if self.order.retry_of is not None:
            told["retry_of"] = self.order.retry_of
        return told

    def created(self, count: int) -> BatchCreated:
        return BatchCreated(
            batch_id=self.batch_id,
            task_name=self.order.request.name,
            task_count=count,
            task_params=masked_params(self.order.params),
            created_by=ActorItem(
                type=self.actor.type,
                id=self.actor.id,
                name=self.actor.name,
                avatar=self.actor.avatar,
                metadata=self.actor.metadata,
            ),
            created_at=nonce_time(self.now),
        )


def _wake(request: web.Request, farm: FarmRow, tasks: Sequence[Row]) -> None:
    waiting = [task for task in tasks if task["ended_at"] is None]
    bell = request.app[WAKE_UPS]
    bell.wake(*(task["agent_id"] for task in waiting if task["agent_id"]))
    if any(task["agent_id"] is None for task in waiting):
        bell.wake_farm(farm.id)
