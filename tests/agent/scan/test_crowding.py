"""What the operator is told of a neighbour table that is too small. How full it is: test_sweep_on_link.py."""

from __future__ import annotations

import re

import pytest

from agent.scan.crowding import Crowding, CrowdWatch, crowd_notice
from agent.scan.kernel.neighbours import TableLevel
from tests.virtual_time import VirtualClock


def level(*, refusals: int = 0, threshold: int = 1024) -> TableLevel:
    return TableLevel(entries=10, threshold=threshold, collections=0, refusals=refusals)


@pytest.mark.parametrize(
    ("last", "now", "miners", "says"),
    [
        (None, level(), 896, None),
        (None, level(), 897, "897 miners are on networks of this host, and .* places for 896: .* sysctl"),
        (None, level(refusals=9), 10, None),  # before the agent started
        (level(refusals=9), level(refusals=9), 10, None),
        (level(refusals=9), level(refusals=10), 10, "was full 1 time within a minute, .* dropped: .* sysctl"),
        (level(), level(threshold=32768), 5000, None),
    ],
)  # fmt: skip
def test_a_table_that_is_too_small_is_told_with_what_mends_it(last, now, miners, says) -> None:
    told = crowd_notice(last, now, miners)
    if says is None:
        assert told is None
    else:
        assert told is not None
        assert re.search(says, told)


def test_a_scan_of_many_addresses_waits_for_places() -> None:
    assert Crowding(places=896, addresses=4094, miners=0).scan_s == 13


async def test_miners_behind_routers_and_on_loopback_take_no_place() -> None:
    watch = CrowdWatch(
        lambda: (f"127.0.{n >> 8}.{n & 255}" for n in range(1, 2000)), VirtualClock()
    )
    assert watch.notices == ()
