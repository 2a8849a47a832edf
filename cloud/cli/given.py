"""What operators' commands are given as text: filters, a moment, JSON. Exit 2 for what is none."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import typer

from cloud.cli.since import parse_since
from cloud.cli.terminal import fail, now
from contract.selection import parse_selection
from service.given import given_text

Select = Annotated[
    str | None,
    typer.Option(
        "--select", help="Which miners: model=S21*,rack=A1|A2,power>3000,tags=hot,status!=offline."
    ),
]
_JSON_BYTES: Final = 1024 * 1024


def filters_of(select: str | None) -> dict[str, Any]:
    """Of `--select`; none where it is left out."""
    if select is None:
        return {}
    if select.strip() in ("*", "all"):
        fail("--select: for every miner of the farm, give --all in its place", 2)
    try:
        return parse_selection(select)
    except ValueError as error:
        fail(f"--select: {error}", 2)


def moment_of(since: str) -> datetime:
    """Of `--since`."""
    try:
        return parse_since(since, now())
    except ValueError as error:
        fail(f"--since: {error}", 2)


def read_json(option: str, text: str) -> dict[str, Any]:
    """A JSON object: the text itself, `@` and a file, or `-` for standard input."""
    try:
        found = msgspec.json.decode(given_text(text, _JSON_BYTES))
    except OSError as error:
        fail(f"{option} {text} cannot be read: {(error.strerror or str(error)).lower()}", 2)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fail(f'{option} is no JSON, such as {{"mode": "sleep"}}: {error}', 2)
    if not isinstance(found, dict):
        fail(f'{option} is no JSON object, such as {{"mode": "sleep"}}', 2)
    return found
