"""`miner-cloud`: serve, and the few records that have no page of their own yet."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import msgspec
import typer

if TYPE_CHECKING:
    from cloud.store.engine import Store

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # keys and tokens are among them
    help="The control plane of miner-agent.",
)
workspaces = typer.Typer(no_args_is_help=True, help="Workspaces: what operators' keys belong to.")
farms = typer.Typer(no_args_is_help=True, help="Farms: where miners and agents stand.")
keys = typer.Typer(no_args_is_help=True, help="Operators' API keys.")
agents = typer.Typer(no_args_is_help=True, help="Agents on the farms.")
app.add_typer(workspaces, name="workspace")
app.add_typer(farms, name="farm")
app.add_typer(keys, name="key")
app.add_typer(agents, name="agent")

Data = Annotated[
    Path, typer.Option("--data", envvar="MINER_CLOUD_DATA", help="Directory of database and files.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Workspace = Annotated[str | None, typer.Option("--workspace", help="Only those of this workspace.")]


def main() -> None:
    """Entry point. Exit 0 done, 1 failed, 2 wrong usage."""
    missing = [name for name in ("sqlalchemy", "aiosqlite", "alembic") if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"miner-cloud needs the extra [cloud] ({', '.join(missing)} missing): pip install 'miner-agent[cloud]'\n"
        )
        raise SystemExit(1)
    app()


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
    port: Annotated[int, typer.Option(help="0 takes any free port.")] = 8080,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    public_url: Annotated[
        str | None, typer.Option(help="How the outside reaches this server, for links to files.")
    ] = None,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Plain http on other addresses than loopback.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Migrate the database and serve until SIGTERM or SIGINT."""
    from pydantic import ValidationError

    from cloud.config import CloudSettings
    from cloud.logs import set_up_logs
    from cloud.server import serve as run_server

    try:
        settings = CloudSettings(
            data=data,
            host=host,
            port=port,
            tls_cert=tls_cert,
            tls_key=tls_key,
            public_url=public_url,
            insecure_http=insecure_http,
        )
    except ValidationError as error:
        _fail(
            "; ".join(str(each["msg"]).removeprefix("Value error, ") for each in error.errors()), 2
        )

    if settings.tls_cert is not None and settings.tls_key is not None:
        _check_tls(settings.tls_cert, settings.tls_key)

    def ready(url: str) -> None:
        _say({"ready": True, "url": url}, f"miner-cloud listens on {url}, data in {data}", as_json)

    set_up_logs()
    _guarded(_loop_run(run_server(settings, ready=ready, stop=_until_signal)))


@app.command()
def migrate(data: Data, as_json: AsJson = False) -> None:
    """Bring the database to the schema of this version (serve does it too)."""
    from cloud.store.engine import sqlite_url
    from cloud.store.migrate import migrate as run_migrations

    def work() -> tuple[str | None, str]:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return run_migrations(sqlite_url(data))

    before, after = _guarded(work)
    words = f"already at {after}" if before == after else f"from {before or 'nothing'} to {after}"
    _say({"before": before, "after": after}, f"database {words}", as_json)


@app.command("enroll-code")
def enroll_code(
    data: Data,
    farm: Annotated[str, typer.Option(help="Id of the farm the agent stands on.")],
    agent: Annotated[
        str | None, typer.Option(help="Enroll this agent again instead of adding one.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, help="How long the code is good for.")] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Make a one-time code for `miner-agent enroll`."""
    from cloud.store.admin import create_enroll_code

    code, expires_at = _with_store(
        data, lambda store: create_enroll_code(store, farm, agent, _now(), hours=hours)
    )
    _say(
        {"code": code, "farm_id": farm, "agent_id": agent, "expires_at": expires_at},
        f"{code}   (good once, until {expires_at:%Y-%m-%d %H:%M} UTC)",
        as_json,
    )


@workspaces.command("create")
def workspace_create(
    data: Data, name: Annotated[str, typer.Option()], as_json: AsJson = False
) -> None:
    """Add a workspace."""
    from cloud.store.admin import create_workspace

    row = _with_store(data, lambda store: create_workspace(store, name, _now()))
    _say(row, f"workspace {row['id']}", as_json)


@workspaces.command("list")
def workspace_list(data: Data, as_json: AsJson = False) -> None:
    """All workspaces."""
    from cloud.store.admin import list_workspaces

    _table(_with_store(data, list_workspaces), ("id", "name", "created_at", "revoked_at"), as_json)


@workspaces.command("revoke")
def workspace_revoke(workspace: str, data: Data, as_json: AsJson = False) -> None:
    """Stop all keys and agents of a workspace."""
    from cloud.store.admin import revoke_workspace

    _with_store(data, lambda store: revoke_workspace(store, workspace, _now()))
    _say({"id": workspace, "revoked": True}, f"workspace {workspace} revoked", as_json)


@farms.command("create")
def farm_create(
    data: Data,
    name: Annotated[str, typer.Option()],
    workspace: Annotated[str, typer.Option(help="Id of its workspace.")],
    description: Annotated[str | None, typer.Option()] = None,
    location: Annotated[str | None, typer.Option()] = None,
    hosting_fee: Annotated[float | None, typer.Option(help="USD per kWh.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a farm."""
    from cloud.store.admin import create_farm

    row = _with_store(
        data,
        lambda store: create_farm(
            store,
            workspace,
            name,
            _now(),
            description=description,
            location=location,
            hosting_fee=hosting_fee,
        ),
    )
    _say(row, f"farm {row['id']}", as_json)


@farms.command("list")
def farm_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All farms."""
    from cloud.store.admin import list_farms

    found = _with_store(data, lambda store: list_farms(store, workspace))
    _table(found, ("id", "workspace_id", "name", "location", "status", "archived"), as_json)


@farms.command("revoke")
def farm_revoke(farm: str, data: Data, as_json: AsJson = False) -> None:
    """Archive a farm and stop its agents."""
    from cloud.store.admin import archive_farm

    _with_store(data, lambda store: archive_farm(store, farm, _now()))
    _say({"id": farm, "revoked": True}, f"farm {farm} archived", as_json)


@keys.command("create")
def key_create(
    data: Data,
    name: Annotated[str, typer.Option()],
    workspace: Annotated[str, typer.Option(help="Id of its workspace.")],
    days: Annotated[
        float | None, typer.Option(min=0.01, help="Expires after so many days.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Name of a person: what is done shows as done by them.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Of that person.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    from cloud.store.admin import create_key

    row, secret = _with_store(
        data,
        lambda store: create_key(store, workspace, name, _now(), days=days, user=user, email=email),
    )
    _say(row | {"key": secret}, f"{secret}   (key {row['id']}; shown only now)", as_json)


@keys.command("list")
def key_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All keys, without the secrets."""
    from cloud.store.admin import list_keys

    found = _with_store(data, lambda store: list_keys(store, workspace))
    columns = ("id", "workspace_id", "name", "prefix", "actor_type", "expires_at", "revoked_at")
    _table(found, columns, as_json)


@keys.command("revoke")
def key_revoke(key: str, data: Data, as_json: AsJson = False) -> None:
    """Stop a key, by its id."""
    from cloud.store.admin import revoke_key

    _with_store(data, lambda store: revoke_key(store, key, _now()))
    _say({"id": key, "revoked": True}, f"key {key} revoked", as_json)


@agents.command("create")
def agent_create(
    data: Data,
    name: Annotated[str, typer.Option()],
    farm: Annotated[str, typer.Option(help="Id of its farm.")],
    ranges: Annotated[
        list[str] | None, typer.Option("--range", help="Addresses it looks after; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an agent before it enrolls (enrolling with a code of the farm adds one by itself)."""
    from cloud.store.admin import create_agent
    from contract.ranges import parse_range

    for text in ranges or ():
        try:
            parse_range(text)
        except ValueError as error:
            _fail(str(error), 2)
    row = _with_store(
        data, lambda store: create_agent(store, farm, name, _now(), ranges=tuple(ranges or ()))
    )
    _say(row, f"agent {row['id']}", as_json)


@agents.command("list")
def agent_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All agents."""
    from cloud.store.admin import list_agents

    found = _with_store(data, lambda store: list_agents(store, workspace))
    columns = ("id", "farm_id", "name", "version", "enrolled", "last_online_at", "revoked_at")
    _table(found, columns, as_json)


@agents.command("revoke")
def agent_revoke(agent: str, data: Data, as_json: AsJson = False) -> None:
    """Stop an agent: its token is refused from now on."""
    from cloud.store.admin import revoke_agent

    _with_store(data, lambda store: revoke_agent(store, agent, _now()))
    _say({"id": agent, "revoked": True}, f"agent {agent} revoked", as_json)


def _with_store(data: Path, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """Run one piece of work on the database of a data directory, beside a running server if there is one."""
    from cloud.store.engine import Store, sqlite_url
    from cloud.store.migrate import migrate as run_migrations

    async def run() -> T:
        store = Store.at(sqlite_url(data))
        try:
            return await work(store)
        finally:
            await store.close()

    def both() -> T:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_migrations(sqlite_url(data))
        return asyncio.run(run())

    return _guarded(both)


def _guarded(work: Callable[[], T]) -> T:
    """What an operator can mend is said in one line; exit 1."""
    from cloud.store.admin import NotThereError
    from cloud.store.engine import DatabaseError
    from cloud.store.migrate import NewerDatabaseError

    try:
        return work()
    except (NotThereError, NewerDatabaseError) as error:
        _fail(str(error), 1)
    except (OSError, ValueError) as error:
        _fail(f"{error}", 1)
    except DatabaseError as error:
        _fail(f"database: {error}", 1)


def _check_tls(cert: Path, key: Path) -> None:
    """Name the file that cannot be used, which the library does not; exit 2."""
    import ssl

    for option, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            path.read_bytes()
        except OSError as error:
            _fail(f"{option} {path} cannot be read: {(error.strerror or str(error)).lower()}", 2)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as error:
        _fail(
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


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def _now() -> Any:
    from contract.clock import SystemClock

    return SystemClock().now()


def _say(document: dict[str, Any], words: str, as_json: bool) -> None:
    text = msgspec.json.encode(document).decode() if as_json else words
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _table(found: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    cells = [columns, *([_cell(row[name]) for name in columns] for row in found)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else str(value)


def _fail(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"miner-cloud: {message}\n")
    raise typer.Exit(status)
