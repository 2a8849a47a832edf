"""Ranges that have a name: kept of a farm, told to its agents, held against orders to scan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.assets.farm import Yard
from tests.cloud.conftest import Cloud


@pytest.fixture
async def yard(cloud: Cloud) -> Yard:
    return await Yard.at(cloud)


async def add(yard: Yard, name: str, text: str, *, status: int = 200, **more: Any) -> Any:
    body = {"name": name, "range": text} | more
    return await yard.ask("POST", "/ip-ranges", json=body, status=status)


async def test_a_range_is_told_to_agents_with_their_settings(yard: Yard) -> None:
    _, before = await yard.agent.call("GET", "settings")
    row = await add(yard, "hall A", "10.1.0.0/24", auto_scan=False)
    assert (row["addresses"], row["auto_scan"]) == (254, False)
    other = await add(yard, "hall B", "10.1.1.10-20")
    assert [each["name"] for each in await yard.ask("GET", "/ip-ranges")] == ["hall A", "hall B"]
    _, told = await yard.agent.call("GET", "settings")
    assert told["named"] == [
        {"id": row["id"], "name": "hall A", "range": "10.1.0.0/24", "auto_scan": False},
        {"id": other["id"], "name": "hall B", "range": "10.1.1.10-20", "auto_scan": True},
    ]
    assert told["rev"] == before["rev"] + 2
    await yard.ask("DELETE", "/ip-ranges/hall%20A")
    await yard.ask("DELETE", f"/ip-ranges/{other['id']}")
    _, told = await yard.agent.call("GET", "settings")
    assert (told["named"], told["rev"]) == ([], before["rev"] + 4)
    await yard.ask("DELETE", f"/ip-ranges/{other['id']}", status=404)
    actions = [each["action"] for each in await yard.ask("GET", "/audit")]
    assert actions[:4] == ["ip_range.remove"] * 2 + ["ip_range.add"] * 2


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("all", "0.0.0.0/0", "not private ones"),
        ("google", "8.8.8.0/24", "not private ones"),
        ("wide", "10.0.0.0-11.0.0.0", "not private ones"),
        ("back", "10.0.0.9-10.0.0.1", "ends before it begins"),
        ("six", "fd00::/64", "is not an IPv4 address"),
        ("word", "hall A", "is not an IPv4 address"),
        ("long", "10.0.0.1" + " " * 10 + "9" * 60, "at most 64 characters"),
        ("a\x1b[2J", "10.0.0.0/24", "must hold no control characters"),
        (" ", "10.0.0.0/24", "must not be empty"),
        ("n" * 65, "10.0.0.0/24", "at most 64 characters"),
        ("10.0.0.0/24", "10.9.0.0/24", "is a range itself"),
        ("hall A, hall B", "10.9.0.0/24", "holds a comma"),
        ("--fast", "10.9.0.0/24", "begins with a hyphen"),
    ],
)
async def test_what_is_no_name_or_no_range_of_a_farm_is_refused(
    yard: Yard, name: str, text: str, words: str
) -> None:
    message = await add(yard, name, text, status=400)
    assert words in message


async def test_a_name_is_given_once(yard: Yard) -> None:
    await add(yard, "hall A", "10.1.0.0/24")
    message = await add(yard, "hall A", "10.2.0.0/24", status=409)
    assert message == "A range is called hall A already: 10.1.0.0/24"
    assert await add(yard, "HALL a", "10.2.0.0/24", status=409) == message


async def test_an_order_to_scan_names_ranges_that_are_there(yard: Yard) -> None:
    row = await add(yard, "hall A", "10.1.0.0/24")

    async def scan(*ranges: dict[str, Any], status: int = 200) -> Any:
        body = {"task_name": "agent.scan.create", "params": {"ip_ranges": list(ranges)}}
        return await yard.ask("POST", "/tasks/batches", json=body, status=status)

    await scan({"id": row["id"], "range": "10.1.0.1-10.1.0.254"}, {"range": "10.9.0.0/24"})
    message = await scan({"id": row["id"], "range": "10.2.0.0/24"}, status=400)
    assert message == "ip_ranges.0.range: hall A is 10.1.0.0/24, and not 10.2.0.0/24"
    message = await scan({"id": "other", "range": "10.1.0.0/24"}, status=400)
    assert message == "ip_ranges.0.id: no range of this farm has the id other"
