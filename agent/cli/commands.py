"""What the commands do once their arguments are checked. Each gives (exit code, JSON document, text for people)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from agent.cli.answers import DONE, FAILED, UNKNOWN, USAGE, Ended
from agent.cli.foreground import StoppedError, run
from agent.config.file import (
    PIN_NAME,
    Config,
    ConfigError,
    why,
)
from agent.config.host import LogSection
from agent.config.keyfiles import check_ca_file, check_cloud_ca, read_secret
from agent.host.logs import set_up
from agent.local.socket import STANDARD_SOCKET, LocalRefusedError, listens, not_for_us
from agent.miners.credentials import CredentialBook, CredentialRule, from_config
from agent.miners.inventory import Inventory
from agent.miners.site import Site, open_site
from agent.ports import CloudError
from contract.clock import SystemClock
from contract.errors import LOGIN_FIX, BadParamsError, ErrorCode, MinerError
from contract.ranges import LOOPBACK_RANGE, PRIVATE_RANGES, parse_range
from drivers.base import Credentials, Depth, Driver
from drivers.stranger import Stranger
from service.hostuser import is_root, owner_of
from service.ownfolder import ForeignFolderError, check_files, check_folder

BY_HAND: Final = (*PRIVATE_RANGES, LOOPBACK_RANGE)
_LOGIN_OPTIONS: Final = "--user and --password-file"
_CORRECT_OPTIONS: Final = f"correct {_LOGIN_OPTIONS}"
# What the daemon writes in its state folder besides its sinks, as `check_files` takes it.
_STATE: Final = frozenset(
    {
        "journal",
        "inventory",
        "scans",
        "buffer",
        "subscriptions",
        "work",
        "firmware",
        "logs",
        PIN_NAME,
    }
)


class Reach(msgspec.Struct, frozen=True):
    """How this command reaches miners: the config, with what the command line says instead."""

    config: Config
    login: Credentials | None = None
    password_file: Path | None = None
    daemon: bool = True  # nothing on the command line that a running daemon would not know
    is_config_named: bool = True  # on the command line

    @classmethod
    def make(
        cls,
        config: Config,
        *,
        ports: dict[str, int | None],
        user: str | None,
        password_file: Path | None,
        timeout_s: float | None,
        device_pace: float | None = None,
        daemon: bool,
        is_config_named: bool = True,
    ) -> Self:
        """Arguments that are `None` leave the config's value."""
        update: dict[str, Any] = {name: port for name, port in ports.items() if port is not None}
        if timeout_s is not None:
            update["read_timeout_s"] = timeout_s
            update["connect_timeout_s"] = min(timeout_s, config.miners.connect_timeout_s)
        if device_pace is not None:
            update["device_pace"] = device_pace
        changed = config.model_copy(update={"miners": config.miners.model_copy(update=update)})
        login = None if user is None else Credentials(user, "")
        return cls(changed, login, password_file, daemon, is_config_named)

    async def daemon_socket(self) -> Path | None:
        """Where a daemon listens that is to carry out what is asked for. Raises LocalRefusedError."""
        if not self.daemon:
            return None
        return await daemon_socket(self.config, is_config_named=self.is_config_named)

    def site(self, ranges: tuple[str, ...]) -> Site:
        """The miners in these ranges. A person may name private addresses and those of this host whatever the
        config allows the cloud; public ones have to be allowed there, and denied ones stay denied.

        Raises ConfigError, and BadParamsError for what is not a range.
        """
        miners = self.config.miners
        try:
            for text in ranges:
                parse_range(text)
        except ValueError as error:
            raise BadParamsError(str(error)) from None
        config = self.config.model_copy(
            update={"miners": miners.model_copy(update={"allowed": miners.allowed + BY_HAND})}
        )
        return open_site(config, SystemClock(), Inventory(None), self._book())

    def _book(self) -> CredentialBook:
        if self.login is None or self.password_file is None:
            return from_config(self.config)
        given = Credentials(self.login.user, read_secret(self.password_file))
        everywhere = CredentialRule(
            given,
            range=parse_range("0.0.0.0-255.255.255.255"),
            source=f"password of {self.password_file} (--user, --password-file)",
        )
        return CredentialBook((everywhere,), factory_defaults=False)

    def in_words(self, text: str) -> str:
        """What is said of a miner, with the login corrected where it came from."""
        return text if self.login is None else text.replace(LOGIN_FIX, _CORRECT_OPTIONS)

    def advice(self, problem: str, driver: Driver | None, host: str) -> str:
        """What a person may correct about an error of this code; empty where there is nothing to say."""
        if problem == ErrorCode.AUTH_FAILED:
            used = self._book().source(host, driver.identity if driver else None)
            text = f"tried with {used}"
            return text if self.login else f"{text}; correct it there, or give {_LOGIN_OPTIONS}"
        if problem == ErrorCode.UNREACHABLE:
            miners = self.config.miners
            return (
                f"is it a miner, and switched on? other ports than {miners.http_port} and "
                f"{miners.rpc_port}: --http-port and --rpc-port"
            )
        return ""


async def daemon_socket(config: Config, *, is_config_named: bool) -> Path | None:
    """Where the daemon of this host listens: that of the config; where none was named, also one with a config that lies
    elsewhere. Raises LocalRefusedError where it listens to another user.
    """
    for path in (config.socket_path,) if is_config_named else (STANDARD_SOCKET, config.socket_path):
        try:
            if await listens(path):
                return path
        except PermissionError:
            raise LocalRefusedError(not_for_us(path)) from None
    return None


def nobody_listens(path: Path) -> str:
    """What is said where a daemon is needed."""
    return (
        f"no daemon runs here: nobody listens at {path}; it is started by: miner-agent run; "
        "of one whose config lies elsewhere, name that with --config"
    )


def run_daemon(config: Config, path: Path) -> Ended:
    """The daemon, until SIGTERM. `path` is where its config was read from."""
    from agent.daemon import run as run_agent
    from agent.journal import JournalVersionError
    from agent.link.configured import NotEnrolledError
    from agent.sinks.registry import SINKS
    from service.files import FolderLockedError
    from service.notify import Notifier

    set_up(config.log)
    problem: BaseException | None = None
    try:
        check_files(config.state.dir, _STATE.union(*(each.state_files for each in SINKS)))
        check_cloud_ca(config)
        run(run_agent(config, SystemClock(), Notifier()))
    except* (
        ConfigError, FolderLockedError, JournalVersionError, ForeignFolderError, OSError
    ) as errors:  # fmt: skip
        problem = _first(errors)
    if isinstance(problem, NotEnrolledError):
        return failure(f"{problem} --config {path}")
    return (DONE, {"ok": True}, "") if problem is None else failure(problem)


def run_enroll(config: Config, cloud: str | None, code: str, ca_file: Path | None) -> Ended:
    """Join a cloud; the config's, where none is named."""
    from agent.link.enroll import WrongCloudError, enroll, membership
    from agent.link.trust import fingerprints_in

    url = cloud or config.cloud.url
    if url is None:
        return failure("usage: give --cloud URL, or a config with url in [cloud]", USAGE)
    try:
        check_ca_file(ca_file or config.cloud.ca_file)
        check_folder(config.token_file.parent)
        before = None
        with contextlib.suppress(ValueError, OSError):  # damaged: it is replaced
            before = membership(config.token_file)
        member = run(
            enroll(
                url,
                code,
                config.token_file,
                pin_file=config.pin_file,
                owner=owner_of(config.state.dir) if is_root() else None,
                ca_file=ca_file or config.cloud.ca_file,
                proxy=config.cloud.proxy,
            )
        )
        pinned = fingerprints_in(config.cloud_ca) if config.cloud_ca == config.pin_file else ()
    except ConfigError as error:
        return failure(error, USAGE)
    except WrongCloudError as error:
        return failure(error)
    except CloudError as error:
        text = str(error)
        if error.status is None:
            text += f"; check that {url} is the cloud's address, and that it runs"
        elif error.status in (400, 401, 403, 404, 410):
            text += "; codes are made by: miner-cloud enroll-code"
        return failure(text)
    except ForeignFolderError as error:
        return failure(error)
    except OSError as error:
        return failure(f"{error.filename or config.token_file.parent}: {why(error)}")
    except ValueError as error:
        return failure(error)
    except StoppedError as error:
        return failure(
            f"{error}; if the code was used up by now, miner-cloud enroll-code makes another",
            UNKNOWN,
        )
    document = {
        "ok": True,
        **msgspec.to_builtins(member),
        "token_file": str(config.token_file),
        "ca_sha256": pinned[0] if pinned else None,
    }
    text = f"enrolled as agent {member.agent_id}; token in {config.token_file}"
    if pinned:
        text += (
            f"\nits cloud is known by the authority sha256 {pinned[0]}, kept in {config.pin_file}"
        )
    if before is not None and before.agent_id != member.agent_id:
        text += (
            f"\nbefore, this host was agent {before.agent_id} of farm {before.farm_id}: a daemon that runs goes on as "
            "that one until it is restarted, and its miners stay in the lists of that farm"
        )
    return DONE, document, text


def run_read(reach: Reach, host: str) -> Ended:
    """One full reading. Exit 1 when only a part could be read; the part is shown."""
    from agent.cli.render import reading_text

    set_up(LogSection(level="error"))

    async def go() -> tuple[Driver | None, Any, MinerError | None]:
        site = reach.site((host,))
        try:
            driver, _ = await site.fleet.look_at(host)
            if isinstance(driver, Stranger):
                return None, None, None
            try:
                return driver, await driver.read(Depth.FULL), None
            except MinerError as error:
                return driver, await driver.read(Depth.MOVING), error
        finally:
            await site.rigs.close()

    try:
        driver, reading, problem = run(go())
    except ConfigError as error:
        return failure(error, USAGE)
    except MinerError as error:
        return failure(
            error, advice=reach.advice(error.code, None, host), said=reach.in_words(str(error))
        )
    except StoppedError as error:
        return stopped(error)
    if driver is None:
        return failure(f"what answers at {host} is not a miner this agent knows")
    capabilities = driver.capabilities
    document = {
        "ok": problem is None,
        "ip": host,
        "identity": msgspec.to_builtins(driver.identity),
        "reading": msgspec.to_builtins(reading),
        "modes": list(capabilities.modes) if capabilities else [],
        "problem": None,
    }
    if problem is None:
        return DONE, document, reading_text(driver, reading, None)
    words = "; ".join(
        filter(None, (reach.in_words(str(problem)), reach.advice(problem.code, driver, host)))
    )
    document["problem"] = {"code": problem.code.value, "message": words}
    return FAILED, document, reading_text(driver, reading, f"{problem.code}: {words}")


def stopped(error: StoppedError) -> Ended:
    """A command that only looks, ended by a signal."""
    return error.exit_code, {"ok": False, "error": {"message": str(error)}}, str(error)


def failure(
    problem: BaseException | str, code: int = FAILED, advice: str = "", said: str | None = None
) -> Ended:
    """A command that ends with an error of its own; `said` are its words, where they are not those of the problem."""
    said = said or str(problem)
    if isinstance(problem, OSError) and problem.strerror:
        said = ": ".join(filter(None, (problem.filename and str(problem.filename), why(problem))))
    text = "; ".join(filter(None, (said, advice)))
    error: dict[str, Any] = {"message": text}
    if isinstance(problem, MinerError):
        error["code"] = problem.code.value
    return code, {"ok": False, "error": error}, text


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    each: BaseException = errors
    while isinstance(each, BaseExceptionGroup):
        each = each.exceptions[0]
    return each
