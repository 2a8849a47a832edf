"""The journal: one row per task, moved from state to state, and the outbox of events in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.journal.record import CLOUD, INSERT, TaskRecord, dump, from_row, to_row
from agent.journal.writer import BALLAST_BYTES, Need, Writer
from agent.settlement import Settlement
from agent.states import State, check_move, nonce_status
from contract.clock import Clock, to_text
from contract.errors import StorageFullError
from contract.link import Event, LogLine, OpenTask
from contract.task import TaskStatus
from drivers.base import Plan

KEEP_DAYS: Final = 30
KEEP_ROWS: Final = 100_000
_TIDY_ROWS: Final = 2000  # per turn, so that no commit waits long


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A task that came in; `refusal` where it is settled at once (bad parameters)."""

    record: TaskRecord
    refusal: Settlement | None = None


class StepAck(msgspec.Struct, frozen=True, kw_only=True):
    """One event the cloud needs to hear no more."""

    seq: int
    epoch: int


class Journal(Writer):
    """All methods wait until what they did is on disk, and leave the loop free meanwhile."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        ballast_bytes: int = BALLAST_BYTES,
        keep_days: float = KEEP_DAYS,
        keep_rows: int = KEEP_ROWS,
    ) -> None:
        super().__init__(path, clock, ballast_bytes=ballast_bytes)
        self._keep = timedelta(days=keep_days)
        self._keep_rows = keep_rows
        self._events = 0
        self.last_seq = 0  # the last event number that is durable

    # --- moves ---

    async def accept(self, arrivals: Sequence[Arrival], at: datetime) -> tuple[TaskRecord, ...]:
        """Remember tasks handed out by the cloud; gives those that are new and are to be carried out.

        What is known already is not taken twice: under the same epoch it is ignored (unless it is over and done with:
        then its end is reported again), under a higher one its row only learns the epoch and what is known of it is
        reported again. Raises StorageFullError: then none was taken.
        """
        return await self._submit(
            lambda db: tuple(each.record for each in arrivals if self._accept(db, each, at)),
            Need.BEGIN,
        )

    async def begin(
        self, task_id: str, plan: Plan | None, at: datetime, logs: Sequence[LogLine] = ()
    ) -> None:
        """To intent, with the evidence seen before. Raises StorageFullError: then nothing may be sent."""
        await self._submit(lambda db: self._begin(db, task_id, plan, at, logs), Need.BEGIN)

    async def begin_again(self, task_id: str, plan: Plan) -> None:
        """A setting found half done after a crash has a new plan; its intent keeps its time.

        Raises StorageFullError.
        """

        def work(db: sqlite3.Connection) -> None:
            changed = db.execute(
                "UPDATE tasks SET plan = ? WHERE task_id = ? AND state = 'intent'",
                (dump(plan), task_id),
            )
            _must_change(changed)

        await self._submit(work, Need.BEGIN)

    async def note(self, task_id: str, key: str, value: Any) -> None:
        """Keep a fact that matters for the proof of a task in intent."""
        await self._submit(
            lambda db: (
                db.execute(
                    "UPDATE tasks SET notes = json_set(notes, '$.' || ?, json(?)) WHERE task_id = ?",
                    (dump(key), dump(value), task_id),
                ).rowcount
            ),
            Need.MUST,
        )

    async def progress(self, task_id: str, at: datetime, logs: Sequence[LogLine]) -> None:
        """Log lines of a task in intent, reported ahead of its end."""
        await self._submit(
            lambda db: self._emit(db, task_id, TaskStatus.PENDING, at, logs, terminal=False),
            Need.MUST,
        )

    async def settle(
        self,
        record: TaskRecord,
        settlement: Settlement,
        at: datetime,
        logs: Sequence[LogLine] = (),
        *,
        intent_at: datetime | None = None,
    ) -> None:
        """To settled, with the report of it. `intent_at`: its execution began then and was not written down yet, since
        there was nothing to send. A task that is settled already stays as it is.
        """
        await self._submit(
            lambda db: self._settle(db, record, settlement, at, logs, intent_at=intent_at),
            Need.MUST,
        )

    async def acknowledge(self, acks: Sequence[StepAck]) -> None:
        """The cloud has taken these events: settled -> reported where it was the last of a task."""
        await self._submit(lambda db: self._acknowledge(db, acks), Need.MUST)

    # --- looks ---

    async def unfinished(self) -> tuple[TaskRecord, ...]:
        """Tasks accepted or in intent, the oldest first."""
        return await self._submit(
            lambda db: tuple(
                from_row(row)
                for row in db.execute(
                    "SELECT * FROM tasks WHERE state IN ('accepted', 'intent') "
                    "ORDER BY accepted_at, rowid"
                )
            ),
            Need.LOOK,
        )

    async def open_tasks(self) -> tuple[OpenTask, ...]:
        """All the cloud gave us that it has not seen ended."""
        return await self._submit(
            lambda db: tuple(
                OpenTask(task_id=row[0], epoch=row[1])
                for row in db.execute(
                    "SELECT task_id, epoch FROM tasks WHERE state <> 'reported' AND origin = ?",
                    (CLOUD,),
                )
            ),
            Need.LOOK,
        )

    async def find(self, task_id: str) -> TaskRecord | None:
        """One task."""

        def work(db: sqlite3.Connection) -> TaskRecord | None:
            row = db.execute("SELECT * FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
            return None if row is None else from_row(row)

        return await self._submit(work, Need.LOOK)

    async def outbox(self, most: int, most_bytes: int) -> tuple[Event, ...]:
        """The oldest events not yet acknowledged; at least one if there is any."""
        return await self._submit(lambda db: _read_outbox(db, most, most_bytes), Need.LOOK)

    async def depth(self) -> int:
        """How many events wait to be reported."""
        return await self._submit(
            lambda db: int(db.execute("SELECT count(*) FROM outbox").fetchone()[0]), Need.LOOK
        )

    # --- in the thread ---

    def _accept(self, db: sqlite3.Connection, arrival: Arrival, at: datetime) -> bool:
        record = arrival.record
        row = db.execute(
            "SELECT epoch, state, status FROM tasks WHERE task_id = ?", (record.task_id,)
        ).fetchone()
        if row is not None:
            state = State(row["state"])
            # A cloud that asks again for what it has acknowledged has lost it: it is told again.
            forgot = record.epoch == row["epoch"] and state is State.REPORTED
            if record.epoch > row["epoch"] or forgot:
                self._tell_again(db, record, state, row["status"], at)
            return False
        self._insert(db, record)
        if arrival.refusal is not None:
            self._settle(db, record, arrival.refusal, at, ())
            return False
        if record.reports:
            self._emit(db, record.task_id, TaskStatus.QUEUING, at, (), terminal=False)
        return True

    def _tell_again(
        self,
        db: sqlite3.Connection,
        record: TaskRecord,
        state: State,
        status: str | None,
        at: datetime,
    ) -> None:
        """Handed out again. What became of it here is what counts: it is told again under the new epoch."""
        back = State.SETTLED if state is State.REPORTED else state
        db.execute(
            "UPDATE tasks SET epoch = ?, expires_at = ?, state = ? WHERE task_id = ?",
            (record.epoch, to_text(record.expires_at), back.value, record.task_id),
        )
        ended = back is State.SETTLED
        unsent = db.execute(
            "SELECT count(*) FROM outbox WHERE task_id = ? AND terminal >= ?",
            (record.task_id, int(ended)),
        ).fetchone()[0]
        if not unsent:
            word = nonce_status(back, None if status is None else TaskStatus(status))
            self._emit(db, record.task_id, word, at, (), terminal=ended)

    def _insert(self, db: sqlite3.Connection, record: TaskRecord) -> None:
        db.execute(INSERT, to_row(record))

    def _begin(
        self,
        db: sqlite3.Connection,
        task_id: str,
        plan: Plan | None,
        at: datetime,
        logs: Sequence[LogLine],
    ) -> None:
        row = db.execute("SELECT state, origin FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None:
            raise StorageFullError("The journal was begun anew under this task; give it again.")
        check_move(State(row["state"]), State.INTENT)
        db.execute(
            "UPDATE tasks SET state = 'intent', intent_at = ?, plan = ?, "
            "notes = json_set(notes, '$.intent_at', ?) WHERE task_id = ?",
            (to_text(at), None if plan is None else dump(plan), to_text(at), task_id),
        )
        if row["origin"] == CLOUD:
            self._emit(db, task_id, TaskStatus.PENDING, at, logs, terminal=False)

    def _settle(
        self,
        db: sqlite3.Connection,
        record: TaskRecord,
        settlement: Settlement,
        at: datetime,
        logs: Sequence[LogLine],
        *,
        intent_at: datetime | None = None,
    ) -> None:
        row = db.execute("SELECT state FROM tasks WHERE task_id = ?", (record.task_id,)).fetchone()
        if (
            row is None
        ):  # the journal was begun anew meanwhile; that it happened must not be lost with the old one
            self._insert(db, record)
            state = record.state
        else:
            state = State(row["state"])
        if state in (State.SETTLED, State.REPORTED):
            return
        if intent_at is not None and state is State.ACCEPTED:
            self._begin(db, record.task_id, None, intent_at, ())
            state = State.INTENT
        check_move(state, State.SETTLED)
        after = State.SETTLED if record.reports else State.REPORTED  # nobody to tell: done with
        # The plan and the passwords in the parameters have served their purpose.
        db.execute(
            "UPDATE tasks SET state = ?, status = ?, settled_at = ?, result = ?, plan = NULL, params = ? "
            "WHERE task_id = ?",
            (
                after.value,
                settlement.status.value,
                to_text(at),
                dump(settlement.result),
                dump(_without_passwords(record.params)),
                record.task_id,
            ),
        )
        if record.reports:
            self._emit(db, record.task_id, settlement.status, at, logs, terminal=True)

    def _emit(
        self,
        db: sqlite3.Connection,
        task_id: str,
        word: TaskStatus,
        at: datetime,
        logs: Sequence[LogLine],
        *,
        terminal: bool,
    ) -> None:
        db.execute(
            "INSERT INTO outbox (task_id, state, at, terminal, logs) VALUES (?, ?, ?, ?, ?)",
            (task_id, word.value, to_text(at), int(terminal), dump(tuple(logs))),
        )
        self._events += 1

    def _acknowledge(self, db: sqlite3.Connection, acks: Sequence[StepAck]) -> None:
        for ack in acks:
            row = db.execute(
                "SELECT o.task_id, o.terminal, t.epoch, t.state FROM outbox o "
                "LEFT JOIN tasks t USING (task_id) WHERE o.seq = ?",
                (ack.seq,),
            ).fetchone()
            if row is None or (row["epoch"] is not None and row["epoch"] != ack.epoch):
                continue  # already gone; or handed out again meanwhile, and told again under the new epoch
            db.execute("DELETE FROM outbox WHERE seq = ?", (ack.seq,))
            if row["terminal"] and row["state"] == State.SETTLED.value:
                db.execute(
                    "UPDATE tasks SET state = 'reported' WHERE task_id = ?", (row["task_id"],)
                )

    def _tidy(self, db: sqlite3.Connection) -> None:
        oldest = to_text(self._clock.now() - self._keep)
        db.execute(
            "DELETE FROM tasks WHERE rowid IN (SELECT rowid FROM tasks "
            "WHERE state = 'reported' AND settled_at < ? LIMIT ?)",
            (oldest, _TIDY_ROWS),
        )
        surplus = db.execute("SELECT count(*) FROM tasks").fetchone()[0] - self._keep_rows
        if surplus > 0:
            db.execute(
                "DELETE FROM tasks WHERE rowid IN (SELECT rowid FROM tasks WHERE state = 'reported' "
                "ORDER BY settled_at LIMIT ?)",
                (min(surplus, _TIDY_ROWS),),
            )

    def _committed(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        self.last_seq = int(row[0]) if row else 0

    def _answered(self) -> None:
        if self._events:
            self._events = 0
            self.outbox_grew.set()


def _read_outbox(db: sqlite3.Connection, most: int, most_bytes: int) -> tuple[Event, ...]:
    events: list[Event] = []
    size = 0
    for row in db.execute(
        "SELECT o.seq, o.task_id, t.epoch, o.state, o.at, o.logs, "
        "CASE WHEN o.terminal THEN t.result END AS result "
        "FROM outbox o JOIN tasks t USING (task_id) ORDER BY o.seq LIMIT ?",
        (most,),
    ):
        size += len(row["logs"]) + len(row["result"] or "") + 200
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
            )
        )
    return tuple(events)


def _must_change(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise StorageFullError("The journal was begun anew under this task; give it again.")


def _without_passwords(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_passwords(v) for k, v in value.items() if k != "password"}
    if isinstance(value, list | tuple):
        return [_without_passwords(each) for each in value]
    return value
