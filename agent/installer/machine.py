"""An update, step by step. Each step is on the disk before it is taken and may be taken again, so that whatever ends us
between any two of them, the next start goes on from there: to the new release, or back to the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from agent.config.update import UpdateSection
from agent.installer.agentfolder import AgentFolder, OddRequestError
from agent.installer.book import OddRecordError, UpdateBook, UpdateRecord, UpdateStep
from agent.installer.making import NotInstalledError, ReleaseMaker
from agent.installer.places import UpdatePlaces
from agent.installer.selftest import NotFitError
from agent.installer.units import AgentUnits, UnitState
from agent.installer.watch import ReleaseWatch
from contract.clock import Clock, to_text
from release.handover import ReleaseIdentity, UpdateOutcome, UpdateRequest, Verdict
from release.refusals import ReleaseRefusedError
from service.disk import Disk
from service.install.host import HostCommandError
from service.install.release import flip, old_releases, running

# So often the watch may be begun for one release: one that takes the whole host down is given up, too.
TRIES_MOST: Final = 3
_ORDERS_MOST: Final = 16  # of one start; the path unit starts the next one
_OVERTAKEN: Final = "another release was installed meanwhile"
log: Any = structlog.get_logger(__name__)


class UpdateInstaller:
    """The state machine. `trouble` is why no update may begin now, such as a config that cannot be read; one that has
    begun goes on all the same. `self_test` raises NotFitError.
    """

    def __init__(
        self,
        places: UpdatePlaces,
        agent: AgentFolder,
        maker: ReleaseMaker,
        units: AgentUnits,
        self_test: Callable[[str], None],
        disk: Disk,
        clock: Clock,
        limits: UpdateSection,
        *,
        trouble: str | None = None,
    ) -> None:
        self._places = places
        self._agent = agent
        self._maker = maker
        self._units = units
        self._self_test = self_test
        self._disk = disk
        self._clock = clock
        self._trouble = trouble
        self._book = UpdateBook(places.folder, disk, clock)
        self._watch = ReleaseWatch(units, agent.running, clock, limits)

    async def run(self) -> None:
        """To the end of what is in progress, and of what is asked for then. Raises OSError for a disk that does not
        let a step be taken: the next start takes it.
        """
        for _ in range(_ORDERS_MOST):
            record = self._in_progress() or self._taken()
            if record is None:
                return
            while record is not None:
                record = await self._next(record)

    def _in_progress(self) -> UpdateRecord | None:
        try:
            return self._book.record()
        except OddRecordError as error:
            log.error("update.unreadable", error=str(error))
            return self._lost()

    def _lost(self) -> UpdateRecord | None:
        """Nobody knows what was in progress, nor for which task: it is gone back to what is proven, which can go on
        with the journal of what is not. The agent sees by itself what became of its order.
        """
        proven = self._places.identity(self._places.proven)
        current = self._places.identity(self._places.current)
        if proven is None or current == proven:
            self._book.clear()
            return None
        lost = UpdateRecord(
            task="",
            version="" if current is None else current.version,
            step=UpdateStep.GOING_BACK,
            since="",
            bundle_sha256="",
            before=proven,
            after=current,
            reason="unreadable",
            message="was tried, and what was written of it cannot be read",
        )
        return self._book.write(lost, UpdateStep.GOING_BACK)

    async def _next(self, record: UpdateRecord) -> UpdateRecord | None:
        match record.step:
            case UpdateStep.TAKEN | UpdateStep.VERIFIED | UpdateStep.INSTALLED:
                return self._prepared(record)
            case UpdateStep.SELF_TESTED:
                self._maker.clean()  # so that the disk has room for the way back
                return self._book.write(record, UpdateStep.FLIPPED)
            case UpdateStep.FLIPPED:
                return await self._watched(record)
            case UpdateStep.PROVEN:
                return self._proven(record)
            case UpdateStep.GOING_BACK:
                return await self._gone_back(record)
            case UpdateStep.ENDED:
                self._closed(record)
                return None

    def _taken(self) -> UpdateRecord | None:
        """A request that was not answered yet, copied; `None` where there is none."""
        try:
            request = self._agent.request()
        except OddRequestError as error:
            log.warning("update.bad_request", error=str(error))
            return self._bad(error)
        if request is None:
            return None
        if self._book.has_ended(request.task):
            self._agent.drop_request(self._disk)
            return None
        record = self._begun(request)
        try:
            if self._trouble is not None:
                raise NotInstalledError("not_set_up", self._trouble)
            if record.before is None:
                raise NotInstalledError("no_release", "current leads to no release")
            self._maker.take(request, self._agent)
            record = self._book.write(record, UpdateStep.TAKEN)
        except (ReleaseRefusedError, NotInstalledError, OSError) as error:
            record = self._refused(record, error)
        if not self._agent.drop_request(self._disk) and record.step is UpdateStep.TAKEN:
            # The agent took it back while it was copied, and has said so. Who unlinks it has it: nobody else can.
            log.warning("update.withdrawn", task=record.task)
            self._maker.clean()
            self._book.clear()
            return None
        return record

    def _bad(self, error: OddRequestError) -> UpdateRecord | None:
        """What is no request is answered where it names a task."""
        record = None
        if error.task is not None and not self._book.has_ended(error.task):
            nothing = UpdateRequest(task=error.task, version="", sha256="", requested_at="")
            trouble = NotInstalledError("bad_request", str(error))
            record = self._refused(self._begun(nothing), trouble)
        self._agent.drop_request(self._disk)
        return record

    def _begun(self, request: UpdateRequest) -> UpdateRecord:
        return UpdateRecord(
            task=request.task,
            version=request.version,
            step=UpdateStep.TAKEN,
            since="",
            bundle_sha256=request.sha256,
            before=self._places.identity(self._places.current),
        )

    def _prepared(self, record: UpdateRecord) -> UpdateRecord:
        """One step further, with nothing leading to the new release yet."""
        try:
            assert record.before is not None, "it was taken with a release that runs"
            if record.step is UpdateStep.TAKEN:
                self._maker.verify(_request_of(record), record.before)
                return self._book.write(record, UpdateStep.VERIFIED, is_made=True)
            if record.step is UpdateStep.VERIFIED:
                self._maker.install(record.version)
                after = self._places.stamped(record.version)
                return self._book.write(record, UpdateStep.INSTALLED, after=after)
            self._self_test(record.version)
            return self._book.write(record, UpdateStep.SELF_TESTED)
        except NotFitError as error:
            message = f"its self-test says: {error}"
            return self._ended(record, "not_done", "self_test", message, error.log)
        except (ReleaseRefusedError, NotInstalledError, OSError, ValueError) as error:
            return self._refused(record, error)

    async def _watched(self, record: UpdateRecord) -> UpdateRecord:
        """`current` leads to the new release, which is started unless it runs, and watched."""
        after, before = record.after, record.before
        assert after is not None, "it was installed"
        assert before is not None, "it was taken with a release that runs"
        if self._is_overtaken(record):
            return self._ended(record, "not_done", "overtaken", _OVERTAKEN)
        if self._is_proven(record):
            return self._book.write(record, UpdateStep.PROVEN)
        if self._places.stamped(after.version) is None:
            return self._back(record, "gone", "was taken away meanwhile")
        if record.tries >= TRIES_MOST:
            return self._back(record, "interrupted", "was cut off each time that it ran")
        try:
            record = self._book.write(record, UpdateStep.FLIPPED, tries=record.tries + 1)
            if running(self._places.current) != after.version:
                flip(self._places.current, after.version, self._disk)
        except OSError as error:
            return self._back(record, "storage_full", str(error))
        unproven = await self._watch.verdict(
            after,
            self._started(after),
            lambda: self._places.identity(self._places.current) == after,
        )
        if unproven is None:
            return self._book.write(record, UpdateStep.PROVEN)
        if self._is_overtaken(record):
            return self._ended(record, "not_done", "overtaken", _OVERTAKEN)
        lines = self._units.log(unproven.invocation)
        return self._back(record, unproven.reason, unproven.message, lines)

    def _proven(self, record: UpdateRecord) -> UpdateRecord:
        """From here on it is the release that is gone back to, if it is still the one that is led to."""
        found = self._places.identity(self._places.current)
        if found is None:
            return self._back(record, "gone", "was taken away meanwhile")
        if found != record.after:
            return self._ended(record, "not_done", "overtaken", _OVERTAKEN)
        flip(self._places.proven, record.version, self._disk)
        try:
            self._units.try_restart_rig()
        except HostCommandError as error:
            log.warning("update.rig", error=str(error))
        for each in old_releases(self._places.home):
            self._maker.remove(each)
        return self._ended(record, "done", "", f"{record.version} runs, and has proven itself")

    async def _gone_back(self, record: UpdateRecord) -> UpdateRecord:
        """The release before it is started, unless it runs, and the one that failed taken away."""
        before = record.before
        assert before is not None, "it was taken with a release that runs"
        if self._is_overtaken(record):
            return self._ended(record, "not_done", "overtaken", _OVERTAKEN, record.log)
        if self._is_proven(record):
            return self._book.write(record, UpdateStep.PROVEN)
        if running(self._places.current) != before.version:
            try:
                flip(self._places.current, before.version, self._disk)
            except OSError as error:
                log.error("update.link", error=str(error))
                self._maker.shrink(record.version)
                flip(self._places.current, before.version, self._disk)
        self._started(before)
        if await self._watch.until_ready(before):
            what = "runs again"
        elif self._watch.is_stopped():
            what = "is what starts next"
        else:
            what = "was started, and is not ready yet"
        message = f"{record.version} {record.message}; {before.version} {what}"
        return self._ended(record, "not_done", record.reason, message, record.log)

    def _is_overtaken(self, record: UpdateRecord) -> bool:
        """Whether somebody has `current` lead to another release, be it another one of the same version: whoever
        installs by hand vouches for it.
        """
        found = self._places.identity(self._places.current)
        return found not in (None, record.before, record.after)

    def _is_proven(self, record: UpdateRecord) -> bool:
        """Whether it is already, whatever is written: by then its journal may be one that the release before cannot
        read, so that it is never gone back from. So it is where our folder was put back from a copy.
        """
        leads = (
            self._places.identity(self._places.current),
            self._places.identity(self._places.proven),
        )
        return record.after is not None and leads == (record.after, record.after)

    def _started(self, release: ReleaseIdentity) -> UnitState | None:
        """Restart the unit, unless that release runs, or somebody stopped it. Gives the unit before that restart."""
        seen = self._watch.look()
        if self._watch.runs(release) or self._watch.is_stopped():
            return None
        try:
            self._units.restart()
        except HostCommandError as error:
            log.error("update.restart", error=str(error))
        return seen.unit

    def _back(
        self, record: UpdateRecord, reason: str, message: str, lines: tuple[str, ...] = ()
    ) -> UpdateRecord:
        """A disk that takes no word does not keep us from going back."""
        changed: dict[str, Any] = {"reason": reason, "message": message, "log": lines}
        try:
            return self._book.write(record, UpdateStep.GOING_BACK, **changed)
        except OSError as error:
            log.error("update.unwritten", error=str(error))
            return msgspec.structs.replace(record, step=UpdateStep.GOING_BACK, **changed)

    def _refused(self, record: UpdateRecord, error: Exception) -> UpdateRecord:
        reason = getattr(error, "reason", "disk" if isinstance(error, OSError) else "no_version")
        return self._ended(record, "refused", str(reason), str(error))

    def _ended(
        self,
        record: UpdateRecord,
        verdict: Verdict,
        reason: str,
        message: str,
        lines: tuple[str, ...] = (),
    ) -> UpdateRecord:
        """What is said in the end is on the disk before it is said: it is never said in two ways."""
        outcome = UpdateOutcome(
            task=record.task,
            verdict=verdict,
            reason=reason,
            message=message,
            before=record.before,
            after=self._places.identity(self._places.current),
            bundle_sha256=record.bundle_sha256,
            log=lines,
            ended_at=to_text(self._clock.now()),
        )
        try:
            return self._book.write(record, UpdateStep.ENDED, outcome=outcome)
        except OSError:  # the disk is full, may be, and most of it by us
            self._maker.clean()
            return self._book.write(record, UpdateStep.ENDED, outcome=outcome)

    def _closed(self, record: UpdateRecord) -> None:
        if record.outcome is not None and record.task:
            self._book.end(record.outcome)
        in_use = (running(self._places.current), running(self._places.proven))
        if record.is_made and record.version not in in_use:
            self._maker.remove(record.version)
        self._maker.clean()
        self._book.clear()


def _request_of(record: UpdateRecord) -> UpdateRequest:
    return UpdateRequest(
        task=record.task, version=record.version, sha256=record.bundle_sha256, requested_at=""
    )
