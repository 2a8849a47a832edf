"""The one thread that touches the journal's file: it commits in groups, and answers when they are durable."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from agent.journal.file import BALLAST_BYTES, JournalFile
from agent.journal.schema import JournalVersionError
from contract.clock import Clock
from contract.errors import StorageFullError
from service.files import FolderLockedError

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_BEAT_S: Final = 0.5  # the longest an idle thread sleeps, so that it can be seen alive
_BATCH: Final = 1024

log: Any = structlog.get_logger(__name__)


class Need(Enum):
    """What becomes of a job while the disk fails."""

    LOOK = "look"  # reads; fails with StorageFullError only when the file cannot be read
    BEGIN = "begin"  # starts something new: fails at once with StorageFullError
    MUST = "must"  # ends what was begun: waits until it is durable


@dataclass(slots=True, eq=False)
class Job:
    """One piece of work for the thread, and who waits for it."""

    work: Work[Any]
    need: Need
    future: asyncio.Future[Any]
    answer: Any = None
    error: BaseException | None = None
    answered: bool = False  # its answer is on its way and stays as it is


class _Stop:
    """Asks the thread to end."""


class Writer(JournalFile):
    """Base of the journal. Everything queued while one commit runs is the next commit: nobody waits for company."""

    heartbeat_mono: float  # last turn of the thread

    def __init__(self, path: Path, clock: Clock, *, ballast_bytes: int = BALLAST_BYTES) -> None:
        super().__init__(path, clock, ballast_bytes=ballast_bytes)
        self._queue: queue.SimpleQueue[Job | _Stop] = queue.SimpleQueue()
        self._kept: list[Job] = []  # MUST jobs that no disk took yet
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fatal: Exception | None = None
        self.heartbeat_mono = clock.mono()
        self.outbox_grew = asyncio.Event()

    async def open(self) -> None:
        """Start the thread and wait until the file is usable, however long the disk takes to come back. Does nothing
        more when it is open. Raises FolderLockedError or JournalVersionError.
        """
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._turns, name="journal", daemon=True)
            self._thread.start()
        await self._submit(lambda _: None, Need.MUST)

    async def close(self) -> None:
        """Commit what is queued, close the file, let another agent in."""
        if self._thread is None:
            return
        self._queue.put(_Stop())
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._thread = None

    # --- for the verbs ---

    def _submit(self, work: Work[T], need: Need) -> asyncio.Future[T]:
        """Queue a job; the future holds its answer once it is durable."""
        if self._loop is None or self._thread is None or self._fatal is not None:
            raise self._fatal or RuntimeError("the journal is not open")
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(Job(work, need, future))
        return future

    def _commit(self, batch: Sequence[Job]) -> None:
        """Make one group of jobs durable in one transaction. The single place where the journal changes.

        An error of one job undoes that job alone. Raises sqlite3.Error or OSError when the disk would not.
        """
        self._ensure_in_place()
        db = self._database()
        db.execute("BEGIN IMMEDIATE")
        for job in batch:
            self._carry_out(db, job)
        db.execute("COMMIT")
        # A file deleted in between took the commit with it; what the connection still holds is put back.
        self._ensure_in_place()
        self._committed(self._database())

    # --- the thread ---

    def _turns(self) -> None:
        stop: _Stop | None = None
        while stop is None:
            batch, stop = self._gather()
            self.heartbeat_mono = self._clock.mono()
            try:
                self._turn(batch)
            except (FolderLockedError, JournalVersionError) as error:
                self._fatal = error
                self._settle_all([*self._kept, *batch], error)
                break
            except Exception as error:
                # Our bug: it is told to whoever waits, and the thread lives on.
                log.exception("journal.turn_failed")
                self._roll_back()
                self._settle_all([job for job in batch if job.need is not Need.MUST], error)
        self._settle_all(
            self._kept, StorageFullError("The agent stopped before the disk came back.")
        )
        if self._db is not None:
            self._db.close()
            self._db = None
        self._lock.release()

    def _gather(self) -> tuple[list[Job], _Stop | None]:
        batch: list[Job] = []
        try:
            item = self._queue.get(timeout=_BEAT_S)
            while True:
                if isinstance(item, _Stop):
                    return batch, item
                batch.append(item)
                if len(batch) >= _BATCH:
                    return batch, None
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, None

    def _turn(self, batch: list[Job]) -> None:
        looks = [job for job in batch if job.need is Need.LOOK]
        begins = [job for job in batch if job.need is Need.BEGIN]
        # Kept until they are answered, whatever goes wrong in between.
        self._kept += [job for job in batch if job.need is Need.MUST]
        self._heal()
        musts = self._kept
        if self._trouble is not None:
            self._refuse(begins)
            begins = []
        writes = [
            job for job in [*musts, *begins] if not job.future.cancelled() or job.need is Need.MUST
        ]
        if writes and self._write(writes, musts, begins):
            self._kept = []
            self._answer(writes)
        for job in looks:
            self._look(job)
        self._answer(looks)
        self._look_after()

    def _write(self, writes: list[Job], musts: list[Job], begins: list[Job]) -> bool:
        if self._db is None:
            self._refuse(begins)
            return False
        try:
            self._commit(writes)
        except (sqlite3.Error, OSError) as error:
            self._fell(error)
            self._refuse(begins)
            if musts:
                self._once_more(musts)
            return False
        return True

    def _once_more(self, musts: list[Job]) -> None:
        if self._db is None:
            return
        try:
            self._commit(musts)
        except (sqlite3.Error, OSError) as error:
            self._fell(error)
            return
        self._kept = []
        self._answer(musts)

    def _carry_out(self, db: sqlite3.Connection, job: Job) -> None:
        job.answer = job.error = None  # of a commit that did not come about
        db.execute("SAVEPOINT job")
        try:
            job.answer = job.work(db)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError) as error:
            job.error = error  # a bug of ours, not of the disk
        except (sqlite3.Error, OSError):
            raise
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            job.error = error
        if job.error is not None:
            db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")

    def _look(self, job: Job) -> None:
        if self._db is None:
            job.error = StorageFullError(self.trouble or "The journal cannot be read.")
            return
        try:
            job.answer = job.work(self._db)
        except (sqlite3.Error, OSError) as error:
            self._fell(error)
            job.error = StorageFullError(
                self.trouble or "The journal was damaged and started over."
            )
        except Exception as error:  # noqa: BLE001  whoever waits gets it
            job.error = error

    # --- answers ---

    def _refuse(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.error = StorageFullError(
                self.trouble or "The journal was damaged and started over; give the task again."
            )
        self._answer(jobs)

    def _settle_all(self, jobs: list[Job], error: BaseException) -> None:
        left = [job for job in jobs if not job.answered]
        for job in left:
            job.error = error
        self._answer(left)

    def _answer(self, jobs: list[Job]) -> None:
        if not jobs or self._loop is None:
            return
        for job in jobs:
            job.answered = True
        try:
            self._loop.call_soon_threadsafe(self._resolve, list(jobs))
        except RuntimeError:  # the loop is gone; nobody waits any more
            log.warning("journal.nobody_waits", jobs=len(jobs))

    def _resolve(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.future.done():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.answer)
        self._answered()

    def _answered(self) -> None:
        """On the loop, after answers were given."""
