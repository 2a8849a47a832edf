"""`miner-cloud workspace`, `farm`, `key`, `agent`, `enroll-code`: the records that have no page of their own yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cloud.cli.terminal import (
    AsJson,
    Data,
    Name,
    Workspace,
    fail,
    guarded,
    now,
    say,
    say_revoked,
    say_secret,
    show,
    with_store,
)
from contract.roles import Role

if TYPE_CHECKING:
    from cloud.store.engine import Store

workspaces = typer.Typer(no_args_is_help=True, help="Workspaces: what operators' keys belong to.")
farms = typer.Typer(no_args_is_help=True, help="Farms: where miners and agents stand.")
keys = typer.Typer(no_args_is_help=True, help="Operators' API keys.")
agents = typer.Typer(no_args_is_help=True, help="Agents on the farms.")


def enroll_code(
    data: Data,
    farm: Annotated[str, typer.Option(help="Id of the farm the agent stands on.")],
    agent: Annotated[
        str | None, typer.Option(help="Enroll this agent again instead of adding one.")
    ] = None,
    hours: Annotated[
        float, typer.Option(min=0.01, max=8760, help="How long the code is good for.")
    ] = 24.0,
    public_certificate: Annotated[
        bool,
        typer.Option(
            "--public-certificate",
            help="Leave the fingerprint out of the code: agents reach this cloud by a certificate that their hosts "
            "trust, such as a proxy's.",
        ),
    ] = False,
    revoke: Annotated[
        bool,
        typer.Option(
            "--revoke",
            help="Make none, and end those of this farm, or of this agent, that nobody has used.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a one-time code for `miner-agent enroll`. Where the cloud makes its own certificates the code names their
    authority, which is how the agent knows its cloud.
    """
    from cloud.store.access.admin import create_enroll_code, revoke_enroll_codes
    from cloud.tls.public import own_fingerprint
    from contract.enrolment.code import EnrolCode
    from service.hostuser import acting_as_owner

    if revoke:
        ended = with_store(data, lambda store: revoke_enroll_codes(store, farm, agent, now()))
        words = f"codes that nobody had used and that are good no more: {ended}"
        say({"farm_id": farm, "agent_id": agent, "revoked": ended}, words, as_json)
        return

    def named() -> str | None:
        with acting_as_owner(data):
            return None if public_certificate else own_fingerprint(data)

    print_ = guarded(named)
    secret, expires_at = with_store(
        data, lambda store: create_enroll_code(store, farm, agent, now(), hours=hours)
    )
    code = str(EnrolCode(secret, print_))
    say(
        {
            "code": code,
            "farm_id": farm,
            "agent_id": agent,
            "expires_at": expires_at,
            "ca_sha256": print_,
        },
        f"{code}   (good once, until {expires_at:%Y-%m-%d %H:%M} UTC)",
        as_json,
    )


@workspaces.command("create")
def workspace_create(data: Data, name: Name, as_json: AsJson = False) -> None:
    """Add a workspace, and the data directory where there is none."""
    from cloud.store.access.admin import create_workspace

    row = with_store(data, lambda store: create_workspace(store, name, now()), make=True)
    say(row, f"workspace {row['id']}", as_json)


@workspaces.command("list")
def workspace_list(data: Data, as_json: AsJson = False) -> None:
    """All workspaces."""
    from cloud.store.access.admin import list_workspaces

    show(data, list_workspaces, ("id", "name", "created_at", "revoked_at"), as_json)


@workspaces.command("revoke")
def workspace_revoke(workspace: str, data: Data, as_json: AsJson = False) -> None:
    """Stop all keys and agents of a workspace."""
    from cloud.store.access.admin import revoke_workspace

    with_store(data, lambda store: revoke_workspace(store, workspace, now()))
    say_revoked("workspace", workspace, as_json)


@farms.command("create")
def farm_create(
    data: Data,
    name: Name,
    workspace: Annotated[str, typer.Option(help="Id of its workspace.")],
    description: Annotated[str | None, typer.Option()] = None,
    location: Annotated[str | None, typer.Option()] = None,
    hosting_fee: Annotated[float | None, typer.Option(help="USD per kWh.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a farm."""
    from cloud.store.access.admin import create_farm

    row = with_store(
        data,
        lambda store: create_farm(
            store,
            workspace,
            name,
            now(),
            description=description,
            location=location,
            hosting_fee=hosting_fee,
        ),
    )
    say(row, f"farm {row['id']}", as_json)


@farms.command("list")
def farm_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All farms."""
    from cloud.store.access.admin import list_farms

    columns = ("id", "workspace_id", "name", "location", "status", "archived")
    show(data, lambda store: list_farms(store, workspace), columns, as_json)


@farms.command("revoke")
def farm_revoke(farm: str, data: Data, as_json: AsJson = False) -> None:
    """Archive a farm and stop its agents."""
    from cloud.store.access.admin import archive_farm

    with_store(data, lambda store: archive_farm(store, farm, now()))
    say_revoked("farm", farm, as_json, how="archived")


@keys.command("create")
def key_create(
    data: Data,
    name: Name,
    workspace: Annotated[str, typer.Option(help="Id of its workspace.")],
    days: Annotated[
        float | None, typer.Option(min=0.01, max=36_500, help="Expires after so many days.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Name of a person: what is done shows as done by them.")
    ] = None,
    email: Annotated[str | None, typer.Option(help="Of that person.")] = None,
    role: Annotated[
        Role,
        typer.Option(
            help="viewer reads; operator also gives tasks; manager also firmware, pool lock, deleting, archiving."
        ),
    ] = Role.MANAGER,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once and cannot be shown again."""
    from cloud.store.access.admin import create_key

    row, secret = with_store(
        data,
        lambda store: create_key(
            store, workspace, name, now(), days=days, user=user, email=email, role=role
        ),
    )
    say_secret(row, "key", secret, "key", as_json)


@keys.command("list")
def key_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All keys, without the secrets."""
    from cloud.store.access.admin import list_keys

    columns = (
        *("id", "workspace_id", "name", "role", "prefix", "actor_type"),
        *("expires_at", "revoked_at"),
    )
    show(data, lambda store: list_keys(store, workspace), columns, as_json)


@keys.command("revoke")
def key_revoke(key: str, data: Data, as_json: AsJson = False) -> None:
    """Stop a key, by its id."""
    from cloud.store.access.admin import revoke_key

    with_store(data, lambda store: revoke_key(store, key, now()))
    say_revoked("key", key, as_json)


@agents.command("create")
def agent_create(
    data: Data,
    name: Name,
    farm: Annotated[str, typer.Option(help="Id of its farm.")],
    ranges: Annotated[
        list[str] | None, typer.Option("--range", help="Addresses it looks after; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add an agent before it enrolls (enrolling with a code of the farm adds one by itself)."""
    from cloud.store.access.admin import create_agent
    from contract.ranges import parse_range

    for text in ranges or ():
        try:
            parse_range(text)
        except ValueError as error:
            fail(str(error), 2)
    row = with_store(
        data, lambda store: create_agent(store, farm, name, now(), ranges=tuple(ranges or ()))
    )
    say(row, f"agent {row['id']}", as_json)


@agents.command("list")
def agent_list(data: Data, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """All agents: what each runs, and what the cloud's own repository has that is newer."""
    from cloud.store.access.admin import list_agents
    from cloud.updates.newest import newer_than, read_newest

    async def found(store: Store) -> list[dict[str, Any]]:
        newest = read_newest(data)
        return [
            {**row, "newer_version": newer_than(row["version"], newest)}
            for row in await list_agents(store, workspace)
        ]

    columns = (
        *("id", "farm_id", "name", "version", "newer_version", "release"),
        *("enrolled", "last_online_at", "revoked_at"),
    )
    show(data, found, columns, as_json)


@agents.command("revoke")
def agent_revoke(agent: str, data: Data, as_json: AsJson = False) -> None:
    """Stop an agent: its token is refused from now on."""
    from cloud.store.access.admin import revoke_agent

    with_store(data, lambda store: revoke_agent(store, agent, now()))
    say_revoked("agent", agent, as_json)
