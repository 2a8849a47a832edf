"""`miner-cloud import` and `layout`: names, places and tags of many miners, shown first and written with --apply."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from cloud.cli.api import URL_DEFAULT, Api, CaFile, Farm, KeyFile, Url, with_api
from cloud.cli.given import Select, filters_of
from cloud.cli.miners import COLUMNS, pages
from cloud.cli.sheets import joined_tags, read_sheet
from cloud.cli.terminal import AsJson, fail, table
from contract.sheets import SheetError
from contract.texts import printable

Updates = Mapping[str, Mapping[str, Any]]  # by what people know them by: a line, an address
_FIELDS: Final = ("hall", "row", "rack", "position")
_FIELD: Final = re.compile(r"\{(\w*)\}")
_SHOWN_MAX: Final = 50  # changes, and faults, in words; --json shows more
Apply = Annotated[bool, typer.Option("--apply", help="Write it; without this it is only shown.")]


def import_places(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, or - for standard input.")],
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    farm: Farm = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Take names, halls, rows, racks, positions and tags from a sheet with a column id, mac, ip, serial or name. An
    empty cell leaves what there is, - takes it away; tags have semicolons between.
    """
    from contract.nonce.places import PLACES_MAX

    where = "standard input" if str(file) == "-" else str(file)
    try:
        with nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb") as opened:
            rows, passed = read_sheet(opened, ignored=tuple(COLUMNS), rows_max=PLACES_MAX)
    except SheetError as error:
        fail(f"{where}: {error}", 1)
    except OSError as error:
        fail(f"{where} cannot be read: {(error.strerror or str(error)).lower()}", 2)
    if passed and not as_json:
        sys.stderr.write(f"not imported: {', '.join(passed)}\n")
    if not rows:
        fail(f"{where} has no rows", 1)
    faults = {f"line {row.line}": "; ".join(row.faults) for row in rows if row.faults}
    updates = {f"line {row.line}": row.update for row in rows if not row.faults}
    with_api(
        url, key_file, ca_file, lambda api: _carry_out(api, farm, updates, faults, apply, as_json)
    )


def layout(
    pattern: Annotated[str, typer.Argument(help="Of addresses: 10.{hall}.{rack}.{position}")],
    url: Url = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    farm: Farm = None,
    select: Select = None,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Take places from addresses: of each octet {hall}, {row}, {rack}, {position}, a number, or * for any."""
    address = _address(pattern)
    body = filters_of(select)

    async def work(api: Api) -> None:
        farm_id = (await api.farm(farm))["id"]
        updates: dict[str, dict[str, Any]] = {}
        others = 0
        async for items in pages(api, farm_id, body):
            for item in items:
                match = address.fullmatch(item["ip"])
                others += match is None
                if match is not None:
                    place: dict[str, Any] = match.groupdict()
                    if "position" in place:
                        place["position"] = int(place["position"])
                    updates[item["ip"]] = {"miner": item["id"], **place}
        if others and not as_json:
            sys.stderr.write(f"left as they are, at other addresses: {others}\n")
        if not updates:
            fail(f"no miner has an address like {pattern}", 1)
        await _carry_out(api, farm_id, updates, {}, apply, as_json)

    with_api(url, key_file, ca_file, work)


async def _carry_out(
    api: Api,
    farm: str | None,
    updates: Updates,
    faults: dict[str, str],
    apply: bool,
    as_json: bool,
) -> None:
    """Show what would change and what is wrong; write it where it is to be and nothing is wrong. Exit 1 otherwise."""
    path = f"/farms/{(await api.farm(farm))['id']}/miners/places"
    labels, changes = list(updates), list(updates.values())
    found: dict[str, Any] = {"changed_count": 0, "unchanged_count": 0, "changes": [], "faults": []}
    if changes:
        found = (await api.post(path, {"updates": changes, "dry_run": True}))["data"]
    for fault in found["faults"]:
        same = fault["same_as"]
        words = fault["message"] if same is None else f"the same miner as in {labels[same]}"
        faults[labels[fault["index"]]] = words
    fault_count = max(len(faults), found.get("fault_count", 0))
    done = apply and not faults and found["changed_count"] > 0
    if done:
        found = (await api.post(path, {"updates": changes}))["data"]
    shown = [
        {"at": labels[each["index"]], **{name: each[name] for name in ("ip", "before", "after")}}
        for each in found["changes"]
    ]
    if as_json:
        document = {
            "applied": done,
            "changed_count": found["changed_count"],
            "unchanged_count": found["unchanged_count"],
            "fault_count": fault_count,
            "changes": shown,
            "faults": [{"at": at, "message": words} for at, words in faults.items()],
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        _show(shown, faults, fault_count, found, done=done, apply=apply)
    if faults:
        raise typer.Exit(1)


def _show(
    changes: Sequence[Mapping[str, Any]],
    faults: Mapping[str, str],
    fault_count: int,
    found: Mapping[str, Any],
    *,
    done: bool,
    apply: bool,
) -> None:
    rows = [
        {"at": each["at"], "ip": each["ip"], "change": _difference(each)}
        for each in changes[:_SHOWN_MAX]
    ]
    if rows:
        table(rows, ("at", "ip", "change"), as_json=False)
    if found["changed_count"] > len(rows):
        sys.stdout.write(f"... and {found['changed_count'] - len(rows)} more\n")
    for at, words in list(faults.items())[:_SHOWN_MAX]:
        sys.stderr.write(f"{at}: {printable(words)}\n")
    if fault_count > _SHOWN_MAX:
        sys.stderr.write(f"... and {fault_count - _SHOWN_MAX} more faults\n")
    changed, unchanged = found["changed_count"], found["unchanged_count"]
    words = f"{changed} changed" if done else f"{changed} would change"
    sys.stdout.write(f"{words}, {unchanged} as they should be, {fault_count} at fault\n")
    if faults:
        sys.stdout.write("nothing is written as long as there is a fault\n")
    elif changed and not apply:
        sys.stdout.write("nothing is written yet: --apply does it\n")


def _difference(change: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}: {_plain(change['before'][name])} -> {_plain(value)}"
        for name, value in change["after"].items()
    )


def _plain(value: Any) -> str:
    text = joined_tags(value) if isinstance(value, list) else value
    return "-" if text in (None, "") else str(text)


def _address(pattern: str) -> re.Pattern[str]:
    """What addresses of a layout look like. Exit 2 for what is no pattern."""
    from contract.keys import unknown_key

    octets = pattern.strip().split(".")
    if len(octets) != 4:
        fail(
            f"{pattern!r} has no four octets; write for example 10.{{hall}}.{{rack}}.{{position}}",
            2,
        )
    parts, fields = [], []
    for octet in octets:
        match = _FIELD.fullmatch(octet)
        if match is not None:
            fields.append(match[1])
            parts.append(f"(?P<{match[1]}>[0-9]+)")
        elif octet == "*":
            parts.append("[0-9]+")
        elif octet.isascii() and octet.isdigit() and int(octet) <= 255:
            parts.append(str(int(octet)))
        else:
            fail(f"{octet!r} is no octet: a number, * or one of {', '.join(_FIELDS)} in braces", 2)
    for field in fields:
        if field not in _FIELDS:
            fail(f"{{{field}}}: {unknown_key(field, _FIELDS, called='place')}", 2)
    if len(set(fields)) < len(fields) or not fields:
        fail("each of the places stands in the pattern at most once, and one at least", 2)
    return re.compile(r"\.".join(parts))
