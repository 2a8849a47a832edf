"""docs/api.md says what the application serves: its routes, the keys it takes, and the fields of its messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Final

import msgspec
import pytest

import cloud.assets
import cloud.firmware
import cloud.link
import cloud.nonce
import cloud.release
import cloud.rigmonitor
import cloud.updates
from cloud.config import CloudSettings
from cloud.server import create_app
from contract import link, nonce, rigmonitor
from contract.errors import ErrorCode
from contract.keys import keys_at
from contract.subscription import link as ledger_messages
from contract.task import SPECS, TaskName

PAGE: Final = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text("utf-8")


def modules_of(package: ModuleType) -> list[ModuleType]:
    found = iter_modules(package.__path__, f"{package.__name__}.")
    return [import_module(each.name) for each in found]


STRUCTS: Final = {
    name: kind
    for module in (link, ledger_messages, *modules_of(nonce), *modules_of(rigmonitor))
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}
KINDS: Final = {"look": "look", "setting": "setting", "one_shot": "one shot", "event": "record"}


def endpoints() -> dict[tuple[str, str], str]:
    """The section of each endpoint, by method and path."""
    parts = re.split(r"^#{2,3} (.+)$", PAGE, flags=re.MULTILINE)
    found = {}
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        if match := re.fullmatch(r"(GET|POST|PUT|DELETE) (/\S*)", title):
            assert match.groups() not in found, f"{title} stands there twice"
            found[match[1], match[2]] = text
    return found


def tables(text: str) -> Iterator[tuple[str, list[str]]]:
    """The tables in a text: the word over the first column, and the names in the code of that column."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        first = [line.split("|")[1].strip() for line in table.splitlines()]
        yield first[0], [name for cell in first[2:] for name in re.findall(r"`([^`]+)`", cell)]


def keys_in(text: str, word: str) -> list[str]:
    return [name for over, names in tables(text) if over == word for name in names]


def routes(app: Any) -> set[tuple[str, str]]:
    """Without what aiohttp adds for HEAD."""
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD" and route.resource is not None
    }


async def test_every_route_stands_in_the_page_and_no_other(stage: Any, tmp_path: Path) -> None:
    app = create_app(stage.store, CloudSettings(data=tmp_path), stage.clock)
    assert set(endpoints()) == routes(app)


async def test_every_route_that_a_module_of_handlers_declares_is_served(
    stage: Any, tmp_path: Path
) -> None:
    app = create_app(stage.store, CloudSettings(data=tmp_path), stage.clock)
    declared = {
        (each.method, each.path)
        for package in (
            cloud.assets,
            cloud.firmware,
            cloud.link,
            cloud.nonce,
            cloud.release,
            cloud.rigmonitor,
            cloud.updates,
        )
        for module in modules_of(package)
        for each in getattr(module, "ROUTES", ())
    }
    assert declared | {("GET", "/health")} == routes(app)


async def test_the_keys_that_a_call_of_operators_takes_are_those_in_the_page(stage: Any) -> None:
    made = await stage.create("miner.log.get", 1)
    named = {
        "workspace_id": stage.workspace,
        "farm_id": stage.farm,
        "miner_id": stage.miners[1],
        "agent_id": stage.agent,
        "batch_id": made["data"][0]["batch_id"],
        "rig_id": "r",
        "serial": "BOARD1",
        "proposal_id": "1",
        "range_id": "1",
        "group_id": "g",
        "name": "n",
        "playbook_id": "1",
        "task_small_id": "1",
    }

    def told(answer: Any) -> list[str]:
        """From a refusal of a key that is like no other."""
        messages = answer["message"]
        last = messages if isinstance(messages, str) else messages[-1]
        if last.endswith("; none is known here"):
            return []
        assert "known here: " in last, answer
        return sorted(last.partition("known here: ")[2].split(", "))

    for (method, path), text in endpoints().items():
        if not path.startswith("/private-api/"):
            continue
        url = stage.url + path.format(**named)
        answer = await stage.ask(method, f"{url}?0123456789=1", status=400)
        assert told(answer) == sorted(keys_in(text, "query")), (method, path)
        if method == "GET" or path.endswith("/file"):  # whose body is the file
            continue
        answer = await stage.ask(method, url, json={"0123456789": 1}, status=400)
        assert told(answer) == sorted(keys_in(text, "body")), (method, path)


def test_the_fields_of_a_message_are_those_in_the_page() -> None:
    shown = {over: names for over, names in tables(PAGE) if over in STRUCTS}
    assert len(shown) >= 25
    for name, names in shown.items():
        fields = STRUCTS[name].__struct_encode_fields__
        # `pool_N_user` stands for those of pool 1 to 3
        assert sorted(names) == sorted(
            {re.sub(r"_[1-8]_(?!min)", "_N_", each) for each in fields}
        ), name


@pytest.mark.parametrize("name", TaskName)
def test_each_task_stands_in_the_page_with_its_kind_its_limit_and_its_parameters(
    name: TaskName,
) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    _, _, kind, limit, params, _ = (cell.strip() for cell in row.split("|"))
    spec = SPECS[name]
    assert (kind, float(limit)) == (KINDS[spec.kind], spec.limit_s)
    assert set(keys_at(spec.params, ())) <= set(re.findall(r"\w+", params)), row


def test_every_code_of_a_failure_stands_in_the_page() -> None:
    assert [code for code in ErrorCode if f"`{code}`" not in PAGE] == []
