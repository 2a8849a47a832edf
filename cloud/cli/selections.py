"""`miner-cloud selection`: filters that are kept under a name."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.given import filters_of
from cloud.cli.terminal import AsJson, say, table

selections = typer.Typer(no_args_is_help=True, help="Filters that are kept under a name.")


@selections.command("save")
def selection_save(
    name: Annotated[str, typer.Argument()],
    select: Annotated[str, typer.Option("--select", help="Such as 'model=S21,rack=A*'.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In place of one of that name.")
    ] = False,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep filters under a name, for `task --saved`."""
    filters = filters_of(select)

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/selections"
        body = {"name": name, "filters": filters, "replace": replace}
        return dict((await api.post(path, body))["data"])

    told = with_api(url, key_file, ca_file, work)
    say(told, f"selection {told['name']} is kept", as_json)


@selections.command("list")
def selection_list(
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All selections of a farm."""

    async def work(api: Api) -> list[Any]:
        return await api.every(f"/farms/{(await api.farm(farm))['id']}/selections")

    table(
        with_api(url, key_file, ca_file, work),
        ("name", "filters", "created_by", "created_at"),
        as_json,
    )


@selections.command("delete")
def selection_delete(
    name: Annotated[str, typer.Argument()],
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget one."""

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/selections/{quote(name, safe='')}"
        return dict((await api.delete(path))["data"])

    say(with_api(url, key_file, ca_file, work), f"selection {name} is deleted", as_json)
