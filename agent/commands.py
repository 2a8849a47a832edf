"""What the commands do once their arguments are checked. Each gives (exit code, JSON document, text for people)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import msgspec

from agent.config import Config, ConfigError, LogSection, read_secret
from agent.credentials import CredentialBook, CredentialRule, from_config
from agent.inventory import Inventory
from agent.limits import raise_open_files
from agent.local import LocalRefusedError, LocalRequest, NoDaemonError, ask
from agent.logs import set_up
from agent.ports import CloudError
from agent.scanner import FarmScanner
from agent.site import Site, open_site
from contract.clock import SystemClock
from contract.errors import BadParamsError, MinerError
from contract.ranges import parse_range
from drivers.base import Credentials, Depth, Driver

_T = TypeVar("_T")
Ended = tuple[int, dict[str, Any], str]
DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNKNOWN: Final = 3
_EXIT: Final = {"done": DONE, "not_done": FAILED, "unknown": UNKNOWN}


class Reach(msgspec.Struct, frozen=True):
    """How this command reaches miners: the config, with what the command line says instead."""

    config: Config
    login: Credentials | None = None
    password_file: Path | None = None
    daemon: bool = True  # nothing on the command line that a running daemon would not know

    @classmethod
    def make(
        cls,
        config: Config,
        *,
        ports: dict[str, int | None],
        user: str | None,
        password_file: Path | None,
        timeout_s: float | None,
        daemon: bool,
    ) -> Self:
        """Arguments that are `None` leave the config's value."""
        update: dict[str, Any] = {name: port for name, port in ports.items() if port is not None}
        if timeout_s is not None:
            update["read_timeout_s"] = timeout_s
            update["connect_timeout_s"] = min(timeout_s, config.miners.connect_timeout_s)
        changed = config.model_copy(update={"miners": config.miners.model_copy(update=update)})
        login = None if user is None else Credentials(user, "")
        return cls(changed, login, password_file, daemon)

    def site(self, ranges: tuple[str, ...]) -> Site:
        """The miners in these ranges; who names an address on the command line allows it.

        Raises ConfigError, and BadParamsError for what is not a range.
        """
        miners = self.config.miners
        try:
            for text in ranges:
                parse_range(text)
        except ValueError as error:
            raise BadParamsError(str(error)) from None
        config = self.config.model_copy(
            update={"miners": miners.model_copy(update={"allowed": miners.allowed + ranges})}
        )
        return open_site(config, SystemClock(), Inventory(None), self._book())

    def _book(self) -> CredentialBook:
        if self.login is None or self.password_file is None:
            return from_config(self.config)
        given = Credentials(self.login.user, read_secret(self.password_file))
        everywhere = CredentialRule(given, range=parse_range("0.0.0.0-255.255.255.255"))
        return CredentialBook((everywhere,), factory_defaults=False)


def run_daemon(config: Config) -> Ended:
    """The daemon, until SIGTERM."""
    from agent.daemon import run
    from agent.journal import JournalLockedError, JournalTooNewError
    from agent.notify import Notifier

    set_up(config.log)
    problem: BaseException | None = None
    try:
        _run(run(config, SystemClock(), Notifier()))
    except* (ConfigError, JournalLockedError, JournalTooNewError, OSError) as errors:
        problem = _first(errors)
    return (DONE, {"ok": True}, "") if problem is None else _failed(problem)


def run_enroll(config: Config, cloud: str, code: str, ca_file: Path | None) -> Ended:
    """Join a cloud."""
    from agent.enroll import enroll

    try:
        member = _run(
            enroll(
                cloud,
                code,
                config.token_file,
                ca_file=ca_file or config.cloud.ca_file,
                proxy=config.cloud.proxy,
            )
        )
    except (CloudError, ValueError, OSError) as error:
        return _failed(error)
    document = {"ok": True, **msgspec.to_builtins(member), "token_file": str(config.token_file)}
    return DONE, document, f"enrolled as agent {member.agent_id}; token in {config.token_file}"


def run_scan(reach: Reach, ranges: tuple[str, ...], *, quiet: bool) -> Ended:
    """Look through ranges; a progress bar on stderr unless `quiet`."""
    from agent.shown import ScanView

    set_up(LogSection(level="error"))
    raise_open_files()
    view = ScanView(quiet=quiet)

    async def go() -> Any:
        site = reach.site(ranges)
        scanner = FarmScanner(
            site.fleet,
            site.territory,
            reach.config.scan,
            site.scan_ports,
            SystemClock(),
            on_hit=view.hit,
        )
        return await scanner.scan(ranges, view.progress)

    try:
        with view:
            summary = _run(go())
    except BadParamsError as error:
        return USAGE, *_failed(error)[1:]
    except (MinerError, ConfigError, OSError) as error:
        return _failed(error)
    return DONE, {"ok": True, **msgspec.to_builtins(summary)}, view.table(summary)


def run_read(reach: Reach, host: str) -> Ended:
    """One full reading."""
    from agent.shown import reading_text

    set_up(LogSection(level="error"))

    async def go() -> tuple[Driver | None, Any, MinerError | None]:
        site = reach.site((host,))
        driver, _ = await site.fleet.look_at(host)
        if driver is None:
            return None, None, None
        try:
            return driver, await driver.read(Depth.FULL), None
        except MinerError as error:
            return driver, await driver.read(Depth.MOVING), error

    try:
        driver, reading, problem = _run(go())
    except (MinerError, ConfigError) as error:
        return _failed(error)
    if driver is None:
        return _failed(f"what answers at {host} is not a miner this agent knows")
    capabilities = driver.capabilities
    document = {
        "ok": True,
        "ip": host,
        "identity": msgspec.to_builtins(driver.identity),
        "reading": msgspec.to_builtins(reading),
        "modes": list(capabilities.modes) if capabilities else [],
        "problem": None
        if problem is None
        else {"code": problem.code.value, "message": str(problem)},
    }
    return DONE, document, reading_text(driver, reading, problem)


def run_act(reach: Reach, host: str, name: str, params: dict[str, Any], logs: Path) -> Ended:
    """One task at one miner."""
    from agent.shown import result_text

    set_up(LogSection(level="error"))
    request = LocalRequest(name=name, params=params, host=host)
    try:
        result = _run(_act(reach, request, logs))
    except (LocalRefusedError, ConfigError, PermissionError) as error:
        return _failed(error)
    except ConnectionError as error:
        return UNKNOWN, {"ok": False, "error": {"message": str(error)}}, str(error)
    code = _EXIT.get(str(result.get("outcome")), FAILED)
    document = {"ok": code == DONE, "ip": host, "task_name": name, "result": result, "shown": True}
    return code, document, result_text(name, host, result)


async def _act(reach: Reach, request: LocalRequest, logs: Path) -> dict[str, Any]:
    if reach.daemon:
        try:
            reply = await ask(reach.config.socket_path, request)
        except NoDaemonError:
            pass
        else:
            if reply.result is None:
                raise LocalRefusedError(reply.refused or "the daemon gave no answer")
            return reply.result
    from agent.daemon import policy_of
    from agent.onsite import alone

    clock = SystemClock()
    site = reach.site((request.host,) if request.host else ())
    scanner = FarmScanner(site.fleet, site.territory, reach.config.scan, site.scan_ports, clock)
    async with alone(site, scanner, policy_of(reach.config), clock, logs) as here:
        return await here.handle(request)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """On uvloop where there is one."""
    factory = None
    if sys.platform == "linux":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def _failed(problem: BaseException | str) -> Ended:
    error: dict[str, Any] = {"message": str(problem)}
    if isinstance(problem, MinerError):
        error["code"] = problem.code.value
    return FAILED, {"ok": False, "error": error}, str(problem)


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    each: BaseException = errors
    while isinstance(each, BaseExceptionGroup):
        each = each.exceptions[0]
    return each
