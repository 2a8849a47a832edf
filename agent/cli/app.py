"""`miner-agent`: the daemon, and what an operator asks for by hand.

Exit codes: 0 done, 1 failed, 2 usage, 3 outcome unknown. With `--json` the last line of stdout is one JSON document
and nothing else goes there. Everything heavy is imported by the command that needs it.
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from agent.cli.answers import end, fail, run_program
from agent.cli.given import DEFAULT_CONFIG, ConfigFile, Json, config_of, config_path, usage
from agent.cli.groups.rig import rig_app
from agent.cli.groups.subscription import subscription_app
from contract.ports import PORTS
from service.given import given_text

if TYPE_CHECKING:
    from agent.cli.commands import Reach
    from agent.cli.survey import Wanted
    from contract.expected import ExpectedCount

_PARAMS_CAP_BYTES: Final = 128 * 1024  # as much as a system takes on a command line
app = typer.Typer(
    name="miner-agent",
    help="Carries out tasks on the miners of a farm, and proves what it did.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(rig_app, name="rig")
app.add_typer(subscription_app, name="subscription")

Ports = dict[str, int | None]  # by name; `None`: as the config says
User = Annotated[str | None, typer.Option(help="User to log in with.")]
PasswordFile = Annotated[Path | None, typer.Option(help="The file that holds its password.")]
Timeout = Annotated[
    float | None, typer.Option(min=0.1, max=3600, help="Seconds a miner may take to answer.")
]
DevicePace = Annotated[
    float | None,
    typer.Option(
        min=1,
        max=10_000,
        help="How many times faster than hardware the miners live; 1 but for simulated ones.",
    ),
]


class ActCommand(TyperCommand):
    """Its help tells of every task. What that takes to load, no other help waits for."""

    def format_epilog(self, *args: Any, **more: Any) -> None:
        from agent.local.hints import by_hand

        # With the blank line click keeps the lines as they are.
        self.epilog = f"\b\nTasks and their parameters:\n{by_hand()}"
        super().format_epilog(*args, **more)


def _version(wanted: bool) -> None:
    if wanted:
        from agent.host.version import agent_version

        sys.stdout.write(f"miner-agent {agent_version()}\n")
        raise typer.Exit


Host = Annotated[str, typer.Argument(help="The IPv4 address of a miner, or its name.")]


def with_ports(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each of the PORTS, which it takes together as `ports`."""

    def with_all(**given: Any) -> None:
        ports = {name: given.pop(name) for name in PORTS}
        command(**given, ports=ports)

    wrapped: Any = functools.wraps(command)(with_all)

    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[int | None, typer.Option(min=1, max=65535, help=port.about)],
        )
        for name, port in PORTS.items()
    ]
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        parameters += options if parameter.name == "ports" else [parameter]
    wrapped.__signature__ = inspect.Signature(parameters)
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    named: Callable[..., None] = wrapped
    return named


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """Carries out tasks on the miners of a farm, and proves what it did."""


@app.command()
def run(
    config: ConfigFile = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Until this host is enrolled, wait for it in place of ending."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the daemon until it is told to stop."""
    from agent.cli.commands import run_daemon
    from agent.cli.waiting import until_enrolled

    path = config or DEFAULT_CONFIG
    used = config_of(config, required=True, as_json=as_json)
    if wait:
        waited = until_enrolled(used, lambda: config_of(config, required=True, as_json=as_json))
        if isinstance(waited, tuple):
            end(waited, as_json)
        used = waited
    end(run_daemon(used, path), as_json)


@app.command()
def enroll(
    code: Annotated[str, typer.Option(help="The one-time code it gave.")],
    cloud: Annotated[
        str | None, typer.Option(help="Where the cloud is: https://... [url in the config]")
    ] = None,
    config: ConfigFile = None,
    # Whether it can be read we say ourselves, with its owner and what to do.
    state: Annotated[
        Path | None, typer.Option(readable=False, help="The state folder, without a config.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="Certificate authority of the cloud. [that of the code, if it names one]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Join a cloud: trade a one-time code for a lasting token. It is kept in the state folder."""
    from agent.cli.commands import run_enroll
    from agent.config.file import Config

    if state is not None and config is not None:
        usage("give --config or --state, not both", as_json)
    used = Config() if state is not None else config_of(config, required=False, as_json=as_json)
    if state is not None:
        used = used.model_copy(update={"state": used.state.model_copy(update={"dir": state})})
    end(run_enroll(used, cloud, code, ca_file), as_json)


@app.command()
@with_ports
def scan(
    ranges: Annotated[
        list[str] | None,
        typer.Argument(help="Addresses, CIDR blocks, first-last, or names of ranges or hosts."),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="Without a pause; what is silent at its first port is not asked at others.",
        ),
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Ask every port of every address at once.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a scan of the same that was cut.")
    ] = False,
    rows: Annotated[
        bool,
        typer.Option(
            "--rows",
            help="Print each row as it comes, as a terminal gets it anyway; with --json as a JSON line, "
            "before that of the document.",
        ),
    ] = False,
    config: ConfigFile = None,
    *,
    ports: Ports,
    user: User = None,
    password_file: PasswordFile = None,
    timeout: Timeout = None,
    device_pace: DevicePace = None,
    as_json: Json = False,
) -> None:
    """Look through address ranges for miners. What is said of each address is told."""
    from agent.cli.scans.command import run_scan
    from agent.cli.scans.view import RowsShown
    from agent.scan.sweep.plan import Manner

    if fast and thorough:
        usage("--fast and --thorough do not go together", as_json)
    reach = _reach(
        config,
        ports,
        user,
        password_file,
        timeout,
        device_pace,
        as_json,
    )
    if not ranges and not (reach.config.miners.ranges or reach.config.ranges):
        usage("give a range, or a config with [miners] ranges", as_json)
    shown = RowsShown.AT_THE_END
    if rows or (sys.stdout.isatty() and not as_json):
        shown = RowsShown.AS_JSON if as_json else RowsShown.AS_THEY_COME
    end(
        run_scan(
            reach,
            _scanned(ranges, reach, as_json) if ranges else (),
            manner=Manner.FAST if fast else Manner.THOROUGH if thorough else Manner.DEFAULT,
            resume=resume,
            quiet=as_json,
            rows=shown,
        ),
        as_json,
    )


@app.command()
@with_ports
def read(
    host: Host,
    config: ConfigFile = None,
    *,
    ports: Ports,
    user: User = None,
    password_file: PasswordFile = None,
    timeout: Timeout = None,
    device_pace: DevicePace = None,
    as_json: Json = False,
) -> None:
    """Read everything one miner tells."""
    from agent.cli.commands import run_read

    address = _address(host, as_json)
    reach = _reach(
        config,
        ports,
        user,
        password_file,
        timeout,
        device_pace,
        as_json,
    )
    end(run_read(reach, address), as_json)


@app.command(cls=ActCommand)
@with_ports
def act(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            help="Addresses, CIDR blocks, first-last, or names of hosts, of one miner or of many.",
        ),
    ] = None,
    *,
    task_name: Annotated[str, typer.Argument(help="For example miner.light.update.")],
    params: Annotated[
        str,
        typer.Option(
            help="The task's parameters, as JSON; @FILE takes them from a file and - from standard input, "
            "where no other user of this host sees a password."
        ),
    ] = "{}",
    csv: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file of miners, - for standard input: its column ip, address, host, mac or serial, "
            "or the first one where it has no header.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show which miners would be asked, and ask nothing of any."),
    ] = False,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="How many miners are meant, needed for more addresses than one: 100, or 100~5% for 95 to 105.",
        ),
    ] = None,
    logs: Annotated[Path, typer.Option(help="Where a log taken from the miner is put.")] = Path(),
    config: ConfigFile = None,
    ports: Ports,
    user: User = None,
    password_file: PasswordFile = None,
    timeout: Timeout = None,
    device_pace: DevicePace = None,
    as_json: Json = False,
) -> None:
    """Carry out one task at one miner or at many, with proof. Through the daemon, if one runs here.

    Exit code 0 when all of it is done, 1 when some failed, 3 when of some it is not known.
    """
    from agent.cli.act import run_act
    from agent.cli.many import run_act_many
    from contract.task import TaskName

    if csv == params == "-":
        usage("--params - and --csv - both take standard input", as_json)
    where = " ".join(targets or ("--csv FILE",))
    given = _task_params(where, task_name, params, as_json)
    reach = _reach(
        config,
        ports,
        user,
        password_file,
        timeout,
        device_pace,
        as_json,
    )
    quiet = as_json and not sys.stderr.isatty()
    wanted = _wanted(targets, csv, reach, as_json)
    expected = _expected(expect, as_json)
    if csv is None and not dry_run and expected is None and wanted.addresses == 1:
        address = str(wanted.spans[0])
        end(run_act(reach, address, task_name, given, logs, quiet=quiet), as_json)
    end(
        run_act_many(
            reach,
            wanted,
            TaskName(task_name),
            given,
            logs,
            expect=expected,
            dry_run=dry_run,
            quiet=quiet,
        ),
        as_json,
    )


@app.command()
def status(config: ConfigFile = None, as_json: Json = False) -> None:
    """Tell what is wrong with the farm, at a glance. It is what the daemon of this host knows.

    Exit code 1 when anything is wrong. A miner that sleeps is not.
    """
    from agent.cli.status import run_status

    used = config_of(config, required=False, as_json=as_json)
    end(run_status(used, is_config_named=config is not None), as_json)


@app.command()
def health(config: ConfigFile = None, as_json: Json = False) -> None:
    """Tell whether the daemon of this host is up. Exit code 1 where it is not, nor waits to be enrolled."""
    from agent.cli.status import run_health

    used = config_of(config, required=False, as_json=as_json)
    end(run_health(used, is_config_named=config is not None), as_json)


@app.command()
def top(
    config: ConfigFile = None,
    every: Annotated[
        float, typer.Option(min=0.5, max=3600, help="Seconds between two looks.")
    ] = 3.0,
) -> None:
    """Show the same as status, again and again, until q."""
    from agent.cli.status import run_top

    used = config_of(config, required=False, as_json=False)
    end(run_top(used, is_config_named=config is not None, every_s=every), False)


@app.command()
def doctor(
    config: ConfigFile = None,
    user: Annotated[
        str | None,
        typer.Option(help="The user that the agent runs as [whose the state folder is]."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check config, disk, clock, limits, cloud and a few miners. It says what to do, in words.

    Exit code 1 when there is a problem; warnings alone leave it 0.
    """
    from agent.cli.doctor import run_doctor
    from service.hostuser import find_user

    try:
        who = None if user is None else find_user(user)
    except ValueError as error:
        usage(f"--user: {error}", as_json)
    end(run_doctor(config_path(config) or DEFAULT_CONFIG, who), as_json)


@app.command("self-test")
def self_test(
    config: Annotated[
        Path,
        # one that cannot be read is a check that fails, and no wrong usage
        typer.Option("--config", readable=False, help="The configuration file."),
    ] = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Try whether this version would run here.

    Looks at its own files, the config, copies of all that the agent keeps, and reads a miner that it plays on loopback.
    Nothing is changed, and an agent may be running. Exit code 1 when one of the checks fails.
    """
    from agent.cli.selftest import run_self_test

    code, document, text = run_self_test(config)
    # the process that starts it for its document may have led both streams to one file
    end((code, document, "" if as_json else text), as_json)


@app.command()
def install(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run this version as a service of this host. For root; what is done already is left."""
    from agent.cli.installing import run_install

    end(run_install(app, dry_run=dry_run), as_json)


@app.command()
def uninstall(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove config, passwords and state, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take away what install did. Config, passwords and state stay."""
    from agent.cli.installing import run_uninstall

    end(run_uninstall(dry_run=dry_run, purge=purge), as_json)


@app.command()
def demo(
    miners: Annotated[int, typer.Option(min=6, max=200, help="How many simulated miners.")] = 12,
    farm: Annotated[
        int | None,
        typer.Option(
            "--farm",
            min=30,
            max=2000,
            help="Play nothing: leave a mixed farm of so many miners to you, troubles and all.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="End after the table.")] = False,
    time_scale: Annotated[
        float, typer.Option(min=1, max=10_000, help="How much faster the simulated miners live.")
    ] = 60.0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep what the processes wrote in this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Play every task the agent carries out on a simulated farm. Cloud, farm and agent run on loopback."""
    try:
        from agent.demo import DemoUnavailableError
        from agent.demo import main as play
    except ImportError as error:
        fail(
            f"the demo needs more than the agent: pip install 'miner-agent[cloud]' ({error})",
            as_json,
        )
    try:
        code = play(
            miners=miners, farm=farm, once=once, as_json=as_json, time_scale=time_scale, keep=keep
        )
    except DemoUnavailableError as error:
        fail(str(error), as_json)
    raise typer.Exit(code)


def main() -> None:
    """The entry point."""
    run_program(app)


def _task_params(host: str, task_name: str, text: str, as_json: bool) -> dict[str, Any]:
    """The parameters of a task that an agent carries out at one miner; whatever else ends the command."""
    from agent.cli.render import result_text
    from agent.local.hints import how_to_ask, not_by_hand, unknown_name
    from agent.local.orders import failed
    from agent.tasks.actions import ACTIONS, UnsupportedAction
    from contract.errors import UnsupportedError
    from contract.task import TaskName, parse_params

    try:
        name = TaskName(task_name)
    except ValueError:
        usage(unknown_name(task_name), as_json)
    action = ACTIONS.get(name)
    if isinstance(action, UnsupportedAction):
        result = failed(UnsupportedError(action.instead))
        document = {"ok": False, "ip": host, "task_name": name, "result": result}
        end((1, document | {"error": result["error"]}, result_text(name, host, result)), as_json)
    elsewhere = not_by_hand(name)
    if elsewhere is not None:
        usage(elsewhere, as_json)
    try:
        given: Any = json.loads(given_text(text, _PARAMS_CAP_BYTES))
    except OSError as error:
        usage(f"--params {text}: {(error.strerror or str(error)).lower()}", as_json)
    except UnicodeDecodeError:
        usage(f"--params {text}: it is not text in UTF-8", as_json)
    except (ValueError, RecursionError) as error:
        meant = f"; did you mean @{text}?" if _is_file(text) else ""
        usage(f"--params is not JSON: {error}{meant}\n{how_to_ask(name, host)}", as_json)
    if not isinstance(given, dict):
        usage(f"--params: a JSON object is needed\n{how_to_ask(name, host)}", as_json)
    try:
        parse_params(name, given)
    except ValueError as error:
        usage(f"--params: {error}\n{how_to_ask(name, host)}", as_json)
    return given


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long to be a name
        return False


def _address(host: str, as_json: bool) -> str:
    from agent.cli.targets import one_address

    try:
        return one_address(host)
    except ValueError as error:
        usage(str(error), as_json)


def _wanted(targets: list[str] | None, csv: str | None, reach: Reach, as_json: bool) -> Wanted:
    """Where a task is to be carried out."""
    from agent.cli.sheet import read_sheet
    from agent.cli.survey import Wanted
    from agent.miners.known import known_miners

    if not targets and csv is None:
        usage("give the miner that is meant, a range, or --csv FILE", as_json)
    ranges = _ranges(targets, as_json) if targets else ()
    try:
        known = {} if csv is None else known_miners(reach.config.state.dir / "inventory.db")
        return Wanted.of(ranges, None if csv is None else read_sheet(csv, known))
    except ValueError as error:
        usage(str(error), as_json)


def _expected(text: str | None, as_json: bool) -> ExpectedCount | None:
    from contract.expected import ExpectedCount

    try:
        return None if text is None else ExpectedCount.parse(text)
    except ValueError as error:
        usage(f"--expect: {error}", as_json)


def _ranges(texts: list[str], as_json: bool) -> tuple[str, ...]:
    from agent.cli.targets import ranges_in

    try:
        return ranges_in(texts)
    except ValueError as error:
        usage(str(error), as_json)


def _scanned(texts: list[str], reach: Reach, as_json: bool) -> tuple[str, ...]:
    from agent.cli.scans.command import ranges_of_names

    try:
        return ranges_of_names(texts, reach.config)
    except ValueError as error:
        usage(str(error), as_json)


def _reach(
    config: Path | None,
    ports: Ports,
    user: str | None,
    password_file: Path | None,
    timeout: float | None,
    device_pace: float | None,
    as_json: bool,
) -> Reach:
    from agent.cli.commands import Reach

    if (user is None) != (password_file is None):
        usage("--user and --password-file go together", as_json)
    return Reach.make(
        config_of(config, required=False, as_json=as_json),
        ports=ports,
        user=user,
        password_file=password_file,
        timeout_s=timeout,
        device_pace=device_pace,
        daemon=not any((*ports.values(), user, device_pace)),
        is_config_named=config is not None,
    )
