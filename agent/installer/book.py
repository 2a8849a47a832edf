"""What the installer remembers: the step it is at, which is on the disk before it is taken, and how updates ended."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog

from contract.clock import Clock, to_text
from release.handover import (
    OUTCOMES,
    OUTCOMES_KEPT,
    PROGRESS,
    ReleaseIdentity,
    UpdateOutcome,
    UpdateProgress,
)
from service.disk import Disk
from service.files import write_whole

_FOR_ALL: Final = 0o644
_T = TypeVar("_T")
log: Any = structlog.get_logger(__name__)


class UpdateStep(StrEnum):
    """What is done, or, from `FLIPPED` on, what is being done. The next release reads these words, too."""

    TAKEN = "taken"
    VERIFIED = "verified"
    INSTALLED = "installed"
    SELF_TESTED = "self_tested"
    FLIPPED = "flipped"
    PROVEN = "proven"
    GOING_BACK = "going_back"
    ENDED = "ended"


class UpdateRecord(UpdateProgress, frozen=True, kw_only=True):
    """The update that is in progress, as far as it has come."""

    step: UpdateStep
    bundle_sha256: str
    before: ReleaseIdentity | None = None
    after: ReleaseIdentity | None = None  # the release that is tried, since it stands there
    is_made: bool = False  # whether what stands in its place was put there by us
    tries: int = 0  # how often it was begun to be watched
    reason: str = ""  # why it goes back
    message: str = ""
    log: tuple[str, ...] = ()
    outcome: UpdateOutcome | None = None  # of `ENDED`


class OddRecordError(Exception):
    """Something is in progress, and what is written of it is nothing that we understand."""


class UpdateBook:
    """The two files in the installer's folder. Every method raises OSError: what a disk does not give now is there all
    the same, and nothing may begin as if it were not.
    """

    def __init__(self, folder: Path, disk: Disk, clock: Clock) -> None:
        self._folder = folder
        self._disk = disk
        self._clock = clock

    def record(self) -> UpdateRecord | None:
        """`None` where nothing is in progress. Raises OddRecordError."""
        try:
            return _read(self._folder / PROGRESS, UpdateRecord)
        except (msgspec.DecodeError, RecursionError) as error:
            raise OddRecordError(str(error)) from None

    def write(self, record: UpdateRecord, step: UpdateStep, **changed: Any) -> UpdateRecord:
        """Gives the record as it is on the disk now."""
        since = to_text(self._clock.now())
        new = msgspec.structs.replace(record, step=step, since=since, **changed)
        data = msgspec.json.encode(new)
        write_whole(self._folder / PROGRESS, data, mode=_FOR_ALL, disk=self._disk)
        log.info("update.step", task=new.task, version=new.version, step=str(step))
        return new

    def outcomes(self) -> tuple[UpdateOutcome, ...]:
        """The newest last; none where what is written is nothing that we understand."""
        try:
            return _read(self._folder / OUTCOMES, tuple[UpdateOutcome, ...]) or ()
        except (msgspec.DecodeError, RecursionError) as error:
            log.error("update.unreadable", file=OUTCOMES, error=str(error))
            return ()

    def has_ended(self, task: str) -> bool:
        return any(each.task == task for each in self.outcomes())

    def end(self, outcome: UpdateOutcome) -> None:
        """A task ends once: what was said of it first is what stays."""
        if not self.has_ended(outcome.task):
            kept = (*self.outcomes(), outcome)[-OUTCOMES_KEPT:]
            data = msgspec.json.encode(kept)
            write_whole(self._folder / OUTCOMES, data, mode=_FOR_ALL, disk=self._disk)
            log.info(
                "update.ended",
                task=outcome.task,
                verdict=outcome.verdict,
                reason=outcome.reason,
                message=outcome.message,
            )

    def clear(self) -> None:
        """Nothing is in progress any more."""
        self._disk.unlink(self._folder / PROGRESS)
        self._disk.sync(self._folder)


def _read(path: Path, kind: type[_T]) -> _T | None:
    """What is in a file of ours; `None` where there is none. Raises msgspec.DecodeError, RecursionError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
