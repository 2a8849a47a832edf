"""`miner-cloud miners`: the miners of a farm as a table, a sheet or JSON."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any, Final, get_args

import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.given import Select, filters_of
from cloud.cli.sheets import joined_tags, written
from cloud.cli.terminal import AsJson, fail, table

Item = Mapping[str, Any]
_PAGE: Final = 1000  # asked for at once


def _as(field: str) -> Callable[[Item], Any]:
    return lambda item: item[field]


def wrong_with(item: Item) -> str:
    """What is wrong with a miner, in words; empty where nothing is."""
    from contract.nonce.miners import ANOMALY_BITS

    health = (item["health_status"] or "").split(",")
    words = [] if item["status"] == "online" else [item["status"]]
    words += [word for word in (item["ops_status"], item["unstable_reason"]) if word]
    words += [word for word in health if word and word != "error"]
    words += [name for name, bit in ANOMALY_BITS.items() if item["anomaly_flags"] >> bit & 1]
    words += [error["message"] for error in item["errors"]]
    return "; ".join(dict.fromkeys(words))


# What can be shown of a miner. SI units, as the API has them.
COLUMNS: Final[Mapping[str, Callable[[Item], Any]]] = {
    **{
        name: _as(name)
        for name in ("id", "name", "ip", "mac", "make", "model", "firmware", "firmware_version")
    },
    "serial": _as("serial_number"),
    **{name: _as(name) for name in ("agent_id", "status", "ops_status", "asset_status")},
    "mode": _as("mining_mode"),
    **{name: _as(name) for name in ("hashrate", "expected_hashrate", "power", "efficiency")},
    "temperature": _as("temp"),
    **{name: _as(name) for name in ("uptime", "hall", "row", "rack", "position")},
    "tags": lambda item: joined_tags(item["tags"]),
    "last_updated_at": _as("last_updated_at"),
    "wrong": wrong_with,
}
# How figures are shown to people: the unit over them, and what they are divided by.
_UNITS: Final = {
    "power": ("W", 1.0),
    "efficiency": ("J/TH", 1.0),
    "temperature": ("degC", 1.0),
    "uptime": ("hours", 3600.0),
}
_RATES: Final = ("hashrate", "expected_hashrate")  # each with its own unit: 110 TH/s, 9.5 GH/s
_SHOWN: Final = (
    *("name", "ip", "model", "status", "mode", "hashrate", "power", "efficiency", "temperature"),
    *("rack", "wrong"),
)


def miners(
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    farm: Farm = None,
    select: Select = None,
    sort: Annotated[
        str | None, typer.Option(help="Columns to sort by, largest first with a dash: rack,-power.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(COLUMNS)}; with commas between.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A sheet; no cell of it is a formula.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The miners of a farm."""
    if as_csv and as_json:
        fail("--csv or --json, one of them", 2)
    body: dict[str, Any] = {**filters_of(select), "sort": _sort(sort)}
    shown = _columns(columns, tuple(COLUMNS) if as_csv else _SHOWN)

    async def work(api: Api) -> list[Any]:
        found: list[Any] = []
        async for items in pages(api, (await api.farm(farm))["id"], body, limit):
            found += items
        return found

    found = with_api(url, key_file, ca_file, work)
    if as_csv:
        cells = ([COLUMNS[name](item) for name in shown] for item in found)
        sys.stdout.writelines(written(shown, cells))
        return
    heads = tuple(_UNITS.get(name, (name, 1.0))[0] for name in shown)
    rows = [
        {head: _cell(name, item) for head, name in zip(heads, shown, strict=True)} for item in found
    ]
    table(found if as_json else rows, heads, as_json)
    if not rows and not as_json and select is not None:
        sys.stderr.write("no miner is selected; text is compared whole, S19* is what begins so\n")


async def pages(
    api: Api, farm_id: str, body: Mapping[str, Any], limit: int | None = None
) -> AsyncIterator[list[Any]]:
    """The miners that a search finds, page after page."""
    number, taken, size = 1, 0, min(limit or _PAGE, _PAGE)
    while True:
        page = {**body, "page": number, "limit": size}
        answer = await api.post(f"/farms/{farm_id}/miner/search", page)
        items = answer["data"] if limit is None else answer["data"][: limit - taken]
        yield items
        taken += len(items)
        if not answer["pagination"]["hasNext"] or taken == limit:
            return
        number += 1


def _sort(text: str | None) -> list[dict[str, str]]:
    from contract.keys import unknown_key
    from contract.nonce.miners import SortField

    keys = [] if text is None else [key.strip() for key in text.split(",")]
    for name in (key.removeprefix("-") for key in keys):
        if name not in get_args(SortField):
            fail(f"--sort: {name}: {unknown_key(name, get_args(SortField), called='column')}", 2)
    return [
        {"field": key.removeprefix("-"), "direction": "desc" if key.startswith("-") else "asc"}
        for key in keys
    ]


def _columns(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    from contract.keys import unknown_key

    if text is None:
        return default
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in COLUMNS:
            fail(f"--columns: {name}: {unknown_key(name, COLUMNS, called='column')}", 2)
    return names


def _cell(name: str, item: Item) -> Any:
    from contract.condition.figures import rate_text

    value = COLUMNS[name](item)
    if value is None or value == "":
        return None
    if name in _RATES:
        return rate_text(value)
    if name in _UNITS:
        return f"{value / _UNITS[name][1]:.1f}".removesuffix(".0")
    return value
