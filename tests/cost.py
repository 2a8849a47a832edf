"""What a run of the tests cost: its minutes beside the budget, its processor time, and how fast this machine is.

The budget is the Makefile's and is printed, never asserted: a slow machine must not turn a test red. Several runs that
belong together leave their costs in one file (MINER_AGENT_COSTS); `python -m tests.cost FILE` tells them together.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

SLOWEST: Final = 10
# What `work_s` took on the machine that the budget was set on: 2 cores, CPython 3.11.
_WORK_THERE_S: Final = 0.055


@dataclass(frozen=True)
class Cost:
    """One run. `slowest` are its longest tests as (seconds, name)."""

    name: str
    wall_s: float
    cpu_s: float  # of all its processes that have ended
    counts: dict[str, int]
    slowest: list[tuple[float, str]]

    def line(self) -> str:
        counts = ", ".join(f"{number:,} {what}" for what, number in self.counts.items() if number)
        return f"{self.name:28} {self.wall_s / 60:5.1f} min {self.cpu_s:5.0f} CPU-s  {counts}"


def of_run(wall_s: float, calls: Iterable[Any], stats: Mapping[str, Sequence[Any]]) -> Cost:
    """What this run cost, by pytest's reports of the tests' own code and its counts."""
    return Cost(
        name=os.environ.get("MINER_AGENT_RUN", "tests"),
        wall_s=wall_s,
        cpu_s=cpu_s(),
        counts={
            each: len(stats.get(each, ())) for each in ("passed", "failed", "error", "skipped")
        },
        slowest=sorted(((each.duration, each.nodeid) for each in calls), reverse=True)[:SLOWEST],
    )


def work_s() -> float:
    """How long a fixed piece of Python takes here: the best of five."""

    def once() -> float:
        since = time.perf_counter()
        sum(number * number % 7 for number in range(1_000_000))
        return time.perf_counter() - since

    return min(once() for _ in range(5))


def cpu_s() -> float:
    """Of this process and of all its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def machine() -> str:
    """How fast this machine is, in words."""
    speed = _WORK_THERE_S / work_s()
    return f"this machine: {os.cpu_count()} cores, each {speed:.2f} of the speed that the budget was set on"


def beside_budget(wall_s: float, budget: str) -> str:
    return f"{wall_s / 60:.1f} min; the budget is {budget} on 2 cores; {machine()}"


def append(cost: Cost) -> None:
    """To the file of the runs that belong together, where there is one."""
    if path := os.environ.get("MINER_AGENT_COSTS"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(cost)) + "\n")


def table(costs: Sequence[Cost], wall_s: float, budget: str) -> Iterable[str]:
    """Every run, the longest tests of all, and all that it took beside its budget."""
    yield from (each.line() for each in costs)
    yield f"the {SLOWEST} slowest of all:"
    slowest = sorted((each for cost in costs for each in cost.slowest), reverse=True)
    yield from (f"{seconds:7.1f} s  {name}" for seconds, name in slowest[:SLOWEST])
    yield beside_budget(wall_s, budget)


def main() -> None:
    lines = Path(sys.argv[1]).read_text("utf-8").splitlines()
    costs = [Cost(**json.loads(line)) for line in lines]
    wall_s = float(os.environ["MINER_AGENT_WALL_S"])
    print(*table(costs, wall_s, os.environ["MINER_AGENT_BUDGET"]), sep="\n")


if __name__ == "__main__":
    main()
