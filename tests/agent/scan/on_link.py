"""The two ends of a sweep between two namespaces, each run inside its own: `serve PORT...` accepts everywhere and says
nothing; `sweep MANNER PORTS RANGE...` prints what a sweep of these says, `look RANGE...` how they are reached and which
neighbours are known, as JSON.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import sys
import time
from collections.abc import Sequence

import msgspec

from agent.config.miners import ScanSection
from agent.scan.crowding import crowding
from agent.scan.kernel.neighbours import NeighbourTable
from agent.scan.kernel.routes import spans_by_route
from agent.scan.sweep.plan import Manner, SweepPlan, SweepRow
from agent.scan.sweep.sweep import Sweep
from contract.clock import SystemClock
from contract.ranges import parse_range
from service.limits import raise_open_files


def serve(ports: list[int]) -> None:
    """Until it is ended."""
    raise_open_files()
    kept: list[socket.socket] = []
    with select.epoll() as poll:
        listeners = {}
        for port in ports:
            listener = socket.create_server(("", port), backlog=4096)
            poll.register(listener, select.EPOLLIN)
            listeners[listener.fileno()] = listener
        print("ready", flush=True)
        while True:
            kept += [listeners[handle].accept()[0] for handle, _ in poll.poll()]


def sweep(manner: Manner, ports: tuple[int, ...], ranges: list[str]) -> dict[str, object]:
    """Rows by address, as (open, refused, asked, why not asked, final?, without a neighbour?), and figures."""
    raise_open_files()
    clock = SystemClock()
    began, last_first, worked_s = clock.mono(), 0.0, time.process_time()
    rows: dict[str, tuple[object, ...]] = {}

    def came(batch: Sequence[SweepRow]) -> None:
        nonlocal last_first
        for each in batch:
            if each.ip not in rows:
                last_first = clock.mono() - began
            doors = sorted(each.doors.open), sorted(each.doors.refused)
            rows[each.ip] = (*doors, each.asked, each.not_asked, each.is_final, each.no_neighbour)
            each.doors.close()

    plan = SweepPlan(spans=tuple(map(parse_range, ranges)), ports=ports, manner=manner)
    run = Sweep(plan, ScanSection(max_addresses=1 << 20), clock, came)
    run.run()
    with NeighbourTable() as table:
        threshold = table.level().threshold
    return {
        "rows": rows,
        "first_pass_s": last_first,
        "seconds": clock.mono() - began,
        "worked_s": time.process_time() - worked_s,
        "asked_again": run.counts.asked_again,
        "unguarded": run.counts.unguarded,
        "connects": run.counts.connects,
        "threshold": threshold,
        "rss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def look(ranges: list[str]) -> dict[str, object]:
    spans = [parse_range(each) for each in ranges]
    ways = spans_by_route(spans)
    with NeighbourTable() as table:
        level, seen = table.level(), table.neighbours()
        return {
            "on_link": [str(each) for each in ways.on_link],
            "other": [str(each) for each in ways.elsewhere()],
            "routers": list(ways.behind),
            "macs": table.macs(),
            "known": len(seen.standing),
            "spare": seen.spare,
            "entries": level.entries,
            "threshold": level.threshold,
            "crowding": msgspec.to_builtins(
                crowding(spans, ["10.77.3.3", "10.77.1.9", "10.78.0.9"])
            ),
        }


if __name__ == "__main__":
    role, *words = sys.argv[1:]
    if role == "serve":
        serve([int(each) for each in words])
    elif role == "look":
        print(json.dumps(look(words)))
    else:
        asked = tuple(int(each) for each in words[1].split(","))
        print(json.dumps(sweep(Manner(words[0]), asked, words[2:])))
