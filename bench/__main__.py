"""`python -m bench [tasks]`: run the benchmarks and print what they measured."""

from __future__ import annotations

import argparse
import asyncio

from bench import tasks

BENCHES = {"tasks": tasks.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHES, []], help="default: all of them")
    for name in parser.parse_args().name or BENCHES:
        asyncio.run(BENCHES[name]())


main()
