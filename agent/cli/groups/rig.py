"""`miner-agent rig`: enrol rigs, list them, take them away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.answers import end
from agent.cli.given import DEFAULT_CONFIG, ConfigFile, Json, config_of, usage

rig_app = typer.Typer(
    help="Enrol rigs of processors and graphics cards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@rig_app.command("add")
def rig_add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    ssh: Annotated[
        str | None, typer.Option(metavar="USER@HOST[:PORT]", help="Reach it by SSH.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="This host is the rig.")] = False,
    key: Annotated[
        Path | None, typer.Option(help="Our private key for it, without a passphrase.")
    ] = None,
    program: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:PORT[:TOKEN_FILE]",
            help="What mines on it, and the port of its API on the rig's loopback; as often as needed.",
        ),
    ] = None,
    reboot: Annotated[
        str | None, typer.Option(help="The command that restarts it; it is run without a shell.")
    ] = None,
    root: Annotated[
        str | None, typer.Option(help="Where its /sys and /proc are, if not at /.")
    ] = None,
    host_key: Annotated[
        str | None,
        typer.Option(help="Its public host key or the SHA256 of it, in place of the question."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Take the key that it shows now, without a question.")
    ] = False,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Enrol a rig: its host key is shown and pinned, it is read once, and it is written down beside the config."""
    from agent.cli.rigs import NewRig, run_rig_add

    if (ssh is None) != local:
        usage("give one of --ssh USER@HOST and --local", as_json)
    if as_json and ssh is not None and host_key is None and not yes:
        usage("with --json nobody is asked: give --host-key, or --yes", as_json)
    rig = NewRig(
        name=name,
        ssh=ssh,
        key=key,
        programs=tuple(program or ()),
        reboot=reboot,
        root=root,
        host_key=host_key,
    )
    path = config or DEFAULT_CONFIG
    used = config_of(config, required=True, as_json=as_json)

    def confirm(question: str) -> bool:
        try:
            return yes or typer.confirm(question, err=True)
        except typer.Abort as error:
            if not isinstance(error.__context__, EOFError):
                raise  # Ctrl-C
            usage("nobody answers here: give --host-key, or --yes", as_json)

    end(run_rig_add(used, path, rig, confirm), as_json)


@rig_app.command("list")
def rig_list(config: ConfigFile = None, as_json: Json = False) -> None:
    """List the rigs that are enrolled."""
    from agent.cli.rigs import run_rig_list

    end(run_rig_list(config_of(config, required=False, as_json=as_json)), as_json)


@rig_app.command("remove")
def rig_remove(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Take a rig away that was enrolled by `rig add`."""
    from agent.cli.rigs import run_rig_remove

    path = config or DEFAULT_CONFIG
    end(run_rig_remove(config_of(config, required=True, as_json=as_json), path, name), as_json)
