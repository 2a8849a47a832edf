"""`miner-cloud part` and `miner`: where a part was before; records that may be of one miner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.terminal import AsJson, fail, say, table
from contract.texts import printable

records = typer.Typer(
    no_args_is_help=True, help="Records that may be of one miner: its control board was swapped."
)
_Proposal = Annotated[int, typer.Argument(metavar="PROPOSAL_ID", min=1)]


def part(
    serial: Annotated[str, typer.Argument(help="Of a hashboard, power supply or control board.")],
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Where a part is, and where it was before."""
    if not serial.strip():
        fail("the serial number is empty", 2)

    async def work(api: Api) -> list[Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/parts/{quote(serial, safe='')}"
        return list((await api.get(path))["data"])

    found = with_api(url, key_file, ca_file, work)
    if as_json:
        table(found, (), as_json)
        return
    rows = [
        {
            "kind": each["kind"],
            "miner": place["miner_name"] or place["ip"] or place["miner_id"],
            "mac": place["mac"],
            "slot": place["slot"],
            "from": place["first_seen_at"],
            "until": "still there" if place["is_there"] else place["last_seen_at"],
        }
        for each in found
        for place in each["places"]
    ]
    table(rows, ("kind", "miner", "mac", "slot", "from", "until"), as_json)
    for each in found:
        if each["doubt"]:
            typer.echo(f"{each['kind']} {printable(serial)}: {printable(each['doubt'])}", err=True)


@records.command("proposals")
def record_proposals(
    status: Annotated[str, typer.Option(help="open, confirmed or rejected.")] = "open",
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Records that may be of one miner, with what speaks for it and against it."""

    async def work(api: Api) -> list[Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/miner-proposals"
        return await api.every(path, {"status": status})

    found = with_api(url, key_file, ca_file, work)
    if as_json:
        table(found, (), as_json)
        return
    for each in found:
        typer.echo("\n".join(map(printable, _lines(each))))
    if not found:
        typer.echo(f"no proposal is {printable(status)}", err=True)


@records.command("confirm")
def record_confirm(
    proposal: _Proposal,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """They are one miner: its record goes on with the control board that it has now."""
    told = _decide(proposal, "confirm", farm, url, key_file, ca_file)
    other = told["swapped_with_id"]
    also = f"; {other} has the other control board" if other else ""
    say(told, f"miner {told['miner_id']} goes on with its new control board{also}", as_json)


@records.command("reject")
def record_reject(
    proposal: _Proposal,
    farm: Farm = None,
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """They are two miners. That is not proposed again while the parts are the same."""
    told = _decide(proposal, "reject", farm, url, key_file, ca_file)
    say(told, f"proposal {proposal} is rejected", as_json)


def _decide(
    proposal: int, how: str, farm: Farm, url: Url, key_file: KeyFile, ca_file: CaFile
) -> dict[str, Any]:
    async def work(api: Api) -> dict[str, Any]:
        path = f"/farms/{(await api.farm(farm))['id']}/miner-proposals/{proposal}/{how}"
        return dict((await api.post(path))["data"])

    return with_api(url, key_file, ca_file, work)


def _lines(item: Mapping[str, Any]) -> list[str]:
    lines = [f"{item['id']}: {_headline(item)} (score {item['score']})"]
    lines += [
        f"    {each['counts']:+d}  {each['message']}" for each in item["evidence"] if each["counts"]
    ]
    if item["swap_with_id"] is not None:
        lines.append(f"    together with proposal {item['swap_with_id']}: the two were swapped")
    lines += [f"    but {doubt}" for doubt in item["doubts"]]
    if item["status"] == "open":
        one = f"they are one miner: miner-cloud miner confirm {item['id']}"
        if item["doubts"]:
            one = "it cannot be confirmed as long as that is so"
        lines.append(f"    {one}; they are two: miner-cloud miner reject {item['id']}")
    return lines


def _headline(item: Mapping[str, Any]) -> str:
    asset, found = item["asset"], item["found"]
    if item["status"] == "confirmed":
        return f"{_called(asset)} went on with the control board that was proposed"
    goes_on = f"{_called(asset)} goes on as {found['mac']} at {found['ip']}"
    return f"not so: {goes_on}" if item["status"] == "rejected" else goes_on


def _called(record: Mapping[str, Any]) -> str:
    return " ".join(each for each in (record["name"], record["ip"], record["mac"]) if each) or str(
        record["id"]
    )
