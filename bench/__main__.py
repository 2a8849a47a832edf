"""`python -m bench [tasks hostile dialects miners rigs identify]`: run the benchmarks and print what they measured."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from bench import dialects, hostile, identify, miners, rigs, tasks

NAMES = ("tasks", "hostile", "dialects", "miners", "rigs", "identify")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], help="default: all of them")
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
    args = parser.parse_args()
    benches: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "tasks": tasks.run,
        "hostile": partial(hostile.run, args.minutes),
        "dialects": dialects.run,
        "miners": partial(miners.run, args.database, args.miners),
        "rigs": rigs.run,
        "identify": identify.run,
    }
    for name in args.name or NAMES:
        asyncio.run(benches[name]())


if __name__ == "__main__":
    main()
