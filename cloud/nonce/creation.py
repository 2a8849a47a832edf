"""Making batches: who executes, what is skipped, and all of it stored in one transaction."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET

from cloud.config import CloudSettings
from cloud.context import CLOCK, SESSIONS, SETTINGS, STORE, TIME, WAKE_UPS
from cloud.firmware.ordered import with_image
from cloud.http.auth import ACTOR, check_task
from cloud.http.errors import ApiError
from cloud.nonce.canaries import KindOf, canaries_of
from cloud.nonce.estimates import WattsChange, change_of, pace_of, watts_of
from cloud.nonce.event_tasks import carry_out, tell_maintenance
from cloud.nonce.miners import snapshot_of
from cloud.nonce.orders import BatchOrder, GroupOrder, Ordered
from cloud.nonce.planning import BatchRequest, Skipped, outdating, plan, rivals_of, skip_agents
from cloud.nonce.tasks import masked_params
from cloud.store.access import audit
from cloud.store.access.actors import Actor
from cloud.store.engine import Connection, chunks
from cloud.store.ids import new_uuid
from cloud.store.miners import search
from cloud.store.miners.search import ListedMiner
from cloud.store.schema.rows import FarmRow
from cloud.store.subscriptions.shown import would_be_held
from cloud.store.tasks import batches, groups, lookup
from cloud.store.tasks.batches import EnrolledAgent
from cloud.store.tasks.handed import Confirmed
from contract.nonce.answers import ActorItem
from contract.nonce.batches import (
    MINERS_PER_BATCH,
    BatchCreated,
    CreateAnswer,
    CreateMeta,
    CreateSummary,
    Skip,
)
from contract.nonce.groups import DryRun, PlannedMiner
from contract.nonce.subscriptions import Dispatch, HeldMiners
from contract.nonce.times import nonce_time
from contract.outcome import Outcome
from contract.task import SPECS, TaskName, TaskStatus

_SEEN: Final = timedelta(days=1)  # a task for agents goes to those that were
# Miners whose rows are in hand at once. After each such piece (`sleep(0)`) others have their turn: agents are waiting.
_PIECE: Final = 100
T = TypeVar("T")


class _Chosen(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of a miner that gets a task until its row is made."""

    miner: PlannedMiner
    agent_id: str | None
    change: WattsChange

    @property
    def kind(self) -> KindOf:
        return self.miner.model, self.agent_id, self.miner.rack


class _Batch(msgspec.Struct, frozen=True):
    """One that is to be stored."""

    maker: Maker
    miner_ids: Sequence[str]
    held: bool


class _Survey(msgspec.Struct, frozen=True, kw_only=True):
    """Who of an order gets a task: by order, with those that go first."""

    ordered: Ordered
    chosen: list[list[_Chosen]]
    skipped: list[Skip]
    canaries: frozenset[str]

    def params_of(self, order: GroupOrder) -> dict[str, Any] | None:
        """As they are stored and shown: with what an image of the library came to."""
        if order.params is None or "firmware" not in order.params:
            return order.params
        return next((each.params for each in self.ordered.orders), order.params)

    @property
    def all_chosen(self) -> list[_Chosen]:
        return [each for some in self.chosen for each in some]


async def create(request: web.Request, farm: FarmRow, order: GroupOrder) -> CreateAnswer:
    """Store what is ordered in one transaction, however much it is; wake the agents; answer as CreateTaskBatch does.
    ApiError 403 where the role of the key does not reach the task, 409 where a retry is already under way, and what
    `read` raises.
    """
    now, by_agent = request.app[CLOCK].now(), SPECS[order.name].by_agent
    group_id = new_uuid() if order.is_group else None
    waiting: set[str | None] = set()
    async with request.app[STORE].write() as connection:
        agents = await batches.executors(connection, farm.id) if by_agent else []
        survey = await _surveyed(request, connection, farm, order, now)
        if group_id is not None and any(survey.chosen):
            await groups.insert(connection, _group_row(request, farm, order, survey, group_id, now))
            await audit.record(
                connection, request[ACTOR], now, order.name, ("group", group_id),
                workspace_id=farm.workspace_id, farm_id=farm.id, after=_told_of_group(order, survey),
            )  # fmt: skip
        new: list[_Batch] = []
        for each, chosen in zip(survey.ordered.orders, survey.chosen, strict=True):
            maker = maker_of(request, farm, each, now, group_id)
            for miner_ids, is_canary in _batches_of(chosen, survey.canaries, order):
                held = bool(survey.canaries) and not is_canary
                new.append(_Batch(maker.of_batch(new_uuid(), is_canary), miner_ids, held))
        for some in _pieces(new, lambda batch: len(batch.miner_ids)):
            await _store(connection, some, agents, waiting)
        made = [batch.maker.created(len(batch.miner_ids)) for batch in new]
    request.app[WAKE_UPS].wake_for(farm.id, waiting)
    return answer_of(made, survey.skipped, group_id if made else None)


async def create_for_agents(
    request: web.Request, farm: FarmRow, order: BatchOrder, *left_out: Skip
) -> CreateAnswer:
    """Store a batch with a task for each agent; otherwise as `create`."""
    now = request.app[CLOCK].now()
    check_task(request, order.request.name, order.request.params)
    maker = maker_of(request, farm, order, now, None).of_batch(new_uuid(), False)
    async with request.app[STORE].write() as connection:
        await _check_retry(connection, farm, order)
        agents = await batches.executors(connection, farm.id)
        if not agents:
            raise ApiError(409, "This farm has no agent: enroll one first")
        asked = [row for row in agents if order.only_agents is None or row.id in order.only_agents]
        away = [row for row in asked if not _was_seen(request, row, now)]
        tasks = [maker.task(None, row.id) for row in asked if row not in away]
        if tasks:
            await batches.insert(connection, [maker.batch(len(tasks))], tasks)
            await maker.record(connection, len(tasks))
    request.app[WAKE_UPS].wake_for(farm.id, {task["agent_id"] for task in tasks})
    made = [maker.created(len(tasks))] if tasks else []
    return answer_of(made, [*([skip_agents(away)] if away else []), *left_out], None)


async def preview(request: web.Request, farm: FarmRow, order: GroupOrder) -> DryRun:
    """What `create` would do now; nothing is stored. ApiError 409 as there."""
    now = request.app[CLOCK].now()
    async with request.app[STORE].read() as connection:
        survey = await _surveyed(request, connection, farm, order, now)
        miners = Counter(await search.number_by_agent(connection, farm.id))
        held = await _held(connection, farm, order, survey)
    await asyncio.sleep(0)
    chosen = survey.all_chosen
    raising = Counter(each.agent_id for each in chosen if each.change.raises)
    skipped_count = sum(map(_number, survey.skipped))
    return DryRun(
        task_name=order.name,
        task_params=masked_params(survey.params_of(order)),
        count=len(chosen) + skipped_count,
        created_count=len(chosen),
        skipped_count=skipped_count,
        batch_count=sum(
            len(list(_batches_of(some, survey.canaries, order))) for some in survey.chosen
        ),
        canary_miner_ids=sorted(survey.canaries),
        miners=[each.miner for each in chosen],
        skipped=survey.skipped,
        watts=watts_of(each.change for each in chosen),
        pace=pace_of(raising, miners),
        passwords_needed=list(survey.ordered.needed),
        held=held or UNSET,
    )


async def _held(
    connection: Connection, farm: FarmRow, order: GroupOrder, survey: _Survey
) -> list[HeldMiners]:
    """Whose tasks would wait for a subscription; batch by batch, as their miners are counted together."""
    if not SPECS[order.name].by_agent:
        return []
    agents = [each.id for each in await batches.executors(connection, farm.id)]
    found: dict[str, list[str]] = {}
    for each, chosen in zip(survey.ordered.orders, survey.chosen, strict=True):
        for miner_ids, _ in _batches_of(chosen, survey.canaries, order):
            reasons = await would_be_held(
                connection,
                farm,
                each.request.name,
                miner_ids,
                agents,
                max_price=each.dispatch.max_price_per_compute_unit,
                may_split=each.dispatch.may_split,
            )
            for miner_id, reason in reasons.items():
                found.setdefault(reason, []).append(miner_id)
    return [
        HeldMiners(reason=reason, count=len(ids), miner_ids=ids)
        for reason, ids in sorted(found.items())
    ]


async def _surveyed(
    request: web.Request,
    connection: Connection,
    farm: FarmRow,
    order: GroupOrder,
    now: datetime,
) -> _Survey:
    """In pieces: a farm may have a hundred thousand miners, or each an order of its own, and agents are waiting."""
    ordered = await order.read(connection)
    orders = [
        await with_image(request, connection, farm.workspace_id, each) for each in ordered.orders
    ]
    ordered = msgspec.structs.replace(ordered, orders=orders)
    skips = Skipped()
    found: list[list[_Chosen]] = [[] for _ in ordered.orders]
    parts: list[tuple[int, BatchRequest, Sequence[str]]] = []
    for index, each in enumerate(ordered.orders):
        check_task(request, each.request.name, each.request.params)
        await _check_retry(connection, farm, each)
        ids = list(dict.fromkeys(each.request.miner_ids))
        parts += [(index, each.request, some) for some in chunks(ids, _PIECE)]
    for name, same in groupby(parts, key=lambda part: part[1].name):
        unread = () if name is TaskName.MINING else search.FIGURES  # whether it mines, they tell
        rivals = rivals_of(name)
        for some in _pieces(list(same), lambda part: len(part[2])):
            ids = [miner_id for part in some for miner_id in part[2]]
            known = await search.by_ids(connection, farm.id, ids, without=unread)
            recent = await lookup.last_of_kind(connection, farm.id, outdating(name), ids)
            still_open = await lookup.last_open(connection, farm.id, rivals, ids) if rivals else {}
            for index, asked, its_ids in some:
                for row in plan(asked, its_ids, known, recent, still_open, now, skips):
                    miner = PlannedMiner(
                        id=row.id, name=row.name, ip=row.ip or "", model=row.model, rack=row.rack
                    )
                    change = change_of(row, name, asked.params, now)
                    found[index].append(_Chosen(miner, row.agent_id, change))
            await asyncio.sleep(0)
    canaries: list[str] = []
    if order.canary is not None:
        kinds = [(each.miner.id, each.kind) for some in found for each in some]
        canaries = await asyncio.to_thread(canaries_of, kinds, order.canary)
    return _Survey(
        ordered=ordered,
        chosen=found,
        skipped=[*skips.told(), *ordered.skipped],
        canaries=frozenset(canaries),
    )


def _batches_of(
    chosen: Sequence[_Chosen], canaries: frozenset[str], order: GroupOrder
) -> Iterator[tuple[Sequence[str], bool]]:
    """The miners of each batch, those that go first in batches of their own; whether it is one of these."""
    for is_canary in (True, False):
        ids = [each.miner.id for each in chosen if (each.miner.id in canaries) is is_canary]
        for some in chunks(ids, MINERS_PER_BATCH if order.is_group else max(1, len(ids))):
            yield some, is_canary


async def _store(
    connection: Connection,
    new: Sequence[_Batch],
    agents: Sequence[EnrolledAgent],
    waiting: set[str | None],
) -> None:
    """Store some batches with their tasks; those who may take one of these now come to `waiting`."""
    agent_ids = [each.id for each in agents]
    await batches.insert(connection, [each.maker.batch(len(each.miner_ids)) for each in new], ())
    known: dict[str, ListedMiner] = {}
    farm_id = new[0].maker.farm.id
    for ids in chunks([id_ for each in new for id_ in each.miner_ids], _PIECE):
        known |= await search.by_ids(connection, farm_id, ids)
        await asyncio.sleep(0)
    tasks: list[dict[str, Any]] = []
    for each in new:
        maker, request = each.maker, each.maker.order.request
        rows = [known[id_] for id_ in each.miner_ids]
        if SPECS[request.name].by_agent:
            tasks += [maker.for_agent(row, agent_ids, held=each.held) for row in rows]
        else:
            done = await carry_out(connection, request, rows, maker.now)
            tasks += [maker.done(row, evidence) for row, evidence in done]
            waiting.update(
                await tell_maintenance(
                    connection, farm_id, request, rows, maker.now, maker.confirmed
                )
            )
        if maker.group_id is None:
            await maker.record(connection, len(rows))
    waiting.update(
        task["agent_id"] for task in tasks if task["ended_at"] is None and not task["held"]
    )
    for some in chunks(tasks, _PIECE):
        await batches.insert(connection, (), some)
        await asyncio.sleep(0)


def _pieces(parts: Sequence[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Several of them together until a piece is large enough; at least one in each."""
    piece: list[T] = []
    number = 0
    for part in parts:
        piece.append(part)
        number += size(part)
        if number >= _PIECE:
            yield piece
            piece, number = [], 0
    if piece:
        yield piece


async def _check_retry(connection: Connection, farm: FarmRow, order: BatchOrder) -> None:
    if order.retry_of is None:
        return
    running = await batches.open_retry_of(connection, farm.id, order.retry_of)
    if running is not None:
        raise ApiError(409, f"Batch {running} retries this one and has not ended yet")


def answer_of(made: list[BatchCreated], skipped: list[Skip], group_id: str | None) -> CreateAnswer:
    """That of CreateTaskBatch: what was made, and who was left out."""
    return CreateAnswer(
        data=made,
        meta=CreateMeta(
            summary=CreateSummary(
                created_count=sum(each.task_count for each in made),
                skipped_count=sum(map(_number, skipped)),
            ),
            skipped=skipped,
            group_id=UNSET if group_id is None else group_id,
        ),
    )


def _group_row(
    request: web.Request,
    farm: FarmRow,
    order: GroupOrder,
    survey: _Survey,
    group_id: str,
    now: datetime,
) -> dict[str, Any]:
    watts = watts_of(each.change for each in survey.all_chosen)
    return {
        "id": group_id,
        "farm_id": farm.id,
        "workspace_id": farm.workspace_id,
        "task_name": order.name,
        "params": survey.params_of(order),
        "selection": order.selection,
        "canary": order.canary,
        "undo_of": order.undo_of,
        "retry_of": order.retry_of,
        "estimate": msgspec.to_builtins(watts),
        "created_at": now,
        **actor_columns(request[ACTOR]),
    }


def _told_of_group(order: GroupOrder, survey: _Survey) -> dict[str, Any]:
    """What the audit keeps of a group."""
    told = {
        "tasks": len(survey.all_chosen),
        "params": survey.params_of(order),
        "selection": order.selection,
        "canary": order.canary,
        "undo_of": order.undo_of,
        "retry_of": order.retry_of,
        "dispatch": next(
            (
                each.dispatch.model_dump()
                for each in survey.ordered.orders
                if each.dispatch != Dispatch()
            ),
            None,
        ),
    }
    return {key: value for key, value in told.items() if value is not None}


def actor_columns(actor: Actor) -> dict[str, Any]:
    """Who ordered it, as batches and groups have it."""
    return {
        "actor_type": actor.type,
        "actor_id": actor.id,
        "actor_name": actor.name,
        "actor_avatar": actor.avatar,
        "actor_metadata": actor.metadata,
    }


def maker_of(
    request: web.Request, farm: FarmRow, order: BatchOrder, now: datetime, group_id: str | None
) -> Maker:
    """Of batches on that farm; `of_batch` names each."""
    return Maker(
        farm=farm,
        order=order,
        settings=request.app[SETTINGS],
        confirmed=request.app[SESSIONS].confirmed(),
        actor=request[ACTOR],
        now=now,
        cloud_s=request.app[TIME].now(),
        batch_id="",
        group_id=group_id,
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


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one batch, or of several after one another: see `of_batch`."""

    farm: FarmRow
    order: BatchOrder
    settings: CloudSettings
    confirmed: Confirmed
    actor: Actor
    now: datetime
    cloud_s: float
    batch_id: str
    group_id: str | None
    is_canary: bool = False

    def of_batch(self, batch_id: str, is_canary: bool) -> Maker:
        """The same for another batch."""
        return msgspec.structs.replace(self, batch_id=batch_id, is_canary=is_canary)

    def batch(self, count: int) -> dict[str, Any]:
        retry_of = self.order.retry_of
        meta = {
            key: value
            for key, value in (
                ("retry_of", retry_of),
                ("group_id", self.group_id),
                (groups.CANARY, self.is_canary),
            )
            if value
        }
        return {
            "id": self.batch_id,
            "farm_id": self.farm.id,
            "workspace_id": self.farm.workspace_id,
            "task_name": self.order.request.name,
            "params": self.order.params,
            "meta": meta or None,
            "task_count": count,
            "retry_of": retry_of,
            "group_id": self.group_id,
            "created_at": self.now,
            "max_price": self.order.dispatch.max_price_per_compute_unit,
            "may_split": self.order.dispatch.may_split,
            **actor_columns(self.actor),
        }

    def for_agent(
        self, miner: ListedMiner, agents: Sequence[str], *, held: bool = False
    ) -> dict[str, Any]:
        """Of a miner: for the agent that looks at it, else for the one that was heard from last."""
        own = miner.agent_id
        return self.task(miner, own if own in agents else next(iter(agents), None), held=held)

    def task(
        self, miner: ListedMiner | None, agent_id: str | None, *, held: bool = False
    ) -> dict[str, Any]:
        """Waiting for its agent; for any agent of the farm where none is known yet. `held`: not before it is let go."""
        name = self.order.request.name
        snapshot = None if miner is None else snapshot_of(miner, self.farm, self.now)
        known = agent_id is not None and not held
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
            "held": held,
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

    async def record(self, connection: Connection, count: int) -> None:
        """Tell the audit of a batch that is of no group. Where each miner went stands in its task."""
        params = {key: each for key, each in (self.order.params or {}).items() if key != "updates"}
        told: dict[str, Any] = {"tasks": count, "params": params}
        if self.order.retry_of is not None:
            told["retry_of"] = self.order.retry_of
        if self.order.dispatch != Dispatch():
            told["dispatch"] = self.order.dispatch.model_dump()
        await audit.record(
            connection, self.actor, self.now, self.order.request.name, ("batch", self.batch_id),
            workspace_id=self.farm.workspace_id, farm_id=self.farm.id, after=told,
        )  # fmt: skip

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
