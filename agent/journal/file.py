"""The journal's file on a disk that may fill up, fail, or be tampered with: opened, healed, started over, put back.

Used by one thread only.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

import structlog

from agent.journal.disk import (
    Ballast,
    Presence,
    Trouble,
    is_damage,
    set_aside,
    trouble_of,
)
from agent.journal.migrations import NEWEST
from agent.journal.schema import migrate, open_database, schema_of
from contract.clock import Clock
from service.files import FolderLock, make_private
from service.install.own import is_here_to_stay

BALLAST_BYTES: Final = 4 * 1024 * 1024
_HEAL_S: Final = 1.0  # between two tries to get over trouble
_LOOK_AFTER_S: Final = 30.0  # between two looks at the ballast

log: Any = structlog.get_logger(__name__)


class JournalFile:
    """Base of the writer."""

    journal_id: str = ""
    mishap: str | None = None  # what happened to an earlier file, for the operator

    def __init__(self, path: Path, clock: Clock, *, ballast_bytes: int = BALLAST_BYTES) -> None:
        self._path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._presence: Presence | None = None
        self._trouble: Trouble | None = None
        self._heal_at_mono = float("-inf")
        self._look_at_mono = float("-inf")
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), ballast_bytes)
        self._lock = FolderLock(
            path.with_name(path.name + ".lock"),
            f"Another agent runs on {path.parent}: stop it first",
        )

    @property
    def trouble(self) -> str | None:
        """What is wrong with the disk now, and what to do, in a sentence. Nothing can be begun while there is any."""
        return None if self._trouble is None else self._trouble.value

    # --- for subclasses ---

    def _committed(self, db: sqlite3.Connection) -> None:
        """In the thread, after each commit and each opening of the file."""

    def _tidy(self, db: sqlite3.Connection) -> None:
        """Drop what is no longer needed."""

    # --- trouble ---

    def _database(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the journal is away")
        return self._db

    def _fell(self, error: sqlite3.Error | OSError) -> None:
        """Deal with an error of the disk: afterwards the journal is usable for what must be written, or away."""
        self._roll_back()
        if is_damage(error):
            self._start_anew(error)
            return
        self._enter(trouble_of(error), error)
        if self._trouble is Trouble.FULL:
            if self._ballast.free():
                log.warning("journal.ballast_freed")
        elif self._db is not None and self._presence is not None and self._presence.intact():
            # An open connection may keep a broken state; but a deleted file lives on only in it.
            self._db.close()
            self._db = None

    def _roll_back(self) -> None:
        if self._db is not None and self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error as error:
                log.warning("journal.rollback_failed", error=str(error))

    def _enter(self, trouble: Trouble, error: BaseException) -> None:
        if self._trouble is not trouble:
            log.error(
                "journal.trouble", trouble=trouble.name.lower(), error=str(error), fix=trouble.value
            )
        self._trouble = trouble
        self._heal_at_mono = self._clock.mono() + _HEAL_S

    def _heal(self) -> None:
        """Open the file if it is not; get back the ballast; then there is no trouble left."""
        if self._db is not None and self._trouble is None:
            return
        if self._trouble is not None and self._clock.mono() < self._heal_at_mono:
            return
        self._heal_at_mono = self._clock.mono() + _HEAL_S
        try:
            if self._db is None:
                self._open_file()
            self._ensure_in_place()
            if not self._ballast.take():
                self._enter(Trouble.FULL, OSError("too little room for the ballast"))
                return
            if self._trouble is not None:
                self._prove_writable()
        except (sqlite3.Error, OSError) as error:
            if is_damage(error):
                self._start_anew(error)
            else:
                self._enter(trouble_of(error), error)
            return
        if self._trouble is not None:
            log.info("journal.recovered", trouble=self._trouble.name.lower())
            self._trouble = None

    def _prove_writable(self) -> None:
        self._database().execute(
            "INSERT INTO meta (key, value) VALUES ('healed', '1') "
            "ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )

    def _look_after(self) -> None:
        """Now and then: see that the ballast is still held, take a step that was put off, drop what is old."""
        now = self._clock.mono()
        if now < self._look_at_mono or self._db is None or self._trouble is not None:
            return
        self._look_at_mono = now + _LOOK_AFTER_S
        try:
            self._ensure_in_place()
            if not self._ballast.take():
                self._enter(Trouble.FULL, OSError("too little room for the ballast"))
            self._step(self._db)
            self._tidy(self._db)
        except (sqlite3.Error, OSError) as error:
            self._fell(error)

    def _open_file(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take()
        db, self.journal_id = open_database(self._path, may_step=self._may_step())
        self._db = db
        self._committed(db)
        self._presence = Presence(self._path)

    def _may_step(self) -> bool:
        """Whether the tables may become such as the release before could not read."""
        return is_here_to_stay()

    def _step(self, db: sqlite3.Connection) -> None:
        """What was left for when this release is proven. An update ends without another start, and what the next one
        may do depends on how far the journal is.
        """
        if schema_of(db) < NEWEST and self._may_step():
            migrate(db)
            log.info("journal.brought_forward", version=NEWEST)

    def _start_anew(self, error: BaseException) -> None:
        """Move a damaged file aside and begin another, with another id."""
        if self._db is not None:
            self._db.close()
            self._db = None
        try:
            aside = set_aside(self._path, self._clock.now(), "damaged")
            self._open_file()
        except (sqlite3.Error, OSError) as again:
            self._enter(trouble_of(again), again)
            return
        self.mishap = f"The journal was damaged and is kept as {aside.name}; a new one was begun. Check the disk."
        log.error("journal.damaged", error=str(error), kept_as=aside.name, journal=self.journal_id)

    def _ensure_in_place(self) -> None:
        """Put the file back where somebody deleted or replaced it: the open connection still holds all of it.

        Raises sqlite3.Error or OSError when that is not possible.
        """
        if self._presence is None or self._presence.intact():
            return
        held = self._database()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy = self._path.with_name(self._path.name + ".restore")
        copy.unlink(missing_ok=True)
        make_private(copy)
        target = sqlite3.connect(copy)
        try:
            held.backup(target)
        finally:
            target.close()
        held.close()  # first: closing removes companions by name, also those of a new file
        self._db = None
        if self._path.exists():
            set_aside(self._path, self._clock.now(), "foreign")
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        copy.replace(self._path)
        self._open_file()
        self.mishap = (
            "The journal's file was deleted or replaced under the running agent; it was put back."
        )
        log.error("journal.put_back", journal=self.journal_id)
