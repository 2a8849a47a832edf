"""One task as the journal holds it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any, Final

import msgspec

from agent.journal.plan import AnyPlan, read_plan
from agent.journal.states import State
from contract.clock import BootTime, from_text, to_text
from contract.link import MinerRef
from contract.task import TaskName, TaskStatus

CLOUD: Final = "cloud"


class QueueLife(msgspec.Struct, frozen=True, kw_only=True):
    """How long a task may wait to be begun, and since when, on the clock that nobody sets."""

    seconds: float
    since: BootTime


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row. There is one per task id for ever: a task handed out again keeps its row and only raises `epoch`, which
    is what makes "at most once" true.
    """

    task_id: str
    epoch: int
    name: str  # a TaskName, unless it was refused for its name
    params: dict[str, Any]
    accepted_at: datetime
    expires_at: datetime  # of its queue life, on the wall
    limit_s: float  # execution limit, counted from intent
    miner: MinerRef | None = None
    batch_id: str | None = None
    origin: str = CLOUD  # who wished for it: the cloud, or somebody on site
    state: State = State.ACCEPTED
    status: TaskStatus | None = None  # once settled
    intent_at: datetime | None = None
    settled_at: datetime | None = None
    plan: AnyPlan | None = None
    notes: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    queue_life: QueueLife | None = None  # a row of an older version has none
    untold: str | None = None  # reported no more, though the cloud never took its outcome: why

    @property
    def from_cloud(self) -> bool:
        """Whether the cloud handed it out: it needs a lease, and the cloud may hand it out again. What arose on site is
        ours alone; the cloud is told of it all the same.
        """
        return self.origin == CLOUD


INSERT: Final = """
    INSERT INTO tasks (
        task_id, epoch, name, params, accepted_at, expires_at, limit_s, miner, batch_id, origin, state, status,
        intent_at, settled_at, plan, notes, result, queue_life
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def to_row(record: TaskRecord) -> tuple[Any, ...]:
    """In the order of INSERT."""
    return (
        record.task_id,
        record.epoch,
        str(record.name),
        dump(record.params),
        to_text(record.accepted_at),
        to_text(record.expires_at),
        float(record.limit_s),
        None if record.miner is None else dump(record.miner),
        record.batch_id,
        record.origin,
        record.state.value,
        None if record.status is None else record.status.value,
        None if record.intent_at is None else to_text(record.intent_at),
        None if record.settled_at is None else to_text(record.settled_at),
        None if record.plan is None else dump(record.plan),
        dump(record.notes),
        None if record.result is None else dump(record.result),
        None if record.queue_life is None else dump(record.queue_life),
    )


def from_row(row: sqlite3.Row) -> TaskRecord:
    """The inverse. Raises ValueError (msgspec's errors are such) for a row nobody of us wrote."""
    return TaskRecord(
        task_id=row["task_id"],
        epoch=row["epoch"],
        name=TaskName(row["name"]),
        params=msgspec.json.decode(row["params"], type=dict[str, Any]),
        accepted_at=from_text(row["accepted_at"]),
        expires_at=from_text(row["expires_at"]),
        limit_s=row["limit_s"],
        miner=None if row["miner"] is None else msgspec.json.decode(row["miner"], type=MinerRef),
        batch_id=row["batch_id"],
        origin=row["origin"],
        state=State(row["state"]),
        status=None if row["status"] is None else TaskStatus(row["status"]),
        intent_at=None if row["intent_at"] is None else from_text(row["intent_at"]),
        settled_at=None if row["settled_at"] is None else from_text(row["settled_at"]),
        plan=read_plan(TaskName(row["name"]), row["plan"]),
        notes=msgspec.json.decode(row["notes"], type=dict[str, Any]),
        result=None
        if row["result"] is None
        else msgspec.json.decode(row["result"], type=dict[str, Any]),
        queue_life=None
        if row["queue_life"] is None
        else msgspec.json.decode(row["queue_life"], type=QueueLife),
        untold=row["untold"],
    )


def dump(value: Any) -> str:
    """JSON text of plain values and of the structs of ours."""
    return msgspec.json.encode(value).decode()
