"""`miner-cloud`: serve, migrate, and the groups of commands that change records."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from cloud.cli.audit import audit
from cloud.cli.firmware import firmware
from cloud.cli.fleet.assets import part, records
from cloud.cli.fleet.ranges import ranges
from cloud.cli.fleet.update import updates
from cloud.cli.host.release import releases
from cloud.cli.host.tls import tls
from cloud.cli.miners import miners
from cloud.cli.places import import_places, layout
from cloud.cli.playbooks import playbooks
from cloud.cli.records import agents, enroll_code, farms, keys, workspaces
from cloud.cli.rigs import rigs
from cloud.cli.selections import selections
from cloud.cli.status import status
from cloud.cli.subscriptions import amounts, dispatch, subscriptions, task_classes
from cloud.cli.tasks import groups, task, undo
from cloud.cli.terminal import AsJson, Commands, Data, fail, guarded, say
from service.install.product import CLOUD

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # keys and tokens are among them
    help="The control plane of miner-agent.",
)
app.add_typer(workspaces, name="workspace")
app.add_typer(farms, name="farm")
app.add_typer(keys, name="key")
app.add_typer(agents, name="agent")
app.add_typer(rigs, name="rig")
app.add_typer(playbooks, name="playbook")
app.add_typer(releases, name="release")
app.command("enroll-code")(enroll_code)
app.command("status")(status)
app.command("audit")(audit)
app.command("miners")(miners)
app.command("import")(import_places)
app.command("layout")(layout)
app.command("task")(task)
app.command("undo")(undo)
app.add_typer(groups, name="group")
app.add_typer(selections, name="selection")
app.add_typer(tls, name="tls")
app.add_typer(task_classes, name="task-class")
app.command("dispatch")(dispatch)
app.command("subscriptions")(subscriptions)
app.command("amounts")(amounts)
app.add_typer(firmware, name="firmware")
app.add_typer(updates, name="update")
app.command("part")(part)
app.add_typer(records, name="miner")
app.add_typer(ranges, name="range")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"miner-cloud v{version('miner-agent')}\n")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    """The control plane of miner-agent."""


@app.command()
def serve(
    data: Data,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8080,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="Certificate chain, PEM. [that of miner-cloud tls init, if it made one]"),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="How the outside reaches this server, for links to files: https://cloud.example.net:8443."
        ),
    ] = None,
    insecure_http: Annotated[
        bool,
        typer.Option(
            "--insecure-http",
            help="Plain http, also on other addresses than loopback, and whatever tls init made.",
        ),
    ] = False,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or range of a proxy in front, whose X-Forwarded-For is believed; may be given several times."
        ),
    ] = None,
    rig_header_alias: Annotated[
        bool,
        typer.Option(
            "--rig-header-alias",
            help="Take a machine's code from API-CODE too, for proxies that drop API_CODE.",
        ),
    ] = False,
    farm_miners: Annotated[
        int, typer.Option(min=1, help="Miners that one farm may have, deleted ones included.")
    ] = 100_000,
    keep_days: Annotated[
        float,
        typer.Option(
            min=40, max=36_500, help="Ended tasks, their logs and batches are kept so long."
        ),
    ] = 400.0,
    as_json: AsJson = False,
) -> None:
    """Migrate the database and serve until SIGTERM or SIGINT."""
    from pydantic import ValidationError

    from cloud.config import CloudSettings
    from cloud.logs import set_up_logs
    from cloud.server import serve as run_server
    from cloud.tls.public import is_tls_begun, own_fingerprint
    from contract.words import in_words

    try:
        settings = CloudSettings(
            data=data,
            host=host,
            port=port,
            tls_cert=tls_cert,
            tls_key=tls_key,
            own_tls=tls_cert is None and not insecure_http and is_tls_begun(data),
            public_url=public_url,
            insecure_http=insecure_http,
            proxies=tuple(proxy or ()),
            rig_header_alias=rig_header_alias,
            farm_miners=farm_miners,
            kept_days=keep_days,
        )
    except ValidationError as error:
        fail("; ".join(map(in_words, error.errors(include_url=False))), 2)

    if settings.tls_cert is not None and settings.tls_key is not None:
        _check_tls(settings.tls_cert, settings.tls_key)

    stop = asyncio.Event()

    def ready(url: str) -> None:
        # Whoever reads that it is ready may ask it to stop at once.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        print_ = own_fingerprint(data) if settings.own_tls else None
        words = f"miner-cloud listens on {url}, data in {data}"
        say(
            {"ready": True, "url": url, "ca_sha256": print_},
            words if print_ is None else f"{words}, authority sha256 {print_}",
            as_json,
        )

    set_up_logs()
    guarded(_loop_run(run_server(settings, ready=ready, stop=stop.wait)))


@app.command()
def migrate(data: Data, as_json: AsJson = False) -> None:
    """Bring the database to the schema of this version (serve does it too)."""
    from cloud.store.engine import prepare
    from cloud.store.schema.migrate import migrate as run_migrations
    from service.hostuser import acting_as_owner

    def work() -> tuple[str | None, str]:
        with acting_as_owner(data):
            return run_migrations(prepare(data, make=True))

    before, after = guarded(work)
    words = f"already at {after}" if before == after else f"from {before or 'nothing'} to {after}"
    say({"before": before, "after": after}, f"database {words}", as_json)


@app.command()
def install(dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Run this version as a service of this host. For root; what is done already is left."""
    from service.install.command import install as run_install
    from service.install.pages import of_app

    pages = {CLOUD.name: of_app(app, CLOUD.name)}
    _end(run_install(CLOUD, pages, dry_run=dry_run), as_json)


@app.command()
def uninstall(
    dry_run: DryRun = False,
    purge: Annotated[bool, typer.Option("--purge", help="Remove its data, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away what install did. The data stays."""
    from service.install.command import uninstall as run_uninstall

    _end(run_uninstall(CLOUD, dry_run=dry_run, purge=purge), as_json)


def _end(answer: tuple[int, dict[str, Any], str], as_json: bool) -> None:
    code, document, text = answer
    if code:
        fail(text, code)
    say(document, text, as_json)


def _check_tls(cert: Path, key: Path) -> None:
    """Name the file that cannot be used, which the library does not; exit 2."""
    import ssl

    for option, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            fail(f"{option} {path} cannot be read: {(error.strerror or str(error)).lower()}", 2)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as error:
        fail(
            f"--tls-cert {cert} and --tls-key {key} are no certificate with its key, in PEM: "
            f"{error.reason or error}",
            2,
        )


def _loop_run(work: Coroutine[Any, Any, None]) -> Callable[[], None]:
    def run() -> None:
        try:
            import uvloop
        except ImportError:
            asyncio.run(work)
        else:
            uvloop.run(work)

    return run
