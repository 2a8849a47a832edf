"""`miner-agent-rig`: the service that owns a rig's mining programs, and what is asked of it by hand.

Exit codes: 0 done, 1 failed (nothing was changed, or it does not run), 2 usage, 3 outcome unknown. With `--json` the
last line of stdout is one JSON document and nothing else goes there.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from agent.cli.answers import DONE, FAILED, UNKNOWN, USAGE, end, fail, run_program
from agent.rig.shapes import STANDARD_SOCKET, ProgramState, ProgramStatus, RigStatus
from contract.rigmonitor.playbook import MiningWish

DEFAULT_RIG_CONFIG: Final = Path("/etc/miner-agent/rig.toml")
app = typer.Typer(
    name="miner-agent-rig",
    help="Owns the mining programs of a rig: they outlive it, and the agent.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document as the last line.")]
Socket = Annotated[
    Path, typer.Option("--socket", help="Where the service listens.", show_default=True)
]
Name = Annotated[str, typer.Argument(help="The software_name of a playbook, such as XMRig.")]


def _version(wanted: bool) -> None:
    if wanted:
        from agent.host.version import agent_version

        sys.stdout.write(f"miner-agent-rig {agent_version()}\n")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Owns the mining programs of a rig: they outlive it, and the agent."""


@app.command()
def run(
    config: Annotated[
        Path, typer.Option("--config", help="The configuration file.", show_default=True)
    ] = DEFAULT_RIG_CONFIG,
    as_json: Json = False,
) -> None:
    """Run the service until it is told to stop. What mines then mines on."""
    from agent.cli.foreground import StoppedError
    from agent.cli.foreground import run as in_foreground
    from agent.config.file import ConfigError, why
    from agent.host.logs import set_up
    from agent.rig.config import load_rig_config
    from agent.rig.daemon import NoPidfdError, run_rig_service
    from agent.rig.server import SocketTakenError
    from contract.clock import SystemClock
    from service.files import FolderLockedError
    from service.notify import Notifier
    from service.ownfolder import ForeignFolderError, check_files, check_folder

    try:
        loaded = load_rig_config(config)
    except ConfigError as error:
        fail(str(error), as_json, USAGE)
    set_up(loaded.log)
    try:
        check_files(loaded.state_dir, {"programs", "lock"})
        check_folder(loaded.log_dir)
        in_foreground(run_rig_service(loaded, SystemClock(), Notifier()))
    except StoppedError:
        pass
    except (FolderLockedError, ForeignFolderError, NoPidfdError, SocketTakenError) as error:
        fail(str(error), as_json)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(f"{where}{why(error)}", as_json)
    end((DONE, {"ok": True}, ""), as_json)


@app.command()
def status(socket: Socket = STANDARD_SOCKET, as_json: Json = False) -> None:
    """What runs, and why what does not run does not."""
    from agent.rig.client import RigService

    async def ask(service: RigService) -> RigStatus:
        return await service.status()

    found = _asked(socket, ask, as_json)
    lines = [_line(each) for each in found.programs] or ["it has no playbook"]
    end((DONE, {"ok": True, **_plain(found)}, "\n".join(lines)), as_json)


@app.command()
def start(name: Name, socket: Socket = STANDARD_SOCKET, as_json: Json = False) -> None:
    """Take back that a program was stopped by hand."""
    from agent.rig.client import RigService

    async def ask(service: RigService) -> ProgramStatus:
        return await service.start(name)

    found = _asked(socket, ask, as_json)
    _told(found, ProgramState.RUNNING, as_json)


@app.command()
def stop(name: Name, socket: Socket = STANDARD_SOCKET, as_json: Json = False) -> None:
    """End a program, until it is started by hand or its playbook changes."""
    from agent.rig.client import RigService

    async def ask(service: RigService) -> ProgramStatus:
        return await service.stop(name)

    found = _asked(socket, ask, as_json)
    _told(found, ProgramState.STOPPED, as_json)


def main() -> None:
    """The entry point."""
    run_program(app)


def _asked(path: Path, ask: Callable[[Any], Awaitable[Any]], as_json: bool) -> Any:
    """The service's answer; whatever else ends the command."""
    from agent.cli.foreground import StoppedError
    from agent.cli.foreground import run as in_foreground
    from agent.rig.client import (
        NoRigServiceError,
        RigRefusedError,
        RigService,
        RigServiceLostError,
    )

    async def asked() -> Any:
        async with RigService(path) as service:
            return await ask(service)

    try:
        return in_foreground(asked())
    except (NoRigServiceError, RigRefusedError) as error:
        fail(str(error), as_json)
    except (RigServiceLostError, StoppedError) as error:
        fail(f"{error}; what became of it: miner-agent-rig status", as_json, UNKNOWN)


def _told(program: ProgramStatus, wanted: ProgramState, as_json: bool) -> NoReturn:
    """Done where it is as it was asked for."""
    is_done = program.state is wanted
    document: dict[str, Any] = {"ok": is_done, "program": _plain(program)}
    if not is_done:
        document["error"] = {"message": _line(program)}
    end((DONE if is_done else FAILED, document, _line(program)), as_json)


def _line(program: ProgramStatus) -> str:
    """One program on one line."""
    parts = [f"{program.software_name} {program.software_version}: {program.state}"]
    if program.pid is not None:
        parts.append(f"process {program.pid}")
    if program.is_stopped_by_hand:
        parts.append("stopped by hand")
    elif program.wish is MiningWish.STOP:
        parts.append("its playbook says stop")
    if program.last_end is not None and program.state is ProgramState.WAITING:
        parts.append(program.last_end)
    if program.retry_in_s is not None:
        parts.append(f"next try in {program.retry_in_s:.0f} s")
    if program.refused is not None:
        parts.append(f"its newest playbook is refused: {program.refused}")
    return ", ".join(parts)


def _plain(shape: RigStatus | ProgramStatus) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(shape)
    plain.pop("answer", None)
    return plain
