"""The pages of this repository lead somewhere, and say what the code says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from typer.main import get_command

from agent.config.file import Config
from agent.sinks.prometheus import COUNTERS, GAUGES
from cloud.cli.commands import app
from tests.borders.guards import GUARDS
from tests.pages import ROOT, anchors, links, pages

OPERATIONS = ROOT / "docs" / "operations.md"
EVERY_KEY = (ROOT / "docs" / "security.md").read_text("utf-8").partition("\n## Every key\n")[2]
_OURS = ("agent", "cloud", "contract", "drivers", "release", "service")
_HOLE = "..."


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_that_is_there_and_to_a_heading_in_it(page: Path) -> None:
    lost = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            anchor and (target.suffix != ".md" or anchor not in anchors(target))
        ):
            lost.append(link)
    assert lost == []


def test_every_row_stands_in_a_table() -> None:
    """After a blank line a row needs a head of its own, or whoever renders the page shows it as text."""
    for page in pages():
        lines = ["", *page.read_text("utf-8").splitlines(), ""]
        for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
            if line.startswith("|") and not before.startswith("|"):
                assert re.fullmatch(r"\|[\s:|-]+\|", after), (page.name, line)


def test_every_page_of_the_docs_is_linked_by_the_readme() -> None:
    linked = {(ROOT / each.partition("#")[0]).resolve() for each in links(ROOT / "README.md")}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_the_readme_counts_the_guards() -> None:
    assert f"Each of the {len(GUARDS)} guards" in (ROOT / "README.md").read_text("utf-8")


@cache
def texts() -> str:
    """Every text in the code, a line each, with dots where something is filled in."""
    found = []
    for room in _OURS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append(
                        "".join(
                            str(part.value) if isinstance(part, ast.Constant) else _HOLE
                            for part in node.values
                        )
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(each.replace("\n", " ") for each in found)


def first_cells(over: str) -> list[str]:
    """What stands in code in the first column of the table of operations.md that begins with these words."""
    table = OPERATIONS.read_text("utf-8").partition(f"\n| {over} |")[2].partition("\n\n")[0]
    return [
        each
        for line in table.splitlines()[2:]
        for each in re.findall(r"`([^`]+)`", line.split("|")[1])
    ]


def test_the_metrics_are_those_that_are_served() -> None:
    served = {f"miner_agent_{name}" for name in (*COUNTERS, *GAUGES)}
    named = first_cells("metric")
    assert (set(named), len(named)) == (served, len(served))


def test_the_events_to_watch_for_are_logged() -> None:
    logged = texts().splitlines()
    events = first_cells("event in the log")
    assert len(events) > 10
    assert [each for each in events if each not in logged] == []


def messages() -> Iterator[str]:
    """What the tables of the troubleshooting say is printed."""
    section = OPERATIONS.read_text("utf-8").partition("\n## Troubleshooting\n")[2]
    for line in re.findall(r"^\| (.+?) \| ", section, re.MULTILINE):
        yield from (each for each in re.findall(r"`([^`]+)`", line) if " " in each)


def test_what_the_troubleshooting_says_is_printed_is_printed() -> None:
    """Piece by piece between the dots: a message may be put together of several texts."""
    pieces = [
        piece.strip(" ;:")
        for message in messages()
        for piece in re.sub(r"^[a-z_]+: ", "", message).split(_HOLE)
    ]
    known = texts()
    assert len(pieces) > 60
    assert [each for each in pieces if len(each) > 3 and each not in known] == []


def keys_of(model: type[BaseModel]) -> Iterator[str]:
    """The names in a model and in all that are below it."""
    for name, field in model.model_fields.items():
        yield name
        for each in (field.annotation, *get_args(field.annotation)):
            if isinstance(each, type) and issubclass(each, BaseModel):
                yield from keys_of(each)


def test_whatever_of_the_config_holds_or_names_a_key_is_among_every_key() -> None:
    """What is public is left out: authorities of others, a certificate, the log of a mining program."""
    found = {
        name
        for name in keys_of(Config)
        if re.search(r"(_file|key|keys|keystore|proxy|token|secret|password)$", name)
    } - {"ca_file", "log_file", "behind_proxy"}
    assert {"token_file", "key_file", "host_key", "codes_file", "proxy", "keystore"} <= found
    assert [name for name in sorted(found) if f"`{name}`" not in EVERY_KEY] == []


def commands_of(group: Any, *before: str) -> Iterator[str]:
    """The whole name of each command below a group."""
    for name, each in group.commands.items():
        if hasattr(each, "commands"):
            yield from commands_of(each, *before, name)
        else:
            yield " ".join((*before, name))


def test_whatever_command_makes_or_ends_a_key_is_among_every_key() -> None:
    """Those of releases on the page of their own."""
    told = EVERY_KEY + (ROOT / "docs" / "releases.md").read_text("utf-8")
    found = [
        each
        for each in commands_of(get_command(app))
        if re.search(r"(revoke|new-code|keygen|rotate-.*|enroll-code|tls init)$", each)
    ]
    assert {"key revoke", "rig new-code", "tls rotate-ca", "release keygen"} <= set(found)
    assert [each for each in found if each not in told] == []
