"""`act` at many miners: only with the number that is expected, and with the result of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from agent.cli.act import Carrier, DaemonCarrier, Logs, carrying_out_here, opened
from agent.cli.answers import DONE, FAILED, USAGE, Ended
from agent.cli.carried import Carried, ManyReport
from agent.cli.commands import Reach, failure, stopped
from agent.cli.foreground import StoppedError, run
from agent.cli.scans.view import ScanView
from agent.cli.survey import Surveyor, Wanted
from agent.config.file import ConfigError, why
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.local.orders import failed, left_open
from agent.local.progress import telling
from agent.local.socket import LocalRefusedError, LocalRequest, NoDaemonError
from agent.scan.scanner import FarmScanner
from contract.clock import SystemClock
from contract.errors import (
    BadParamsError,
    CancelledTaskError,
    MinerError,
    RefusedError,
    StorageFullError,
)
from contract.expected import ExpectedCount
from contract.task import TaskName, parse_params
from contract.texts import counted
from drivers.base import Driver
from service.limits import raise_open_files

_AT_ONCE: Final = 512  # tasks under way; how many of them write, their own path bounds
# Of logs, which stay where they were fetched to only until as many others were fetched as are kept there.
_LOGS_AT_ONCE: Final = 8
_PHASES_SHOWN: Final = 2


def run_act_many(
    reach: Reach,
    wanted: Wanted,
    name: TaskName,
    params: dict[str, Any],
    logs: Path,
    *,
    expect: ExpectedCount | None,
    dry_run: bool,
    quiet: bool,
) -> Ended:
    """One task at each of the miners at these addresses; how far it is on stderr unless `quiet`. For more addresses
    than one it has to be said how many miners are meant: before that holds, nothing is asked of any.
    """
    set_up(LogSection(level="error"))
    raise_open_files()
    many = _Many(reach, wanted, name, params, Logs(logs, by_address=True), quiet=quiet)
    try:
        report, refusal = run(many.go(expect, dry_run=dry_run))
    except (BadParamsError, ConfigError) as error:
        return failure(error, USAGE)
    except (LocalRefusedError, MinerError) as error:
        return failure(error)
    except OSError as error:
        return failure(f"{error.filename or logs}: {why(error)}")
    except StoppedError as error:
        return stopped(error)
    document, text = report.document(), report.text()
    if refusal is not None:
        code, words = refusal
        return code, {"ok": False, "error": {"message": words}, **document}, f"{text}\n{words}"
    if dry_run:
        text += "; nothing was asked of them"
        return DONE, {"ok": True, "dry_run": True, **document}, text
    return report.code, {"ok": report.code == DONE, **document}, text


class _Many:
    """One task on its way to many miners."""

    def __init__(
        self,
        reach: Reach,
        wanted: Wanted,
        name: TaskName,
        params: dict[str, Any],
        logs: Logs,
        *,
        quiet: bool,
    ) -> None:
        self._reach = reach
        self._wanted = wanted
        self._name = name
        self._params = params
        self._logs = logs
        self._quiet = quiet
        self._clock = SystemClock()
        self._turns = asyncio.Semaphore(_LOGS_AT_ONCE if name is TaskName.LOG else _AT_ONCE)
        self._begun: set[str | None] = set()
        self._ended = 0

    async def go(
        self, expect: ExpectedCount | None, *, dry_run: bool
    ) -> tuple[ManyReport, tuple[int, str] | None]:
        """All of it; or, with the exit code and the sentence, why nothing was asked of any miner."""
        socket = await self._reach.daemon_socket()
        own = self._reach.config.socket_path
        if socket is not None and socket.resolve() != own.resolve():
            # Its miners are to be looked for at its ports, with its passwords.
            raise LocalRefusedError(
                f"the agent of this host ({socket.resolve()}) runs with another config: name that one by --config"
            )
        site = await opened(self._reach, self._wanted.ranges, self._clock)
        parsed = parse_params(self._name, self._params)
        surveyor = Surveyor(self._wanted, self._name, parsed, site, self._reach.in_words)
        view = ScanView(quiet=self._quiet)
        scanner = FarmScanner(
            site.fleet,
            site.territory,
            self._reach.config.scan,
            site.scan_ports,
            self._clock,
            on_hit=surveyor.hit,
        )
        with view:
            await scanner.scan(self._wanted.ranges, view.progress)
        await surveyor.try_logins(
            at_once=self._reach.config.scan.identify_at_once, timeout_s=site.look_timeout_s
        )
        survey = surveyor.sorted(scanner.verdict_at)
        report = ManyReport(name=self._name, survey=survey, duplicates=self._wanted.duplicates)
        refusal = self._refusal(len(survey.miners), expect, dry_run=dry_run)
        if refusal is not None or dry_run:
            return report, refusal
        began_mono = self._clock.mono()
        async with AsyncExitStack() as stack:
            if socket is not None:
                carrier: Carrier = DaemonCarrier(socket, self._logs, self._begun)
            else:
                carrier = await stack.enter_async_context(
                    carrying_out_here(
                        self._reach, site, scanner, self._clock, self._logs, self._begun
                    )
                )
            if self._name is TaskName.LOG:
                self._logs.make()
            carried = await self._carry_out(carrier, survey.miners)
        return ManyReport(
            name=self._name,
            survey=survey,
            duplicates=self._wanted.duplicates,
            carried=carried,
            seconds=self._clock.mono() - began_mono,
        ), None

    def _refusal(
        self, number: int, expect: ExpectedCount | None, *, dry_run: bool
    ) -> tuple[int, str] | None:
        found = f"{counted(number, 'miner')} would be asked"
        if expect is not None and not expect.holds(number):
            return (
                USAGE,
                f"usage: {found}, not {expect} as --expect has it: nothing was asked of any",
            )
        if dry_run:
            return None
        if not number:
            return FAILED, "there is no miner of which it could be asked"
        if expect is None and self._wanted.addresses > 1:
            words = f"usage: {self._wanted.addresses} addresses are named and {found}: if they are all meant, repeat "
            return USAGE, f"{words}with --expect {number}; --dry-run shows who they are"
        return None

    # --- one by one ---

    async def _carry_out(self, carrier: Carrier, miners: tuple[Driver, ...]) -> tuple[Carried, ...]:
        """What became of each. Cancelled, it begins no more, and waits only for what is known by then."""
        jobs = {
            each.endpoint.host: asyncio.create_task(self._one(carrier, each), name="act")
            for each in miners
        }

        def current() -> str:
            phases = Counter(carrier.phases.values()).most_common(_PHASES_SHOWN)
            words = ", ".join(f"{number} {phase}" for phase, number in phases)
            return f"{self._ended} of {counted(len(miners), 'miner')} through; {words}"

        pending = set(jobs.values())
        async with telling(self._clock, current, quiet=self._quiet, patient=True):
            while pending:
                try:
                    _, pending = await asyncio.wait(pending)
                except asyncio.CancelledError:
                    for job in pending:
                        job.cancel()
        return tuple(self._carried(each, jobs[each.endpoint.host]) for each in miners)

    def _carried(self, driver: Driver, job: asyncio.Task[Carried]) -> Carried:
        if not job.cancelled():
            return job.result()
        if driver.endpoint.host not in self._begun:
            return Carried(driver, None)
        return Carried(driver, left_open(None, "Look at the miner before asking for it again."))

    async def _one(self, carrier: Carrier, driver: Driver) -> Carried:
        host = driver.endpoint.host
        request = LocalRequest(
            name=self._name,
            params=self._params,
            host=host,
            mac=driver.identity.mac,  # who was counted; another may be there by now
            follows=not self._quiet,
            recalls=True,
        )
        async with self._turns:
            try:
                result, advice = await carrier.carry_out(request)
            except LocalRefusedError as error:
                result, advice = failed(RefusedError(str(error))), ""
            except NoDaemonError:
                gone = CancelledTaskError("The daemon went away before it was asked.")
                result, advice = failed(gone), ""
            except ConnectionError as error:
                result, advice = left_open(None, f"It broke off: {error}."), ""
            except OSError as error:
                words = f"{error.filename or self._logs.folder}: {why(error)}"
                result, advice = failed(StorageFullError(words)), ""
        self._ended += 1
        file = result.get("file")
        if file and Path(file["path"]).parent != self._logs.folder.resolve():
            result, advice = failed(StorageFullError(f"Not brought here: {advice}.")), ""
        return Carried(driver, result, advice)
