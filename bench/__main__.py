"""`python -m bench [tasks hostile dialects miners rigs identify scan]`: run benchmarks and print what they measured."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bench import dialects, hostile, identify, miners, rigs, scan, tasks

NAMES = ("tasks", "hostile", "dialects", "miners", "rigs", "identify", "scan")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"of {', '.join(NAMES)}; default: all of them")
    parser.add_argument(
        "--minutes",
        type=float,
        default=hostile.MINUTES,
        help="how long `hostile` measures; less is quicker and less sure (default %(default)g)",
    )
    parser.add_argument(
        "--database",
        help="url of the database for `miners`, filled if need be and kept; default: a new one that is removed",
    )
    parser.add_argument(
        "--miners", type=int, default=miners.MINERS, help="of the farm (default %(default)d)"
    )
    parser.add_argument(
        "--rounds", type=int, default=scan.ROUNDS, help="of `scan` (default %(default)d)"
    )
    parser.add_argument(
        "--cases", nargs="+", choices=scan.CASES, default=(), help="of `scan` (default: all)"
    )
    parser.add_argument(
        "--peers", action="store_true", help="let others scan a /16, too, which takes them minutes"
    )
    args = parser.parse_args()
    for name in args.name:
        if name not in NAMES:
            parser.error(f"no benchmark is called {name!r}; there are {', '.join(NAMES)}")
    benches: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "tasks": tasks.run,
        "hostile": partial(hostile.run, args.minutes),
        "dialects": dialects.run,
        "miners": partial(miners.run, args.database, args.miners),
        "rigs": rigs.run,
        "identify": identify.run,
        "scan": partial(scan.run, args.cases, rounds=args.rounds, peers=args.peers),
    }
    for name in args.name or NAMES:
        asyncio.run(benches[name]())


if __name__ == "__main__":
    main()
