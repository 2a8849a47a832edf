"""`miner-agent-update`: carries out the update that the agent asks for, or that was begun and not ended.

Exit codes: 0 nothing is in progress any more, 1 the disk let a step not be taken, or another process is at it (the next
start goes on), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import structlog

from agent.config.file import Config, ConfigError, load
from agent.installer.agentfolder import AgentFolder
from agent.installer.machine import UpdateInstaller
from agent.installer.making import Judgement, ReleaseMaker
from agent.installer.places import UpdatePlaces
from agent.installer.selftest import NotFitError, self_test
from agent.installer.units import AgentUnits
from contract.clock import SystemClock
from release.handover import WATCHED
from release.host import EARLIEST, built_at, host_platform
from release.signature import public_key_of
from release.trusted_root import trusted_root
from release.verification import Anchors
from service.disk import DISK
from service.files import FolderLock, FolderLockedError
from service.install.host import THIS
from service.install.product import AGENT
from service.install.release import Stamp

DEFAULT_CONFIG: Final = Path("/etc/miner-agent/config.toml")


def main(argv: Sequence[str] | None = None) -> None:
    """The entry point."""
    path = parser().parse_args(argv).config
    _log_to_stderr()
    places = UpdatePlaces()
    lock = FolderLock(places.folder / "lock", "another miner-agent-update is at it")
    try:
        lock.take()
        config, trouble = _config(path)
        asyncio.run(_installer(places, path, config, trouble).run())
        if config.state.dir.resolve() != WATCHED.resolve():
            # Nobody's: it would have us started for ever.
            AgentFolder(WATCHED).drop_request(DISK)
    except (FolderLockedError, OSError) as error:
        sys.stderr.write(f"miner-agent-update: {error}\n")
        raise SystemExit(1) from None


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="miner-agent-update",
        description="Installs the release of the agent that lies ready, watches whether it proves itself, and goes "
        "back where it does not. It is started by miner-agent-update.path.",
    )
    made.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, help="the agent's (default: %(default)s)"
    )
    made.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    return made


def _version() -> str:
    try:
        return "v" + version("miner-agent")
    except PackageNotFoundError:
        return "v0"


def _config(path: Path) -> tuple[Config, str | None]:
    """And why nothing may begin by it. Where it cannot be read, its defaults: the way back has to work all the same."""
    try:
        config = load(path)
    except ConfigError as error:
        return Config(), str(error)
    return config, None if config.update.enabled else "[update] enabled = false"


def _installer(
    places: UpdatePlaces, path: Path, config: Config, trouble: str | None
) -> UpdateInstaller:
    agent = AgentFolder(config.state.dir)
    maker = ReleaseMaker(places, _judgement(places, config), DISK, clock := SystemClock())

    def tried(number: str) -> None:
        user = agent.owner
        if user is None:
            raise NotFitError(f"{config.state.dir} is missing", ())
        program = places.release(number) / "bin" / AGENT.name
        self_test(program, path.absolute(), user, config.update.self_test_within_s)

    units = AgentUnits(THIS)
    return UpdateInstaller(
        places, agent, maker, units, tried, DISK, clock, config.update, trouble=trouble
    )


def _judgement(places: UpdatePlaces, config: Config) -> Judgement:
    keys = tuple(public_key_of(each) for each in config.update.keys)
    stamp = Stamp.read(places.current)
    return Judgement(
        # Who has no root takes no repository's word: it is refused as none.
        Anchors(trusted_root() or b"", keys),
        host_platform() or "unknown",
        EARLIEST if stamp is None else built_at(stamp),
    )


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.KeyValueRenderer(key_order=["event", "level"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
