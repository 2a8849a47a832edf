"""For all tests: the loop they live on, their order, and what a run tells at its end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests import cost, warm
from tests.virtual_time import VirtualLoop

_BEGUN = time.monotonic()

# A busy host makes an example slow, not wrong.
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


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test calls in this process sets up the logs of its own; the next test is to find them as ever."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
        for handler in [*logging.root.handlers]:
            if type(handler) is logging.StreamHandler:
                logging.root.removeHandler(handler)


# What lasts longest begins first, so that no single file is left running alone at the end.
_LONGEST = (
    "test_crash_gate.py",
    "test_restore_gate.py",
    "test_debian_12.py",
    "test_crash_points_one_shots.py",
    "test_crash_points_whatsminer.py",
    "test_crash_points_iceriver.py",
    "test_crash_points.py",
    "test_debian_13.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes before everything else: they wait, and the rest fills the time."""

    def rank(item: pytest.Item) -> int:
        if item.path.name in _LONGEST:
            return _LONGEST.index(item.path.name)
        room = item.path.relative_to(_HERE).parts[0]
        return len(_LONGEST) + (room not in {"system", "judges"})

    items.sort(key=rank)


def pytest_sessionfinish() -> None:
    """The processes that others are forked from end with whoever used them."""
    warm.end_all()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all tests, from every worker, and what the run cost."""
    if hasattr(terminalreporter.config, "workerinput"):
        return  # a worker's part is told by the run it is a part of
    calls = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if getattr(report, "when", None) == "call"
    ]
    tables = [text for each in calls for name, text in each.user_properties if name == "figures"]
    if tables:
        terminalreporter.section("figures")
        for table in tables:
            terminalreporter.write_line(table)
    if budget := os.environ.get("MINER_AGENT_BUDGET"):
        terminalreporter.section("cost")
        spent = cost.of_run(time.monotonic() - _BEGUN, calls, terminalreporter.stats)
        cost.append(spent)
        for line in (spent.line(), cost.beside_budget(spent.wall_s, budget)):
            terminalreporter.write_line(line)
