"""`miner-cloud range`: ranges of addresses that have a name."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.terminal import AsJson, say, table

ranges = typer.Typer(no_args_is_help=True, help="Ranges of addresses that have a name.")


@ranges.command("add")
def range_add(
    name: Annotated[str, typer.Argument(help="Such as 'hall A'.")],
    addresses: Annotated[str, typer.Argument(metavar="RANGE", help="10.1.0.0/24, or first-last.")],
    auto_scan: Annotated[
        bool,
        typer.Option(
            "--auto-scan/--no-auto-scan", help="Agents look for miners there, on schedule."
        ),
    ] = True,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a range a name."""

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/ip-ranges"
        body = {"name": name, "range": addresses, "auto_scan": auto_scan}
        return dict((await api.post(path, body))["data"])

    told = with_api(url, key_file, ca_file, work)
    say(told, f"{told['name']} is {told['range']}, {told['addresses']} addresses", as_json)


@ranges.command("list")
def range_list(
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """All named ranges of a farm."""

    async def work(api: Api) -> list[Any]:
        return await api.every(f"/farms/{(await api.farm(farm))['id']}/ip-ranges")

    found = with_api(url, key_file, ca_file, work)
    table(found, ("name", "range", "addresses", "auto_scan", "id"), as_json)


@ranges.command("remove")
def range_remove(
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Forget a name. The miners there stay known."""

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/ip-ranges/{quote(name, safe='')}"
        return dict((await api.delete(path))["data"])

    say(with_api(url, key_file, ca_file, work), f"range {name} is removed", as_json)
