"""`act` at one miner; and how a task is carried out by hand, through the daemon of this host or straight."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from agent.cli.answers import DONE, FAILED, UNKNOWN, USAGE, Ended
from agent.cli.commands import Reach, failure, stopped
from agent.cli.foreground import StoppedError, run
from agent.config.file import ConfigError, why
from agent.config.host import LogSection
from agent.host.logs import set_up
from agent.local.orders import LocalOrder, LocalOrders, alone, left_open
from agent.local.progress import telling
from agent.local.socket import LocalRefusedError, LocalReply, LocalRequest, NoDaemonError, calling
from agent.miners.known import awake_modes, known_miners, maintained_miners
from agent.miners.site import Site
from agent.scan.scanner import FarmScanner
from contract.clock import Clock, SystemClock
from contract.errors import ErrorCode
from contract.outcome import Outcome
from contract.task import TaskName

EXIT: Final[dict[str, int]] = {
    Outcome.DONE: DONE,
    Outcome.NOT_DONE: FAILED,
    Outcome.UNKNOWN: UNKNOWN,
}


def run_act(
    reach: Reach, host: str, name: str, params: dict[str, Any], logs: Path, *, quiet: bool
) -> Ended:
    """One task at one miner; what it waits for on stderr unless `quiet`."""
    from agent.cli.render import result_text
    from agent.local.hints import all_the_same

    set_up(LogSection(level="error"))
    request = LocalRequest(name=name, params=params, host=host, follows=not quiet)
    begun: set[str | None] = set()
    try:
        if name == TaskName.LOG:
            Logs(logs).make()
        result, advice = run(_act(reach, request, Logs(logs), begun, quiet=quiet))
    except ConfigError as error:
        return failure(error, USAGE)
    except LocalRefusedError as error:
        return failure(error)
    except ConnectionError as error:
        return UNKNOWN, {"ok": False, "error": {"message": str(error)}}, str(error)
    except OSError as error:
        return failure(f"{error.filename or logs}: {why(error)}")
    except StoppedError as error:
        if host not in begun:
            return stopped(error)
        # Told so twice: whatever is known was not waited for.
        return UNKNOWN, {"ok": False, "error": {"message": str(error)}}, str(error)
    advice = advice or all_the_same(TaskName(name), result)
    code = EXIT.get(str(result.get("outcome")), FAILED)
    document = {"ok": code == DONE, "ip": host, "task_name": name, "result": result}
    if advice:
        document["advice"] = advice
    return code, document, result_text(name, host, result, advice)


class Logs(NamedTuple):
    """Where files taken from miners go; from more than one, each begins with the address of its miner."""

    folder: Path
    by_address: bool = False

    def make(self) -> None:
        """Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def bring(self, result: dict[str, Any], host: str | None) -> None:
        """Copy the file of a result there, over nothing that is there, and make its path that one. Raises OSError."""
        file = result.get("file")
        if not file or not file.get("path"):
            return
        name = Path(file["path"]).name
        target = self.folder / (f"{host}-{name}" if self.by_address else name)
        with Path(file["path"]).open("rb") as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy)
        file["path"] = str(target.resolve())


class Carrier(Protocol):
    """Who carries out what is asked for by hand."""

    @property
    def phases(self) -> Mapping[str | None, str]:
        """What each task that is under way waits for, by the address of its miner."""

    async def carry_out(self, request: LocalRequest) -> tuple[dict[str, Any], str]:
        """The result of a task, and what a person may correct when it failed. Cancelled, it gives what is known by
        then, once it has begun.
        """


class DaemonCarrier:
    """The daemon of this host. Files that it fetches are copied to a place of their own, `logs`."""

    def __init__(self, path: Path, logs: Logs, begun: set[str | None]) -> None:
        self._phases: dict[str | None, str] = {}
        self._path = path
        self._logs = logs
        self._begun = begun

    @property
    def phases(self) -> Mapping[str | None, str]:
        return self._phases

    async def carry_out(self, request: LocalRequest) -> tuple[dict[str, Any], str]:
        """See `Carrier`. Raises NoDaemonError, LocalRefusedError, and ConnectionError when it goes away meanwhile."""
        host = request.host
        async with calling(self._path, request) as call:
            self._begun.add(host)
            self._phases[host] = "waiting for the daemon to carry it out"
            try:
                reply = await call.answer(lambda phase: self._phases.update({host: phase}))
            except asyncio.CancelledError:
                try:
                    reply = await call.leave()
                except TimeoutError:
                    reply = LocalReply()
                if reply.result is None and reply.refused is None:
                    known = reply.known
                    task = f" as task {known.task_id}" if known and known.task_id else ""
                    words = f"The daemon goes on with it and tells its cloud the outcome{task}."
                    return left_open(known, words), ""
            finally:
                self._phases.pop(host, None)
        if reply.result is None:
            raise LocalRefusedError(reply.refused or "the daemon gave no answer")
        try:
            await asyncio.to_thread(self._logs.bring, reply.result, host)
        except OSError as error:  # what was done is done; only its file lies elsewhere
            return reply.result, f"the file stays with the daemon: {why(error)}"
        return reply.result, ""


class OwnCarrier:
    """No other process: by the same path of tasks as a daemon has."""

    def __init__(
        self, here: LocalOrders, reach: Reach, site: Site, logs: Logs, begun: set[str | None]
    ) -> None:
        self._here = here
        self._reach = reach
        self._site = site
        self._logs = logs
        self._begun = begun
        self._orders: dict[str | None, LocalOrder] = {}

    @property
    def phases(self) -> Mapping[str | None, str]:
        return {host: order.phase() for host, order in self._orders.items()}

    async def carry_out(self, request: LocalRequest) -> tuple[dict[str, Any], str]:
        """See `Carrier`. Raises LocalRefusedError, and OSError when a file cannot be put where it was asked to."""
        host = request.host or ""
        order = self._orders[host] = self._here.order(request)
        self._begun.add(host)
        try:
            result = await order.result()
        except asyncio.CancelledError:
            result = order.interrupted()
        finally:
            del self._orders[host]
        await asyncio.to_thread(self._logs.bring, result, host)
        error = result.get("error") or {}
        if error:
            error["message"] = self._reach.in_words(error["message"])
        driver = self._site.fleet.at(host)
        is_file = request.name == TaskName.FIRMWARE and driver is not None
        if is_file and error.get("code") == ErrorCode.UNREACHABLE:
            return result, ""  # where the file should be, or a miner that was there a moment ago
        return result, self._reach.advice(str(error.get("code")), driver, host)


@asynccontextmanager
async def carrying_out_here(
    reach: Reach, site: Site, scanner: FarmScanner, clock: Clock, logs: Logs, begun: set[str | None]
) -> AsyncIterator[OwnCarrier]:
    """Without a daemon."""
    from agent.firmware.download import open_downloader
    from agent.limits.policy import policy_of

    downloader = open_downloader(reach.config)
    try:
        async with alone(site, scanner, downloader, policy_of(reach.config), clock) as here:
            yield OwnCarrier(here, reach, site, logs, begun)
    finally:
        await site.rigs.close()


async def opened(reach: Reach, ranges: tuple[str, ...], clock: Clock) -> Site:
    """The miners in these ranges, with what the daemon of this host knows of them: whom it met elsewhere may show the
    MAC of the one at such an address.
    """
    site = reach.site(ranges)
    kept = reach.config.state.dir / "inventory.db"
    known = await asyncio.to_thread(known_miners, kept)
    # How it ran before it was switched off, the daemon may know as well.
    modes = await asyncio.to_thread(awake_modes, kept)
    site.inventory.learn(known, modes, clock.now())
    site.inventory.keep_maintained(await asyncio.to_thread(maintained_miners, kept))
    site.fleet.restore()
    return site


# --- private -------------------------------------------------------------------------------------


async def _act(
    reach: Reach, request: LocalRequest, logs: Logs, begun: set[str | None], *, quiet: bool
) -> tuple[dict[str, Any], str]:
    socket = await reach.daemon_socket()
    if socket is not None:
        try:
            carrier = DaemonCarrier(socket, logs, begun)
            return await _told(carrier, request, SystemClock(), quiet=quiet)
        except NoDaemonError:
            pass
    clock = SystemClock()
    site = await opened(reach, (request.host,) if request.host else (), clock)
    scanner = FarmScanner(site.fleet, site.territory, reach.config.scan, site.scan_ports, clock)
    async with carrying_out_here(reach, site, scanner, clock, logs, begun) as own:
        return await _told(own, request, clock, quiet=quiet)


async def _told(
    carrier: Carrier, request: LocalRequest, clock: Clock, *, quiet: bool
) -> tuple[dict[str, Any], str]:
    """Carry it out, and say meanwhile what it waits for."""

    def current() -> str:
        return carrier.phases.get(request.host, "ending")

    async with telling(clock, current, quiet=quiet):
        return await carrier.carry_out(request)
