"""What is still to be told to the cloud, as it is told: events, and of a task that arose on site what it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
import structlog

from agent.journal.record import CLOUD, dump
from agent.journal.reported import mark_reported
from contract.hiding import hidden
from contract.link import ON_SITE, Arose, Event, LogLine, MinerRef, SiteMiner
from contract.task import TaskName, TaskStatus

_OVERHEAD: Final = 200  # of one event as JSON, beside its longer parts

log: Any = structlog.get_logger(__name__)


def read_outbox(
    db: sqlite3.Connection,
    most: int,
    most_bytes: int,
    left_out: Sequence[int] = (),
    explained: Collection[str] = (),
) -> tuple[Event, ...]:
    """The oldest events, at most so many and about so many bytes; at least one if there is any. Those of the numbers
    `left_out` are passed over. Of tasks that arose on site, and of those `explained`, it is told what they are.
    """
    events: list[Event] = []
    size = 0
    for row in db.execute(
        "SELECT o.seq, o.task_id, t.epoch, o.state, o.at, o.logs, t.origin, t.name, t.params, t.miner, "
        "t.batch_id, t.begin_id, t.accepted_at, CASE WHEN o.terminal THEN t.result END AS result "
        "FROM outbox o JOIN tasks t USING (task_id) "
        "WHERE o.seq NOT IN (SELECT value FROM json_each(?)) ORDER BY o.seq LIMIT ?",
        (dump(left_out), most),
    ):
        is_ours = row["origin"] != CLOUD and row["epoch"] == ON_SITE
        is_told = is_ours or row["task_id"] in explained
        size += len(row["logs"]) + len(row["result"] or "") + _OVERHEAD
        size += len(row["params"]) + len(row["miner"] or "") if is_told else 0
        if events and size > most_bytes:
            break
        events.append(
            Event(
                task_id=row["task_id"],
                epoch=row["epoch"],
                seq=row["seq"],
                state=row["state"],
                at=row["at"],
                result=None
                if row["result"] is None
                else msgspec.json.decode(row["result"], type=dict[str, Any]),
                logs=msgspec.json.decode(row["logs"], type=tuple[LogLine, ...]),
                arose=_arose(row) if is_told else None,
                # A step before the intent (of a task that was taken back and told again) carries none.
                begin_id=row["begin_id"] if row["state"] != TaskStatus.QUEUING else None,
            )
        )
    return tuple(events)


def give_up_oldest(db: sqlite3.Connection, keep: int, at_once: int, now_s: float) -> int:
    """Of what no cloud takes, keep the newest events of tasks that arose on site; gives how many were dropped, at most
    `at_once`. What the cloud handed out is never given up here: it creates no more while it is away, the site does.
    `now_s` is the journal's own time.
    """
    (count,) = db.execute("SELECT count(*) FROM outbox").fetchone()
    if count <= keep:
        return 0
    dropped = db.execute(
        "DELETE FROM outbox WHERE seq IN (SELECT o.seq FROM outbox o JOIN tasks t USING (task_id) "
        "WHERE t.origin <> ? AND t.state = 'settled' ORDER BY o.seq LIMIT ?)",
        (CLOUD, min(count - keep, at_once)),
    ).rowcount
    untold = db.execute(
        "SELECT task_id FROM tasks WHERE state = 'settled' AND origin <> ? "
        "AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.task_id = tasks.task_id AND o.terminal)",
        (CLOUD,),
    ).fetchall()
    for (task_id,) in untold:
        mark_reported(db, task_id, now_s, untold="too many came after it while no cloud took them")
    return dropped


def _arose(row: sqlite3.Row) -> Arose | None:
    """`None` for a row that another version of the agent wrote: it must not hold up all the others."""
    try:
        ref = None if row["miner"] is None else msgspec.json.decode(row["miner"], type=MinerRef)
        return Arose(
            name=TaskName(row["name"]),
            params=hidden(msgspec.json.decode(row["params"], type=dict[str, Any])),
            miner=None if ref is None else _site_miner(ref),
            origin=row["origin"],
            accepted_at=row["accepted_at"],
            batch_id=row["batch_id"],
        )
    except ValueError as error:
        log.error("journal.unreadable", task=row["task_id"], error=str(error)[:300])
        return None


def _site_miner(ref: MinerRef) -> SiteMiner:
    return SiteMiner(
        mac=ref.mac, serial=ref.serial, last_ip=ref.last_ip, make=ref.make, model=ref.model
    )
