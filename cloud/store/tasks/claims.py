"""Handing tasks to agents: what waits, what to hand out again, what to call off."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from cloud.store.engine import Store, chunks
from cloud.store.schema.rows import AgentRow, read_rows
from cloud.store.schema.tables import IS_OPEN, At, agents, miners, tasks
from cloud.store.subscriptions.dispatch import (
    IS_ENROLLED,
    IS_KNOWN,
    MAY_BE_LEASED,
    MAY_GO,
    QUEUED,
    ROOM,
    given,
    make_stacks,
)
from cloud.store.subscriptions.judged import AGENT, PLAIN
from cloud.store.tasks.settle import closed_result, settle
from contract.begin import Held, Shown, shown
from contract.errors import ErrorCode
from contract.link import ON_SITE, WORD_MAX, ClaimedTask, MinerRef
from contract.outcome import Outcome
from contract.task import TaskStatus


@dataclass(frozen=True)
class Glance:
    """What there is for one agent at one moment."""

    waiting: bool  # tasks that were never handed out, or came back to the queue
    not_known: bool  # for this agent alone, with names that it does not know
    # Handed to this journal, which does not list them: the answer was lost.
    unheard: tuple[str, ...]
    # Begun by this journal, which does not list them: their outcomes were lost.
    ended: tuple[str, ...]
    adopt: tuple[str, ...]  # back in the queue, but this journal still holds them
    cancel: tuple[str, ...]  # held by it, but called off, already closed here, or given to another


class TaskOfMiner(msgspec.Struct, frozen=True, kw_only=True):
    """A task with what is known of its miner, if it has one."""

    id: str
    batch_id: str | None
    epoch: int
    name: str
    params: dict[str, Any] | None
    queue_expires_cloud_s: float
    limit_s: float
    miner_id: str | None
    cancel_requested_at: datetime | None
    mac: str | None
    serial: str | None
    ip: str | None
    make: str | None
    model: str | None
    ops_status: str | None
    awake_mode: str | None


class LeasableTask(TaskOfMiner, frozen=True, kw_only=True):
    """One that waits. `is_plain`: no subscription has a say in what its agent gets."""

    is_plain: bool


async def glance(
    store: Store,
    agent: AgentRow,
    journal_id: str,
    open_ids: Collection[str],
    cloud_s: float,
    *,
    room: int,
    knows: Collection[str],
) -> Glance:
    """Read only. `open_ids` are the tasks the agent says it holds, `knows` the names of those it can be given."""
    mine = (tasks.c.farm_id == agent.farm_id, tasks.c.agent_id == agent.id)
    async with store.read() as connection:
        handed = (
            await connection.execute(
                sa.select(
                    tasks.c.id,
                    tasks.c.epoch,
                    tasks.c.journal_id,
                    tasks.c.pending_at,
                    tasks.c.cancel_requested_at,
                ).where(
                    *mine,
                    tasks.c.ended_at.is_(None),
                    tasks.c.held == sa.false(),
                    tasks.c.journal_id.is_not(None),
                )
            )
        ).all()
        waiting = not_known = False
        if room > 0:
            found = await connection.scalar(_WAITS, given(agent, cloud_s, knows))
            waiting = found is not None
            not_known = await connection.scalar(_not_known(agent, knows).limit(1)) is not None
        held = {row.id for row in handed if row.journal_id == journal_id}
        adopt: list[str] = []
        closed: list[str] = []
        unknown = [task_id for task_id in open_ids if task_id not in held]
        for some in chunks(unknown):
            query = sa.select(
                tasks.c.id, tasks.c.agent_id, tasks.c.epoch, tasks.c.journal_id, tasks.c.ended_at
            )
            query = query.where(tasks.c.farm_id == agent.farm_id, tasks.c.id.in_(some))
            for other in (await connection.execute(query)).all():
                if other.ended_at is None and other.epoch == ON_SITE:
                    continue  # of the same host, perhaps, before it was enrolled as another agent
                is_queued = other.ended_at is None and other.journal_id is None
                ours = other.agent_id in (None, agent.id)
                (adopt if is_queued and ours else closed).append(other.id)
    known = set(open_ids)
    called_off = [row.id for row in handed if row.id in held and row.cancel_requested_at]
    wanted: dict[Shown, list[str]] = {each: [] for each in Shown}
    for row in handed:
        if row.id in held and row.id not in known:
            where = Held.HANDED if row.pending_at is None else Held.BEGUN
            # What arose on site was never ours to hand out.
            show = Shown.OUTCOME if row.epoch == ON_SITE else shown(where)
            if show is not None:
                wanted[show].append(row.id)
    return Glance(
        waiting=waiting,
        not_known=not_known,
        unheard=tuple(wanted[Shown.AGAIN]),
        ended=tuple(wanted[Shown.OUTCOME]),
        adopt=tuple(adopt),
        cancel=(*called_off, *closed),
    )


async def hand_out(
    store: Store,
    agent: AgentRow,
    journal_id: str,
    now: datetime,
    cloud_s: float,
    *,
    room: int,
    knows: Collection[str],
    again: Sequence[str] = (),
    adopt: Sequence[str] = (),
) -> tuple[tuple[ClaimedTask, ...], tuple[str, ...]]:
    """Pin up to `room` waiting tasks to this journal and return them, after those to be handed out again; and the
    ids of those among them, and of those in `adopt`, that are to be cancelled.

    A task is in the answer only if it is durably marked as handed out. Nothing for a revoked agent. A task that came
    back from an agent that was away is cancelled by that agent, which alone knows whether it began.
    """
    is_enrolled = sa.exists().where(agents.c.id == agent.id, agents.c.revoked_at.is_(None))
    mark = {"journal_id": journal_id, "handed_at": now, "agent_id": agent.id}
    handed: list[TaskOfMiner] = []
    fresh: list[LeasableTask] = []
    called_off: list[str] = []
    async with store.write() as connection:
        for some in chunks(adopt):
            await connection.execute(
                tasks.update()
                .where(tasks.c.id.in_(some), IS_OPEN)
                .where(tasks.c.journal_id.is_(None), is_enrolled)
                .values(**mark, held=False)  # it was let go once, and the database put back since
            )
            query = sa.select(tasks.c.id).where(
                tasks.c.id.in_(some), IS_OPEN, tasks.c.cancel_requested_at.is_not(None)
            )
            called_off += await connection.scalars(query)
        for some in chunks(again):
            query = _with_miner().where(tasks.c.id.in_(some), is_enrolled)
            query = query.where(tasks.c.name.in_(knows))
            handed += read_rows(TaskOfMiner, await connection.execute(query))
        if room > 0:
            values = given(agent, cloud_s, knows, room=room)
            fresh = read_rows(LeasableTask, await connection.execute(_LEASABLE, values))
            is_judged = len(fresh) < room and not (fresh and fresh[0].is_plain)
            if is_judged and await make_stacks(
                connection, agent, now, values | {ROOM.key: room - len(fresh)}
            ):
                fresh = read_rows(LeasableTask, await connection.execute(_LEASABLE, values))
        for some in chunks([row.id for row in fresh]):
            await connection.execute(
                _LEASE.where(tasks.c.id.in_(some)),
                values | {"of_now": now, "of_journal": journal_id},
            )
    handed += fresh
    called_off += [row.id for row in handed if row.cancel_requested_at is not None]
    return tuple(_claimed(row, cloud_s) for row in handed), tuple(called_off)


async def end_not_known(
    store: Store, agent: AgentRow, now: datetime, *, knows: Collection[str]
) -> int:
    """End what waits for this agent alone and what it does not know, as nobody else would take it. Returns how many."""
    async with store.write() as connection:
        query = _not_known(agent, knows).add_columns(tasks.c.name)
        by_name: dict[str, list[str]] = {}
        for task_id, name in await connection.execute(query):
            by_name.setdefault(name, []).append(task_id)
        for name, ids in by_name.items():
            message = (
                f"The agent of this miner (version {agent.version}) knows no task {name}; nothing was sent. "
                "Update the agent, and ask again"
            )
            result = closed_result(Outcome.NOT_DONE, ErrorCode.UNSUPPORTED, message)
            await settle(connection, ids, TaskStatus.FAILED, result, now)
    return sum(map(len, by_name.values()))


def _not_known(agent: AgentRow, knows: Collection[str]) -> sa.Select[tuple[str]]:
    """Of the tasks that wait for this agent and were never handed out, those with other names."""
    return sa.select(tasks.c.id).where(
        tasks.c.farm_id == agent.farm_id,
        tasks.c.agent_id == agent.id,
        tasks.c.ended_at.is_(None),
        tasks.c.held == sa.false(),
        tasks.c.handed_at.is_(None),
        tasks.c.name.not_in(knows),
    )


def _with_miner() -> Any:
    return sa.select(
        tasks.c.id,
        tasks.c.batch_id,
        tasks.c.epoch,
        tasks.c.name,
        tasks.c.params,
        tasks.c.queue_expires_cloud_s,
        tasks.c.limit_s,
        tasks.c.miner_id,
        tasks.c.cancel_requested_at,
        miners.c.mac,
        miners.c.serial,
        miners.c.ip,
        miners.c.make,
        miners.c.model,
        miners.c.ops_status,
        miners.c.awake_mode,
    ).select_from(tasks.outerjoin(miners, miners.c.id == tasks.c.miner_id))


# Of the tasks that wait for an agent, the oldest first, those with names that it knows.
_OLDEST_FIRST: Final = (tasks.c.created_at, tasks.c.id)
_WAITS: Final = (
    sa.select(tasks.c.id).where(*QUEUED, IS_KNOWN, MAY_GO).order_by(*_OLDEST_FIRST).limit(1)
)
_LEASABLE: Final = (
    _with_miner()
    .add_columns(PLAIN.label("is_plain"))
    .where(*QUEUED, IS_KNOWN, IS_ENROLLED, MAY_BE_LEASED)
    .order_by(*_OLDEST_FIRST)
    .limit(ROOM)
    .with_for_update(of=tasks, skip_locked=True)
)
_LEASE: Final = (
    tasks.update()
    .where(MAY_BE_LEASED, tasks.c.journal_id.is_(None))
    .values(
        journal_id=sa.bindparam("of_journal"),
        handed_at=sa.bindparam("of_now", type_=At()),
        agent_id=AGENT,
        status=TaskStatus.QUEUING,
        queuing_at=sa.func.coalesce(tasks.c.queuing_at, sa.bindparam("of_now", type_=At())),
    )
)


def _claimed(row: TaskOfMiner, cloud_s: float) -> ClaimedTask:
    miner = None
    if row.miner_id is not None:
        miner = MinerRef(
            id=row.miner_id,
            mac=row.mac,
            serial=row.serial and row.serial[:WORD_MAX],
            last_ip=row.ip,
            make=row.make,
            model=row.model and row.model[:WORD_MAX],
            maintenance=row.ops_status == "maintenance",
            awake_mode=row.awake_mode,
        )
    return ClaimedTask(
        task_id=row.id,
        batch_id=row.batch_id,
        epoch=row.epoch,
        name=row.name,
        params=row.params or {},
        miner=miner,
        queue_ttl_s=max(0.0, row.queue_expires_cloud_s - cloud_s),
        limit_s=row.limit_s,
    )
