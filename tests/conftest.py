"""For all tests: the loop they live on, their order, how patient Hypothesis is, the figures they tell and what they cost.

A busy host makes an example slow, not wrong.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import cost
from tests.virtual_time import VirtualLoop

_BEGUN = time.monotonic()

settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

_HERE = Path(__file__).parent
# Rooms whose tests hold both ends of every connection: there nobody waits in earnest.
_VIRTUAL_ROOMS = frozenset({"agent", "drivers", "simulator"})


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of virtual time, but for what is marked `real_time`: it waits for a process or a thread of its own."""
    room = item.path.relative_to(_HERE).parts[0]
    if room in _VIRTUAL_ROOMS and item.get_closest_marker("real_time") is None:
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


# What lasts longest begins first, so that no single file is left running alone at the end.
_LONGEST = (
    "test_crash_gate.py",
    "test_crash_points_one_shots.py",
    "test_crash_points_whatsminer.py",
    "test_crash_points_iceriver.py",
    "test_crash_points.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes before everything else: they wait, and the rest fills the time."""

    def rank(item: pytest.Item) -> int:
        if item.path.name in _LONGEST:
            return _LONGEST.index(item.path.name)
        return len(_LONGEST) + (item.path.parent.name not in {"system", "judges"})

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every table, also those of other workers, also of tests that pass; and what the run cost."""
    stats = terminalreporter.stats
    calls = [
        report
        for outcome in ("passed", "failed")
        for report in stats.get(outcome, ())
        if getattr(report, "when", None) == "call"
    ]
    tables = [text for each in calls for name, text in each.user_properties if name == "figures"]
    if tables:
        terminalreporter.section("figures")
        for table in tables:
            terminalreporter.write_line(table)
    if budget := os.environ.get("MINER_AGENT_BUDGET"):
        spent = cost.Cost(
            name=os.environ.get("MINER_AGENT_RUN", "tests"),
            seconds=time.monotonic() - _BEGUN,
            cpu_s=cost.cpu_s(),
            counts={each: len(stats.get(each, ())) for each in ("passed", "failed", "skipped")},
            slowest=sorted(((each.duration, each.nodeid) for each in calls), reverse=True)[
                : cost.SLOWEST
            ],
        )
        cost.keep(spent)
        terminalreporter.section("cost")
        terminalreporter.write_line(spent.line())
        terminalreporter.write_line(cost.verdict(spent.seconds, budget))
