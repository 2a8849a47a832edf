"""The journal: one row per task, moved from state to state, and the outbox of events in the same transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import structlog

from agent.config.host import StateSection
from agent.journal.age import age_s
from agent.journal.file import BALLAST_BYTES
from agent.journal.outbox import give_up_oldest, read_outbox
from agent.journal.plan import AnyPlan
from agent.journal.record import TaskRecord, dump, from_row
from agent.journal.reported import drop_reported
from agent.journal.room import make_room
from agent.journal.settlement import Settlement
from agent.journal.steps import Arrival, StepAck, Steps
from agent.journal.writer import Need, Writer
from contract.clock import BootTime, Clock
from contract.errors import StorageFullError
from contract.link import Event, LogLine, OpenTask
from contract.task import TaskStatus

_STATE: Final = StateSection()
KEEP_UNTOLD: Final = 50_000  # events of tasks of the site, while no cloud takes them
# With the condition of its index, without which every row would be looked at.
_TOLD_SEQ: Final = "SELECT coalesce(max(told_seq), 0) FROM tasks WHERE told_seq IS NOT NULL"
_TIDY_ROWS: Final = 2000  # per turn, so that no commit waits long

log: Any = structlog.get_logger(__name__)


class Journal(Steps, Writer):
    """All methods wait until what they did is on disk, and leave the loop free meanwhile."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        ballast_bytes: int = BALLAST_BYTES,
        keep_days: float = _STATE.keep_reported_days,
        keep_rows: int = _STATE.keep_tasks_max,
        keep_bytes: int = _STATE.journal_max_mb * 2**20,
        keep_untold: int = KEEP_UNTOLD,
    ) -> None:
        super().__init__(path, clock, ballast_bytes=ballast_bytes)
        self._keep_s = keep_days * 86_400.0
        self._keep_rows = keep_rows
        self._keep_bytes = keep_bytes
        self._keep_untold = keep_untold
        self.last_seq = 0  # the last event number that is durable
        # Called when a damaged file was set aside and another begun, without what the first one held.
        self.on_new_file: Callable[[], None] = lambda: None
        self._announced_seq = 0
        self._announced_id = ""

    # --- moves ---

    async def accept(self, arrivals: Sequence[Arrival], at: datetime) -> tuple[TaskRecord, ...]:
        """Remember tasks handed out by the cloud; gives those that are new and are to be carried out.

        What is known already is not taken twice: under the same epoch it is ignored (unless it is over and done with:
        then its end is reported again), under a higher one its row only learns the epoch and what is known of it is
        reported again. Raises StorageFullError: then none was taken.
        """

        def work(db: sqlite3.Connection) -> tuple[TaskRecord, ...]:
            make_room(db, self._keep_bytes)
            return tuple(each.record for each in arrivals if self._accept(db, each, at))

        return await self._submit(work, Need.BEGIN)

    async def begin(
        self,
        task_id: str,
        plan: AnyPlan | None,
        at: datetime,
        logs: Sequence[LogLine] = (),
        *,
        boot: BootTime | None = None,
        begin_id: str | None = None,
    ) -> None:
        """To intent, with the evidence seen before; `at` and `boot` are the same moment on two clocks. `begin_id`: of
        what the cloud is asked to grant.

        Raises StorageFullError: then nothing may be sent.
        """
        await self._submit(
            lambda db: self._begin(db, task_id, plan, at, logs, boot=boot, begin_id=begin_id),
            Need.BEGIN,
        )

    async def begin_again(self, task_id: str, plan: AnyPlan) -> None:
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
        await self._submit(
            lambda db: self._acknowledge(db, acks, age_s(db, self._clock.boot())), Need.MUST
        )

    async def tell_again(self, task_ids: Sequence[str]) -> tuple[str, ...]:
        """The cloud asks for these outcomes: they are reported once more. Gives the tasks that no row is left of.

        Raises StorageFullError.
        """
        at = self._clock.now()
        return await self._submit(lambda db: self._ask_again(db, task_ids, at), Need.BEGIN)

    async def tell_since(self, seq: int) -> int:
        """The cloud has lost what it took after the event of that number: outcomes of then are reported once more.
        Gives how many. Raises StorageFullError.
        """
        at = self._clock.now()
        return await self._submit(lambda db: self._tell_since(db, seq, at), Need.BEGIN)

    async def skip_to(self, seq: int) -> None:
        """The journal was put back from a copy, and the cloud knows events of it up to that number: those to come have
        higher ones. Raises StorageFullError.
        """
        await self._submit(lambda db: self._skip_to(db, seq), Need.BEGIN)

    async def told_seq(self) -> int:
        """The highest number under which the cloud has taken an outcome."""
        return await self._submit(
            lambda db: int(db.execute(_TOLD_SEQ).fetchone()[0]),
            Need.LOOK,
        )

    # --- looks ---

    async def unfinished(self) -> tuple[TaskRecord, ...]:
        """Tasks in intent, then those accepted, in the order they came; as they stand when this returns. One that this
        version cannot read is settled on the way. Raises StorageFullError.
        """
        while True:
            readable: list[TaskRecord] = []
            unreadable: list[str] = []
            for row in await self._submit(_unfinished_rows, Need.LOOK):
                try:
                    readable.append(from_row(row))
                except ValueError as error:
                    log.error("journal.unreadable", task=row["task_id"], error=str(error)[:300])
                    unreadable.append(row["task_id"])
            if not unreadable:
                return tuple(readable)
            await self._settle_unread(tuple(unreadable))

    async def _settle_unread(self, task_ids: Sequence[str]) -> None:
        at = self._clock.now()
        await self._submit(lambda db: self._settle_unreadable(db, task_ids, at), Need.MUST)

    async def open_tasks(self) -> tuple[OpenTask, ...]:
        """All that the cloud has not seen ended, what arose on site included (its epoch is ON_SITE)."""
        return await self._submit(
            lambda db: tuple(
                OpenTask(task_id=row[0], epoch=row[1])
                for row in db.execute("SELECT task_id, epoch FROM tasks WHERE state <> 'reported'")
            ),
            Need.LOOK,
        )

    async def find(self, task_id: str) -> TaskRecord | None:
        """One task."""

        def work(db: sqlite3.Connection) -> TaskRecord | None:
            row = db.execute("SELECT * FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
            return None if row is None else from_row(row)

        return await self._submit(work, Need.LOOK)

    async def outbox(
        self,
        most: int,
        most_bytes: int,
        *,
        besides: Collection[int] = (),
        explained: Collection[str] = (),
    ) -> tuple[Event, ...]:
        """The oldest events not yet acknowledged, without those numbered in `besides`; at least one if there is any.
        Those of the tasks `explained` tell what they are.
        """
        left_out, explain = tuple(besides), frozenset(explained)
        return await self._submit(
            lambda db: read_outbox(db, most, most_bytes, left_out, explain), Need.LOOK
        )

    async def unreported(self) -> int:
        """How many tasks ended without the cloud ever taking their outcome, as far back as rows are kept."""
        return await self._submit(
            lambda db: int(
                db.execute("SELECT count(*) FROM tasks WHERE untold IS NOT NULL").fetchone()[0]
            ),
            Need.LOOK,
        )

    async def depth(self) -> int:
        """How many events wait to be reported."""
        return await self._submit(
            lambda db: int(db.execute("SELECT count(*) FROM outbox").fetchone()[0]), Need.LOOK
        )

    # --- in the thread, and after it ---

    def _tidy(self, db: sqlite3.Connection) -> None:
        now_s = age_s(db, self._clock.boot())
        given_up = give_up_oldest(db, self._keep_untold, _TIDY_ROWS, now_s)
        if given_up:
            log.error("journal.untold", events=given_up)
        drop_reported(db, _TIDY_ROWS, before_s=now_s - self._keep_s)
        surplus = db.execute("SELECT count(*) FROM tasks").fetchone()[0] - self._keep_rows
        if surplus > 0:
            drop_reported(db, min(surplus, _TIDY_ROWS))

    def _committed(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        self.last_seq = int(row[0]) if row else 0

    def _answered(self) -> None:
        # By number, not by a flag of the thread's: an event committed just now is never slept over.
        if self.last_seq != self._announced_seq:
            self._announced_seq = self.last_seq
            self.outbox_grew.set()
        if self.journal_id != self._announced_id:
            is_first, self._announced_id = not self._announced_id, self.journal_id
            if not is_first:
                self.on_new_file()


def _unfinished_rows(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute(
        # By row, since the clock on the wall may have been stepped between two tasks.
        "SELECT * FROM tasks WHERE state IN ('accepted', 'intent') ORDER BY state = 'intent' DESC, rowid"
    ).fetchall()


def _must_change(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount != 1:
        raise StorageFullError("The journal was started over under this task; give it again.")
