"""What the journal's verbs do to its tables. All of it runs in the writer's thread, inside one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from agent.journal.plan import AnyPlan
from agent.journal.record import INSERT, TaskRecord, dump, to_row
from agent.journal.reported import mark_reported
from agent.journal.settlement import Settlement, failed
from agent.journal.states import State, check_move, nonce_status
from contract.clock import BootTime, to_text
from contract.errors import ErrorCode, StorageFullError
from contract.hiding import hidden
from contract.link import LogLine
from contract.outcome import Outcome
from contract.task import TaskStatus
from drivers.watch import intent_notes


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A task that came in; `refusal` where it is settled at once (bad parameters)."""

    record: TaskRecord
    refusal: Settlement | None = None


class StepAck(msgspec.Struct, frozen=True, kw_only=True):
    """One event the cloud needs to hear no more; `untold` says why, where it never took it."""

    seq: int
    epoch: int
    untold: str | None = None


class Steps:
    """Moves of tasks, each with its event."""

    def _accept(self, db: sqlite3.Connection, arrival: Arrival, at: datetime) -> bool:
        record = arrival.record
        row = db.execute(
            "SELECT epoch, state FROM tasks WHERE task_id = ?", (record.task_id,)
        ).fetchone()
        if row is not None:
            state = State(row["state"])
            # A cloud that asks again for what it has acknowledged has lost it: it is told again.
            if record.epoch > row["epoch"] or state is State.REPORTED:
                db.execute(
                    "UPDATE tasks SET epoch = max(epoch, ?), expires_at = ?, queue_life = ? "
                    "WHERE task_id = ?",
                    (
                        record.epoch,
                        to_text(record.expires_at),
                        None if record.queue_life is None else dump(record.queue_life),
                        record.task_id,
                    ),
                )
                self._tell_again(db, record.task_id, at)
            return False
        self._insert(db, record)
        if arrival.refusal is not None:
            self._settle(db, record, arrival.refusal, at, ())
            return False
        logs = () if record.from_cloud else (_arose(record, at),)
        self._emit(db, record.task_id, TaskStatus.QUEUING, at, logs, terminal=False)
        return True

    def _tell_again(self, db: sqlite3.Connection, task_id: str, at: datetime) -> None:
        """What became of it here is what counts: it is told once more, under the epoch it has now. An outcome after the
        beginning that it is the outcome of.
        """
        row = db.execute(
            "SELECT state, status, begin_id FROM tasks WHERE task_id = ?", (task_id,)
        ).fetchone()
        state = State(row["state"])
        if state is State.REPORTED:
            state = State.SETTLED
            db.execute(
                "UPDATE tasks SET state = ?, untold = NULL, told_seq = NULL WHERE task_id = ?",
                (state.value, task_id),
            )
        ended = state is State.SETTLED
        unsent = db.execute(
            "SELECT count(*) FROM outbox WHERE task_id = ? AND terminal >= ?", (task_id, int(ended))
        ).fetchone()[0]
        if unsent:
            return
        if ended and row["begin_id"] is not None:
            self._emit(db, task_id, TaskStatus.PENDING, at, (), terminal=False)
        word = nonce_status(state, None if row["status"] is None else TaskStatus(row["status"]))
        self._emit(db, task_id, word, at, (), terminal=ended)

    def _ask_again(
        self, db: sqlite3.Connection, task_ids: Sequence[str], at: datetime
    ) -> tuple[str, ...]:
        missing = []
        for task_id in task_ids:
            row = db.execute("SELECT 1 FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
            if row is None:
                missing.append(task_id)
            else:
                self._tell_again(db, task_id, at)
        return tuple(missing)

    def _tell_since(self, db: sqlite3.Connection, seq: int, at: datetime) -> int:
        # All at once: what these are told by raises the number that the cloud has heard. They may be as many as rows
        # are kept, and nothing else is written meanwhile: so without a statement for each.
        db.execute(
            "INSERT INTO outbox (task_id, state, at, terminal, logs) "
            "SELECT task_id, word, ?, terminal, ? FROM ("
            "SELECT told_seq, task_id, ? AS word, 0 AS terminal FROM tasks "
            "WHERE told_seq > ? AND begin_id IS NOT NULL UNION ALL "
            "SELECT told_seq, task_id, status, 1 FROM tasks WHERE told_seq > ?"
            ") ORDER BY told_seq, terminal",
            (to_text(at), dump(()), TaskStatus.PENDING.value, seq, seq),
        )
        return db.execute(
            "UPDATE tasks SET state = 'settled', untold = NULL, told_seq = NULL WHERE told_seq > ?",
            (seq,),
        ).rowcount

    def _skip_to(self, db: sqlite3.Connection, seq: int) -> None:
        changed = db.execute(
            "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'outbox'", (seq,)
        )
        if not changed.rowcount:
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (seq,))

    def _insert(self, db: sqlite3.Connection, record: TaskRecord) -> None:
        db.execute(INSERT, to_row(record))

    def _begin(
        self,
        db: sqlite3.Connection,
        task_id: str,
        plan: AnyPlan | None,
        at: datetime,
        logs: Sequence[LogLine],
        *,
        boot: BootTime | None = None,
        begin_id: str | None = None,
    ) -> None:
        row = db.execute("SELECT state FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None:
            raise StorageFullError("The journal was started over under this task; give it again.")
        check_move(State(row["state"]), State.INTENT)
        db.execute(
            "UPDATE tasks SET state = 'intent', intent_at = ?, plan = ?, begin_id = ?, "
            "notes = json_patch(notes, ?) WHERE task_id = ?",
            (
                to_text(at),
                None if plan is None else dump(plan),
                begin_id,
                dump(intent_notes(at, boot)),
                task_id,
            ),
        )
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
        # The journal was started over meanwhile; that it happened must not be lost with the old one.
        if row is None:
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
        # The plan and the passwords in the parameters have served their purpose.
        db.execute(
            "UPDATE tasks SET state = ?, status = ?, settled_at = ?, result = ?, plan = NULL, params = ? "
            "WHERE task_id = ?",
            (
                State.SETTLED.value,
                settlement.status.value,
                to_text(at),
                dump(settlement.result),
                dump(hidden(record.params)),
                record.task_id,
            ),
        )
        self._emit(db, record.task_id, settlement.status, at, logs, terminal=True)

    def _settle_unreadable(
        self, db: sqlite3.Connection, task_ids: Sequence[str], at: datetime
    ) -> None:
        for task_id in task_ids:
            self._settle_one_unreadable(db, task_id, at)

    def _settle_one_unreadable(self, db: sqlite3.Connection, task_id: str, at: datetime) -> None:
        row = db.execute("SELECT state FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        begun = row["state"] == State.INTENT.value
        end = failed(
            ErrorCode.INTERNAL,
            "Another version of the agent left this task, and this one cannot read it. Create it again.",
            outcome=Outcome.UNKNOWN if begun else Outcome.NOT_DONE,
        )
        db.execute(
            "UPDATE tasks SET state = ?, status = ?, settled_at = ?, result = ? WHERE task_id = ?",
            (
                State.SETTLED.value,
                end.status.value,
                to_text(at),
                dump(end.result),
                task_id,
            ),
        )
        self._emit(db, task_id, end.status, at, (), terminal=True)

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

    def _acknowledge(self, db: sqlite3.Connection, acks: Sequence[StepAck], now_s: float) -> None:
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
                mark_reported(
                    db,
                    row["task_id"],
                    now_s,
                    untold=ack.untold,
                    told_seq=None if ack.untold else ack.seq,
                )


def _arose(record: TaskRecord, at: datetime) -> LogLine:
    message = f"Wished for on site, by {record.origin}; no cloud created it."
    return LogLine(at=to_text(at), level="info", message=message)
