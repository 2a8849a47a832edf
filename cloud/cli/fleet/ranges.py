"""`miner-cloud range`: ranges of addresses that have a name."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.terminal import AsJson, fail, say, table
from contract.texts import counted

ranges = typer.Typer(no_args_is_help=True, help="Ranges of addresses that have a name.")


@ranges.command("add")
def range_add(
    name: Annotated[str, typer.Argument(help="Such as 'hall A'.")],
    addresses: Annotated[str, typer.Argument(metavar="RANGE", help="10.1.0.0/24, or first-last.")],
    auto_scan: Annotated[
        bool,
        typer.Option(
            "--auto-scan/--no-auto-scan",
            help="Agents scan it at their start and on their schedule, too.",
        ),
    ] = True,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a range a name, which agents of the farm hear of. Those whose config does not allow it leave it out; their
    doctor says so.
    """

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/ip-ranges"
        body = {"name": name, "range": addresses, "auto_scan": auto_scan}
        return dict((await api.post(path, body))["data"])

    told = with_api(url, key_file, ca_file, work)
    words = (
        f"{told['name']} is {told['range']}, {counted(told['addresses'], 'address', 'addresses')}"
    )
    what = "scan it on their schedule" if told["auto_scan"] else "scan it when asked"
    say(told, f"{words}; agents whose config allows it {what}", as_json)


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
    columns = ("name", "range", "addresses", "auto_scan", "id")
    if as_json:
        table(found, columns, as_json)
        return
    rows = [{**each, "auto_scan": "yes" if each["auto_scan"] else "no"} for each in found]
    table(rows, columns, as_json)


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
    if not name.strip():
        fail("the name is empty", 2)

    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/ip-ranges/{quote(name, safe='')}"
        return dict((await api.delete(path))["data"])

    say(with_api(url, key_file, ca_file, work), f"range {name} is removed", as_json)
