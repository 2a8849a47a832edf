"""A sweep where hosts are silent: on a cable of this host, with its neighbour table, and behind a router."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from tests.namespaces import Cable, joined, space

# It waits for processes, in namespaces of their own.
pytestmark = pytest.mark.real_time
_ROOT = Path(__file__).resolve().parents[3]
_PORTS = (4028, 80, 4433, 4111)
_SEGMENT = "10.77.0.0/20"
_OTHERS_LEAVE = 64  # places in the neighbour table


def inside(role: str, *words: object) -> list[str]:
    return [sys.executable, "-m", "tests.agent.scan.on_link", role, *map(str, words)]


def swept(cable: Cable, *ranges: str, manner: str = "default", ports=_PORTS) -> dict[str, Any]:
    words = inside("sweep", manner, ",".join(map(str, ports)), *ranges)
    told: dict[str, Any] = json.loads(cable.near.run(*words, cwd=_ROOT).stdout)
    assert told["unguarded"] is None
    return told


@contextmanager
def serving(cable: Cable, *ports: int) -> Iterator[None]:
    """All addresses of the far end accept at these ports, and say nothing."""
    started = cable.far.start(*inside("serve", *ports), stdout=subprocess.PIPE, cwd=_ROOT)
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    yield
    started.stdout.close()


def some_of(net: str, hosts: int, number: int) -> list[str]:
    chosen = random.Random(16).sample(range(3, hosts), number)
    return [f"{net}.{n >> 8}.{n & 255}" for n in chosen]


def test_who_is_on_the_cable_is_found_and_the_rest_has_no_neighbour() -> None:
    live = [f"10.77.0.{n}" for n in range(3, 253)]
    with joined(live=live) as cable, serving(cable, 80):
        told = swept(cable, "10.77.0.0/24")
    rows = told["rows"]
    assert len(rows) == 254
    assert told["worked_s"] < told["seconds"] / 2  # it waits, and does not look again and again
    # Found at its second port: its hardware address was the sign of life, and the refusal.
    assert all(rows[ip][:2] == [[80], [4028, 4111, 4433]] for ip in live)
    opened, refused, asked, not_asked, is_final, no_neighbour = rows["10.77.0.254"]
    assert (opened, refused, asked, not_asked) == ([], [], [4028], None)
    assert is_final
    assert no_neighbour
    assert told["seconds"] < 10  # 1.5 where no other test fills the table


def test_the_kernel_says_who_is_on_the_cable_and_which_addresses_lead_elsewhere() -> None:
    with joined(live=["10.77.3.3"], routed=["10.77.2.0/24", "10.78.0.0/24"]) as cable:
        cable.near.ip("neigh add 10.77.9.9 lladdr 02:00:00:00:09:09 dev near nud permanent")
        swept(cable, "10.77.3.3")
        swept(cable, "10.77.3.4", manner="fast")
        spans = ("10.77.0.0-10.77.3.255", "10.78.0.0/24", "127.0.0.1", "8.8.8.8")
        told = json.loads(cable.near.run(*inside("look", *spans), cwd=_ROOT).stdout)
    # Without its own address, the one that is for all of them, and what has a route of its own.
    on_link = ["10.77.0.2-10.77.1.255", "10.77.3.0-10.77.3.255"]
    assert told["on_link"] == ["10.77.0.0", *on_link]
    assert "10.77.2.0-10.77.2.255" in told["other"]
    assert "10.77.0.1" in told["other"]
    assert {"127.0.0.1", "8.8.8.8", "10.78.0.1-10.78.0.254"} <= set(told["other"])
    assert told["routers"] == [int(IPv4Address("10.77.0.2"))]
    assert told["macs"].keys() >= {"10.77.3.3", "10.77.9.9"}
    assert "10.77.3.4" not in told["macs"]
    assert told["macs"]["10.77.9.9"] == "02:00:00:00:09:09"
    assert told["entries"] >= told["known"] >= 3
    assert told["spare"] >= 1
    assert told["crowding"]["addresses"] == 1 + 510 + 256
    assert told["crowding"]["miners"] == 2
    assert told["crowding"]["places"] == told["threshold"] - 128


def test_behind_a_router_silence_is_asked_again_at_the_other_ports() -> None:
    live = ["10.78.0.9", "10.78.0.90"]
    with joined(live=live, routed=["10.78.0.0/25"]) as cable, serving(cable, 80):
        told = swept(cable, "10.78.0.0/25")
    rows = told["rows"]
    assert len(rows) == 126
    assert {ip for ip, row in rows.items() if row[0]} == set(live)
    assert set(rows["10.78.0.10"][2]) == set(_PORTS)
    assert all(is_final and not no_neighbour for *_, is_final, no_neighbour in rows.values())
    assert told["first_pass_s"] < 3


@pytest.mark.slow
def test_without_its_router_an_address_is_not_asked() -> None:
    with joined(live=["10.78.0.9"], routed=["10.78.0.0/28"]) as cable, serving(cable, 80):
        cable.near.ip("route add 10.79.0.0/28 via 10.77.4.4")  # nobody has that address
        rows = swept(cable, "10.78.0.0/28", "10.79.0.0/28", manner="fast", ports=(80,))["rows"]
    lost = {ip: row for ip, row in rows.items() if ip.startswith("10.79.")}
    assert len(lost) == 14
    assert all(
        row[3] == "the router 10.77.4.4 does not answer" and row[2] == [] for row in lost.values()
    )
    assert {ip for ip, row in rows.items() if row[0]} == {"10.78.0.9"}
    assert len(rows) == 28


@pytest.mark.slow
@pytest.mark.parametrize("filled", [None, "stale"])
def test_nobody_on_a_large_segment_is_falsely_silent(filled: str | None) -> None:
    """With the threshold of the kernel as it comes, be the table empty or filled by others."""
    live = some_of("10.77", 4094, 215)
    with joined(live=live) as cable, space() as other, serving(cable, 4028):
        threshold = swept(cable, "10.77.0.2")["threshold"]
        if filled is not None:
            other.fill_neighbours(threshold - _OTHERS_LEAVE, state=filled)
        told = swept(cable, _SEGMENT)
    rows = told["rows"]
    assert len(rows) == 4094
    assert {ip for ip, row in rows.items() if row[0]} == {*live, "10.77.0.2"}
    assert all(row[3] is None for row in rows.values())
    assert all(row[5] for ip, row in rows.items() if not row[0] and ip != "10.77.0.1")
    assert told["seconds"] < 60  # 16 to 25 where no other test of this host fills the table


@pytest.mark.slow
def test_silent_addresses_behind_a_router_take_a_timeout_for_each_4096() -> None:
    live = some_of("10.78", 16_382, 500)
    with joined(live=live, routed=["10.78.0.0/18"]) as cable, serving(cable, 4028):
        told = swept(cable, "10.78.0.0/18", manner="fast")
    assert {ip for ip, row in told["rows"].items() if row[0]} == set(live)
    assert told["seconds"] < 4 * 1.2 + 3
    assert told["connects"] == 16_382 + 500 * 3
