"""Taking in what agents report, once each: idempotent by (task, epoch, seq), and a closed task stays closed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.store.agent_time import stated_at
from cloud.store.engine import Store, chunks
from cloud.store.growth import Growth
from cloud.store.miners.awake import keep_awake_mode
from cloud.store.schema.rows import AgentRow, read_rows
from cloud.store.schema.tables import agents, task_events, task_logs, tasks
from cloud.store.tasks.onsite import LimitOf, arisen_of, create
from cloud.store.tasks.pools import keep_proven_pools
from cloud.store.tasks.settle import forget_passwords, lost_result
from contract.begin import Held, ends_as, is_granted
from contract.clock import to_text
from contract.hiding import hidden, masked_url
from contract.link import Ack, Event, ReportRequest
from contract.miner import awake_mode_of
from contract.outcome import Outcome
from contract.task import TERMINAL, TaskStatus

_LATE_MAX: Final = 10  # outcomes kept beside a closed task
_MESSAGE_MAX: Final = 4000


@dataclass(frozen=True)
class ReportLimits:
    """Bounds of what is kept, see CloudSettings."""

    limit_of: LimitOf  # execution limit of a task that arose on site
    grace_s: float
    result_bytes: int
    log_lines: int
    events: int  # to recognise repeats of


class ReportedTask(msgspec.Struct, kw_only=True):
    """What a report of a task goes by, and what it may change: see `_UPDATED`."""

    id: str
    miner_id: str | None
    limit_s: float
    created_at: datetime
    begin_id: str | None
    stack_id: int | None

    handed_at: datetime | None
    held: bool
    epoch: int
    status: str
    journal_id: str | None
    deadline_cloud_s: float | None
    ended_at: datetime | None
    result: dict[str, Any] | None
    late: list[dict[str, Any]] | None
    log_lines: int
    queuing_at: datetime | None
    pending_at: datetime | None
    succeed_at: datetime | None
    failed_at: datetime | None
    timed_out_at: datetime | None
    cancelled_at: datetime | None


# `begin_id` is written on its own, see `_begins`.
_NOT_UPDATED: Final = frozenset({"id", "miner_id", "limit_s", "created_at", "begin_id", "stack_id"})
_UPDATED: Final = tuple(name for name in ReportedTask.__struct_fields__ if name not in _NOT_UPDATED)


class Reported(NamedTuple):
    """What became of a report. `of_stack`: tasks of a stack have ended, so that the next one may be due."""

    acks: tuple[Ack, ...]
    of_stack: bool


@dataclass
class _Intake:
    """What one request changes."""

    acks: list[Ack] = field(default_factory=list)
    changed: dict[str, ReportedTask] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)


async def apply_report(
    store: Store,
    agent: AgentRow,
    report: ReportRequest,
    now: datetime,
    cloud_s: float,
    limits: ReportLimits,
    growth: Growth,
) -> Reported:
    """All events in one transaction, durable when this returns. One ack per event, in the order given. Raises
    TooMuchError when more tasks or miners arose than may be added; nothing has been changed then.

    What events say of tasks that arose on site must have passed `cloud.store.tasks.onsite.arisen_of`.
    """
    intake = _Intake()
    ids = sorted({event.task_id for event in report.events})
    new: list[str] = []
    async with store.write() as connection:
        known = await _tasks(connection, agent, ids)
        arisen = {
            event.task_id: arisen_of(event)
            for event in report.events
            if event.arose is not None and event.task_id not in known
        }
        if arisen:
            new = await create(
                connection,
                agent,
                report.journal_id,
                arisen.values(),
                now,
                cloud_s,
                limits.limit_of,
                growth,
            )
            known |= await _tasks(connection, agent, new)
        said = await _said(connection, ids)
        kept = Counter(task_id for task_id, _, _ in said)
        for event in report.events:
            key = (event.task_id, event.epoch, event.seq)
            task, digest = known.get(event.task_id), _digest(event)
            if task is None:
                state = "unknown_task"
            elif key in said:
                state = "duplicate" if said[key] == digest else "conflict"
                if state == "duplicate" and event.begin_id and event.state == TaskStatus.PENDING:
                    state = _grant_again(intake, task, event, report.journal_id, cloud_s, limits)
            elif kept[event.task_id] >= limits.events and not _moves(task, event):
                state = "late"  # nobody says so much of one task
            else:
                said[key] = digest
                kept[event.task_id] += 1
                if await _begins(connection, task, event, report.journal_id):
                    state = _take(task, event, report.journal_id, now, cloud_s, limits)
                    if state == "ok":
                        await _note_stop(connection, task)
                else:
                    state = _set_aside(task, event, now, limits, "begun")
                    if event.state in TERMINAL:
                        _lose(task, event, now)
                intake.changed[event.task_id] = task
                _keep(intake, task, event, report.journal_id, digest, now, cloud_s, limits)
            intake.acks.append(
                Ack(task_id=event.task_id, epoch=event.epoch, seq=event.seq, state=state)
            )
        await _store(connection, intake)
        ended = [id_ for id_, task in intake.changed.items() if task.ended_at is not None]
        await keep_proven_pools(connection, ended)
        await forget_passwords(connection, ended)
        await _raise_seq(connection, agent, report)
    growth.add_tasks(agent.id, len(new))
    of_stack = any(intake.changed[id_].stack_id is not None for id_ in ended)
    return Reported(tuple(intake.acks), of_stack)


def held(task: ReportedTask) -> Held:
    """What the row of a task says of it, in the words of `contract.begin`."""
    if task.ended_at is not None:
        return Held.ENDED
    if task.pending_at is not None:
        return Held.BEGUN
    return Held.QUEUED if task.journal_id is None else Held.HANDED


def _moves(task: ReportedTask, event: Event) -> bool:
    """Whether the event can begin or end its task."""
    if task.ended_at is not None:
        return False
    begins = event.state == TaskStatus.PENDING and task.pending_at is None
    return begins or event.state in TERMINAL


async def _begins(
    connection: AsyncConnection, task: ReportedTask, event: Event, journal_id: str
) -> bool:
    """Whether the event speaks for the beginning that this cloud holds; the first one that does becomes it, by one
    conditional update. What is late for other reasons is not judged here.
    """
    where, status = held(task), TaskStatus(event.state)
    if where is Held.ENDED or task.journal_id not in (None, journal_id):
        return True
    if status in TERMINAL:
        outcome = _outcome(event)
        fits = ends_as(where, task.begin_id, event.begin_id, outcome) is outcome
    elif status is TaskStatus.PENDING:
        fits = is_granted(where, task.begin_id, event.begin_id)
    else:
        return True
    if not fits or event.begin_id is None or where is Held.BEGUN:
        return fits
    won = await connection.execute(
        tasks.update()
        .where(tasks.c.id == task.id, tasks.c.begin_id.is_(None), tasks.c.ended_at.is_(None))
        .where(sa.or_(tasks.c.journal_id.is_(None), tasks.c.journal_id == journal_id))
        .values(begin_id=event.begin_id, journal_id=journal_id)
    )
    if won.rowcount:
        task.begin_id = event.begin_id
    return bool(task.begin_id == event.begin_id)


def _grant_again(
    intake: _Intake,
    task: ReportedTask,
    event: Event,
    journal_id: str,
    cloud_s: float,
    limits: ReportLimits,
) -> str:
    """The answer to a `pending` was lost: its task has all of its time from this answer on, if it may still begin."""
    if held(task) is not Held.BEGUN or task.journal_id != journal_id:
        return "late"
    if task.begin_id != event.begin_id:
        return "begun"
    task.deadline_cloud_s = _deadline(task, cloud_s, limits)
    intake.changed[event.task_id] = task
    return "duplicate"


def _take(
    task: ReportedTask,
    event: Event,
    journal_id: str,
    now: datetime,
    cloud_s: float,
    limits: ReportLimits,
) -> str:
    status = TaskStatus(event.state)
    # An agent that was away may speak for an older epoch: good as long as nobody else was given the task.
    foreign = task.journal_id not in (None, journal_id)
    if status in TERMINAL and (task.status, task.result) == (
        status,
        _bounded(event.result, limits),
    ):
        return "duplicate"  # told once more, under another number
    if task.ended_at is not None or foreign:
        return _set_aside(task, event, now, limits, "late")
    at = _stamp(event, task, now)
    task.journal_id = journal_id
    # Where the database was put back, this one waits here again: it was let go and handed out once.
    task.handed_at = task.handed_at or at
    task.held = False
    task.epoch = max(task.epoch, event.epoch)  # the database may be older than the report
    if status is TaskStatus.QUEUING:
        task.queuing_at = task.queuing_at or at
        return "ok"
    if status is TaskStatus.PENDING:
        task.status = status
        task.pending_at = task.pending_at or at
        # From when we heard of it, not from the agent's stamp: its reports may have waited for hours.
        task.deadline_cloud_s = _deadline(task, cloud_s, limits)
        if event.result is not None:
            task.result = _bounded(event.result, limits)
        return "ok"
    task.status = status
    task.ended_at = at
    setattr(task, f"{status}_at", at)
    task.result = _bounded(event.result, limits)
    return "ok"


async def _note_stop(connection: AsyncConnection, task: ReportedTask) -> None:
    """What a task that stopped its miner saw before: the mode it is to come back to."""
    if task.miner_id is None or task.ended_at is None:
        return
    evidence = (task.result or {}).get("evidence")
    before = evidence.get("before") if isinstance(evidence, dict) else None
    mode = awake_mode_of(before.get("awake_mode")) if isinstance(before, dict) else None
    if mode is not None:
        seen_at = task.pending_at or task.ended_at
        await keep_awake_mode(connection, task.miner_id, mode, seen_at)


def _set_aside(
    task: ReportedTask, event: Event, now: datetime, limits: ReportLimits, why: str
) -> str:
    """Keep an outcome that does not count beside the task; gives `why`, the answer."""
    status = TaskStatus(event.state)
    if status in TERMINAL:
        late = {
            "status": status,
            "at": event.at,
            "received_at": to_text(now),
            "epoch": event.epoch,
            "result": _bounded(event.result, limits),
        }
        task.late = [*(task.late or []), late][-_LATE_MAX:]
    return why


def _lose(task: ReportedTask, event: Event, now: datetime) -> None:
    """Another life of its agent began it than the one that is left to tell of it."""
    at = _stamp(event, task, now)
    task.status, task.failed_at, task.ended_at = TaskStatus.FAILED, at, at
    task.result = lost_result(
        Outcome.UNKNOWN,
        "The agent's disk was put back from a copy after it had begun this task, so what became of it is not known; "
        "look at the miner before asking again",
    )


def _deadline(task: ReportedTask, cloud_s: float, limits: ReportLimits) -> float:
    return float(cloud_s + task.limit_s + limits.grace_s)


def _outcome(event: Event) -> Outcome:
    """What it says became of the miner. A success is one, whatever its result says; any other end whose result says
    nothing does not know.
    """
    if event.state == TaskStatus.SUCCEED:
        return Outcome.DONE
    try:
        return Outcome(str((event.result or {}).get("outcome")))
    except ValueError:
        return Outcome.UNKNOWN


def _stamp(event: Event, task: ReportedTask, now: datetime) -> datetime:
    """The agent's time, kept between what we know came before and now: its clock may be wrong."""
    before = [task.created_at, task.handed_at, task.queuing_at, task.pending_at]
    earliest: datetime = max(stamp for stamp in before if stamp is not None)
    return min(max(stated_at(event.at, now), earliest), now)


def _bounded(result: dict[str, Any] | None, limits: ReportLimits) -> dict[str, Any] | None:
    """What is kept of a result: no passwords, and no more than is allowed."""
    if result is None:
        return None
    result = hidden(result)
    for key, inner in (("evidence", "told"), ("error", "message")):
        if (said := result.get(key)) is not None and not isinstance(said, dict):
            result[key] = {inner: said}  # everybody who reads it takes it for an object
    if len(msgspec.json.encode(result)) <= limits.result_bytes:
        return result
    kept: dict[str, Any] = {
        "outcome": str(result.get("outcome"))[:16],
        "verified": result.get("verified") is True,
    }
    error = result.get("error")
    if isinstance(error, dict):
        kept["error"] = {key: str(error.get(key))[:2000] for key in ("code", "message")}
    return kept | {"evidence": {"dropped": f"larger than {limits.result_bytes} bytes"}}


def _keep(
    intake: _Intake,
    task: ReportedTask,
    event: Event,
    journal_id: str,
    digest: str,
    now: datetime,
    cloud_s: float,
    limits: ReportLimits,
) -> None:
    intake.events.append(
        {
            "task_id": event.task_id,
            "epoch": event.epoch,
            "seq": event.seq,
            "journal_id": journal_id,
            "state": event.state,
            "digest": digest,
            "received_cloud_s": cloud_s,
        }
    )
    room = max(0, limits.log_lines - task.log_lines)
    for line in event.logs[:room]:
        task.log_lines += 1
        message = masked_url(line.message.replace("\x00", ""))
        intake.lines.append(
            {
                "task_id": event.task_id,
                "at": min(stated_at(line.at, now), now),
                "level": line.level[:16],
                "message": message[:_MESSAGE_MAX],
            }
        )


async def _tasks(
    connection: AsyncConnection, agent: AgentRow, ids: list[str]
) -> dict[str, ReportedTask]:
    columns = [tasks.c[name] for name in ReportedTask.__struct_fields__]
    found: dict[str, ReportedTask] = {}
    for some in chunks(ids):
        query = sa.select(*columns).where(
            tasks.c.id.in_(some),
            tasks.c.farm_id == agent.farm_id,
            tasks.c.agent_id == agent.id,
        )
        found |= {row.id: row for row in read_rows(ReportedTask, await connection.execute(query))}
    return found


async def _said(connection: AsyncConnection, ids: list[str]) -> dict[tuple[str, int, int], str]:
    said: dict[tuple[str, int, int], str] = {}
    for some in chunks(ids):
        query = sa.select(
            task_events.c.task_id, task_events.c.epoch, task_events.c.seq, task_events.c.digest
        ).where(task_events.c.task_id.in_(some))
        for row in (await connection.execute(query)).all():
            said[(row.task_id, row.epoch, row.seq)] = row.digest
    return said


async def _store(connection: AsyncConnection, intake: _Intake) -> None:
    if intake.changed:
        update = (
            tasks.update()
            .where(tasks.c.id == sa.bindparam("b_id"))
            .values({name: sa.bindparam(f"b_{name}") for name in _UPDATED})
        )
        values = [
            {"b_id": task.id} | {f"b_{name}": getattr(task, name) for name in _UPDATED}
            for task in intake.changed.values()
        ]
        await connection.execute(update, values)
    if intake.events:
        await connection.execute(task_events.insert(), intake.events)
    if intake.lines:
        await connection.execute(task_logs.insert(), intake.lines)


async def _raise_seq(connection: AsyncConnection, agent: AgentRow, report: ReportRequest) -> None:
    """Keep the highest event number heard of this journal; the agent sees by it that our database was put back. One
    that acknowledged more than it knows of was: its number stands still until what it has lost is told again.
    """
    heard = max((event.seq for event in report.events), default=0)
    await connection.execute(
        agents.update()
        .where(agents.c.id == agent.id, agents.c.journal_id == report.journal_id)
        .where(agents.c.last_seq < heard, agents.c.last_seq >= report.told_seq)
        .values(last_seq=heard)
    )


def _digest(event: Event) -> str:
    begun = () if event.begin_id is None else (event.begin_id,)
    said = msgspec.json.encode([event.state, event.result, *begun], order="deterministic")
    return hashlib.sha256(said).hexdigest()
