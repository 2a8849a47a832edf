"""`python -m bench [tasks hostile dialects]`: run the benchmarks and print what they measured."""

from __future__ import annotations

import argparse
import asyncio

from bench import dialects, hostile, tasks

BENCHES = {"tasks": tasks.run, "hostile": hostile.run, "dialects": dialects.run}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*BENCHES, []], help="default: all of them")
    for name in parser.parse_args().name or BENCHES:
        asyncio.run(BENCHES[name]())


if __name__ == "__main__":
    main()
