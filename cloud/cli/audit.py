"""`miner-cloud audit`: who did what, and who rebooted this one."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
import typer

from cloud.cli.api import URL_DEFAULT, Api, ApiRefusedError, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.given import moment_of
from cloud.cli.terminal import AsJson, fail
from contract.nonce.times import nonce_time, parse_time
from contract.task import SPECS
from contract.texts import printable

_ID: Final = re.compile(r"[0-9a-f]{32}")
_SLACK: Final = timedelta(minutes=15)  # between an order and the start that it leads to
_CELL: Final = 160  # characters of parameters and changes in a line


def audit(
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    farm: Farm = None,
    miner: Annotated[
        str | None, typer.Option(help="Only this one: its id, MAC, address, serial number or name.")
    ] = None,
    actor: Annotated[str | None, typer.Option(help="Id or name of who did it.")] = None,
    key: Annotated[str | None, typer.Option(help="Id of the key it was done with.")] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(help="Such as miner.system.reboot or key.create; may be given several times."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="3h, 12:00, 2026-11-29 or a whole time.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, the newest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Who did what, newest first: of the workspace, of a farm, of one miner."""
    query = {"page": "1", "pageSize": str(limit)}
    if since is not None:
        query["from_time"] = nonce_time(moment_of(since))
    query |= {name: text for name, text in (("actor", actor), ("key", key)) if text}
    if action:
        query["action"] = ",".join(action)

    async def work(api: Api) -> tuple[list[Any], int, dict[str, Any] | None]:
        at = "" if farm is None else f"/farms/{(await api.farm(farm))['id']}"
        found: dict[str, Any] | None = None
        if miner is not None:
            if not _ID.fullmatch(miner):
                found = await _miner(api, farm, miner)
            query["miner"] = miner if found is None else found["id"]
        answer = await api.get(f"{at}/audit", query)
        return answer["data"], answer["pagination"]["total"], found

    items, total, found = with_api(url, key_file, ca_file, work)
    start = None if found is None else _start(found)
    if as_json:
        document: dict[str, Any] = {"total": total, "items": items}
        if start is not None:
            document["running_since"] = nonce_time(start)
            document["start_ordered_by"] = _orders(items, start)
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for item in items:
        sys.stdout.write(_line(item) + "\n")
    if not items:
        sys.stdout.write("nothing of the kind was done\n")
    if total > len(items):
        sys.stdout.write(f"and {total - len(items)} more, older: --limit, --since\n")
    if start is not None:
        orders = _orders(items, start)
        words = "by " + ", ".join(orders) if orders else "ordered by nobody that is listed here"
        sys.stdout.write(f"{_when(start)}  it runs since then, by its own count: {words}\n")


async def _miner(api: Api, farm: str | None, text: str) -> dict[str, Any]:
    """The one miner of the farm that is called so; exit 2 where that is not one."""
    at = f"/farms/{(await api.farm(farm))['id']}"
    try:
        return dict((await api.get(f"{at}/miners/{quote(text, safe='')}"))["data"])
    except ApiRefusedError as error:
        fail(f"--miner {text}: {error}", 2)


def _line(item: Mapping[str, Any]) -> str:
    """One write in a line that a person reads: when, who, what, and what became of it."""
    actor, task = item["actor"], item.get("task")
    who = actor["name"] or actor["id"]
    if actor["id"] == "command line":
        who = f"{who}, by command"
    origin = ", ".join(filter(None, (item["key_id"], item["address"])))
    parts = [_when(parse_time(item["at"])), f"{who} ({origin})" if origin else who, item["action"]]
    if task is None:
        changes = (_shown(item["before"]), _shown(item["after"]))
        parts += [f"{item['target_kind']} {item['target_id']}", " -> ".join(filter(None, changes))]
    else:
        parts.append(_shown(task["params"]))
        if task["before"] or task["after"]:
            parts.append(f"{_shown(task['before'])} -> {_shown(task['after'])}")
        parts.append(" ".join(filter(None, (task["status"], _aside(task)))))
    return "  ".join(map(printable, filter(None, parts)))


def _aside(task: Mapping[str, Any]) -> str:
    """What its status leaves open."""
    if task["outcome"] == "unknown":
        return "(whether it happened is not known)"
    return f"({task['error']})" if task["error"] else ""


def _start(miner: Mapping[str, Any]) -> datetime | None:
    """When it began to run, by its own count and as of the last look; None where that is not told."""
    if miner["uptime"] is None or miner["last_updated_at"] is None:
        return None
    return parse_time(miner["last_updated_at"]) - timedelta(seconds=miner["uptime"])


def _orders(items: Sequence[Mapping[str, Any]], start: datetime) -> list[str]:
    """The tasks among these that were being carried out at the miner as it started."""
    by_agents = {name.value for name, spec in SPECS.items() if spec.by_agent}
    found = []
    for item in items:
        task = item.get("task")
        if task is None or task["begun_at"] is None or item["action"] not in by_agents:
            continue
        ended = task["ended_at"] and parse_time(task["ended_at"])
        is_after = start >= parse_time(task["begun_at"]) - timedelta(minutes=1)
        if is_after and (ended is None or start <= ended + _SLACK):
            found.append(f"{item['action']} of {item['actor']['name'] or item['actor']['id']}")
    return found


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown(value: Any) -> str:
    """Values as `name=value`, short."""
    if not isinstance(value, dict):
        return ""
    words = (
        f"{name}={each if isinstance(each, str) else _json(each)}" for name, each in value.items()
    )
    text = " ".join(words)
    return text if len(text) <= _CELL else f"{text[: _CELL - 3]}..."


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
