"""Tasks that change nothing: a miner's log, a scan. Free to be redone after a crash."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

import msgspec

from agent.journal import Journal
from agent.journal.settlement import Settlement, from_error, succeeded
from agent.limits.slots import Slots
from agent.link.retry import FIRST_S, retrying
from agent.ports import CloudError, Miners, Scanner, ScanProgress, ScanRow, TaskSource
from agent.scan.report.rows import counts_line, scan_counts, scan_lines, scan_result
from agent.tasks.active import ActiveTask
from agent.tasks.gate import Gate
from contract.clock import Clock
from contract.errors import BadParamsError, CancelledTaskError, RefusedError
from contract.outcome import Outcome
from contract.task import ScanParams
from contract.texts import counted
from drivers.base import Evidence, LogFile

PROGRESS_S: Final = 2.0  # between two progress lines of a scan
UPLOAD_WAIT_S: Final = 15.0
LOCAL_LOGS: Final = 20  # logs fetched on site that are kept
_NOT_FOUND: Final = 404


class LookExecutor:
    """Each method carries out one kind of task whose intent is on disk. Raises MinerError."""

    def __init__(
        self,
        *,
        journal: Journal,
        miners: Miners,
        scanner: Scanner,
        source: TaskSource,
        slots: Slots,
        gate: Gate,
        clock: Clock,
        work: Path,
    ) -> None:
        self._journal = journal
        self._miners = miners
        self._scanner = scanner
        self._source = source
        self._slots = slots
        self._gate = gate
        self._clock = clock
        self._work = work

    async def log(self, task: ActiveTask) -> Settlement:
        """Fetch a miner's log to disk, bring it to the cloud, then say so."""
        miner = task.record.miner
        if miner is None:
            raise BadParamsError("The task names no miner.")
        began_mono = self._clock.mono()
        folder = self._work / task.id
        await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        try:
            async with self._slots.looking():
                driver = await self._miners.driver_for(
                    miner, max_age_s=self._gate.policy.limits.identity_age_s
                )
                file = await driver.get_log(
                    folder, size_cap_bytes=self._gate.policy.limits.log_max_mb * 2**20
                )
            task.log.info(f"{file.name}: {file.size_bytes} bytes from {driver.endpoint.host}")
            if file.truncated:
                task.log.warning("The log was longer than the cap and is cut.")
            if task.record.from_cloud:
                await self._bring(task, file)
                task.log.info("The log was brought to the cloud.")
            else:
                file = await asyncio.to_thread(self._keep, file)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        shown = {
            "name": file.name,
            "size_bytes": file.size_bytes,
            "sha256": file.sha256,
            "truncated": file.truncated,
        }
        if not task.record.from_cloud:
            shown["path"] = file.path
        return succeeded(
            Evidence(
                outcome=Outcome.DONE,
                verified=True,
                before={},
                after={"size_bytes": file.size_bytes, "sha256": file.sha256},
                signal="checksum",
                seconds=self._clock.mono() - began_mono,
            ),
            file=shown,
        )

    async def scan(self, task: ActiveTask) -> Settlement:
        """Look through address ranges; what is found is reported at once, progress with every few seconds. One that is
        cancelled tells what it has found by then.
        """
        assert isinstance(task.params, ScanParams)
        last_mono = began_mono = self._clock.mono()
        has_begun = False  # before, it waits for another scan
        rows: list[ScanRow] = []

        async def progress(now: ScanProgress) -> None:
            nonlocal last_mono, has_begun
            has_begun = True
            rows.extend(now.rows)
            now_mono = self._clock.mono()
            if now_mono - last_mono < PROGRESS_S:
                return
            last_mono = now_mono
            task.log.info(f"{now.done} of {now.total} addresses, {counted(now.found, 'miner')}")
            for line in scan_lines(rows):
                task.log.info(line)
            rows.clear()
            await self._journal.progress(task.id, self._clock.now(), task.log.take())

        try:
            summary = await self._scanner.scan(
                task.params.ranges, progress, manner=task.params.manner, key=task.id
            )
        except asyncio.CancelledError:
            so_far = self._scanner.so_far()
            if not (task.cancel_requested and has_begun) or so_far is None:
                raise
            ended = from_error(CancelledTaskError("Cancelled while it was looking."))
            return msgspec.structs.replace(
                ended, result={**ended.result, "scan": scan_result(so_far)}
            )
        for line in scan_lines(rows):
            task.log.info(line)
        task.log.info(counts_line(summary))
        return succeeded(
            Evidence(
                outcome=Outcome.DONE,
                verified=True,
                before={},
                after=scan_counts(summary),
                signal="scan",
                seconds=self._clock.mono() - began_mono,
            ),
            scan=scan_result(summary),
        )

    async def _bring(self, task: ActiveTask, file: LogFile) -> None:
        """To the cloud, however often the way breaks. Raises RefusedError for a file that the cloud does not take."""
        upload = retrying(self._clock, what="upload", most_s=UPLOAD_WAIT_S, denied_too=True)
        wait_s = FIRST_S
        while True:
            try:
                await upload(self._source.upload, task.id, file)
            except CloudError as error:
                if error.status != _NOT_FOUND:
                    raise RefusedError(f"The cloud does not take the log: {error}") from None
            else:
                return
            # A database put back from a copy creates the task again from the next report.
            task.log.warning(
                "The cloud does not know this task any more: the task is reported again."
            )
            await self._journal.progress(task.id, self._clock.now(), task.log.take())
            await self._clock.sleep(wait_s)
            wait_s = min(2 * wait_s, UPLOAD_WAIT_S)

    def _keep(self, file: LogFile) -> LogFile:
        """A log asked for on site stays on disk, the latest few: by number, since the clock on the wall may be set."""
        kept = self._work.parent / "logs"
        kept.mkdir(mode=0o700, exist_ok=True)
        before = sorted(kept.iterdir(), key=lambda each: (_number(each), each.name))
        number = _number(before[-1]) + 1 if before else 1
        target = kept / f"{number:06d}-{self._clock.now():%Y%m%dT%H%M%S}-{Path(file.name).name}"
        shutil.move(file.path, target)
        for old in [*before, target][:-LOCAL_LOGS]:
            old.unlink(missing_ok=True)
        return msgspec.structs.replace(file, path=str(target))


def _number(log: Path) -> int:
    """0 for what an older version left."""
    number = log.name.partition("-")[0]
    return int(number) if number.isdecimal() else 0
