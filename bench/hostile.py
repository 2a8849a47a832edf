"""Does one hostile miner slow the others down? The time of a look at each of 200 miners, with and without it, for every
kind of hostility the line knows.

Simulator and agent are processes of their own on this machine, and turns with and without alternate.
"""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.demo.part import Part, command
from bench.polling import Figures, Order, Setup

MINERS: Final = 200
TURNS: Final = 3
TURN_S: Final = 5.0
KINDS: Final[dict[str, dict[str, Any]]] = {
    "hangs": {"fault": "hangs"},
    "drips": {"fault": "drips", "interval": 0.02},
    "endless": {"fault": "endless"},
    "huge_json": {"fault": "huge_json"},
    "nested": {"fault": "garbage", "variant": "nested"},
    "binary": {"fault": "garbage", "variant": "binary"},
    "resets": {"fault": "resets"},
    "gzip_bomb": {"fault": "gzip_bomb"},
    "redirect": {"fault": "redirect"},
}


class Arena:
    """A simulated farm and a polling agent; `suspects` are the miners that can be turned hostile."""

    def __init__(self, simulator: Part, faults: Path, poller: Process, setup: Setup) -> None:
        self._simulator = simulator
        self._faults = faults
        self._poller = poller
        self.setup = setup

    async def measure(self, kind: dict[str, Any] | None, seconds: float) -> Figures:
        """Turn the suspects hostile in this way (or well), wait until that shows, measure."""
        specs = [] if kind is None else [kind]
        await asyncio.to_thread(
            self._faults.write_text, json.dumps(dict.fromkeys(self.setup.suspects, specs))
        )
        self._simulator.signal(signal.SIGHUP)
        assert self._poller.stdin is not None
        order = Order(hostile=kind is not None, seconds=seconds)
        self._poller.stdin.write(msgspec.json.encode(order) + b"\n")
        return msgspec.json.decode(await self._line(), type=Figures)

    async def _line(self) -> bytes:
        assert self._poller.stdout is not None
        line = await self._poller.stdout.readline()
        if not line:
            raise RuntimeError(f"the polling process ended with {await self._poller.wait()}")
        return line


@asynccontextmanager
async def open_arena(
    folder: Path, *, miners: int, suspects: int, base: str, **more: Any
) -> AsyncIterator[Arena]:
    """Start both processes and let the agent get to know every miner. `more` goes into the Setup."""
    faults = folder / "faults.json"
    faults.write_text("{}")
    program = command(
        "simulator.cli",
        *("--make", f"antminer/s21:{miners}", "--base", base, "--http-port", 0, "--rpc-port", 0),
        *("--faults", faults),
    )
    simulator = Part(folder, "simulator", program, announces=True)
    try:
        ready = await simulator.start()
        addresses = tuple(each["ip"] for each in ready["miners"])
        setup = Setup(
            addresses=addresses,
            suspects=addresses[:suspects],
            http_port=ready["http_port"],
            rpc_port=ready["rpc_port"],
            **more,
        )
        path = folder / "setup.json"
        path.write_bytes(msgspec.json.encode(setup))
        poller = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.polling", str(path), stdin=PIPE, stdout=PIPE, limit=2**26
        )
        try:
            arena = Arena(simulator, faults, poller, setup)
            await arena._line()
            yield arena
        finally:
            assert poller.stdin is not None
            poller.stdin.close()
            try:
                await asyncio.wait_for(poller.wait(), 10.0)
            except TimeoutError:
                poller.kill()
                await poller.wait()
    finally:
        await simulator.end()


async def run() -> None:
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        async with open_arena(
            Path(folder), miners=MINERS, suspects=1, base="127.40.0.1", slow_every_polls=3
        ) as arena:
            print(f"looks at {MINERS - 1} miners, every {arena.setup.interval_s:g} s each")
            for name, kind in KINDS.items():
                print(await compare(arena, name, kind))


async def compare(
    arena: Arena, name: str, kind: dict[str, Any], *, turns: int = TURNS, turn_s: float = TURN_S
) -> str:
    """One line of figures: without, with, and the ratio."""
    without: list[Figures] = []
    beside: list[Figures] = []
    for _ in range(turns):
        without.append(await arena.measure(None, turn_s))
        beside.append(await arena.measure(kind, turn_s))
    calm, busy = _quantiles(without), _quantiles(beside)
    stall_ms = max(each.stall_cpu_ms for each in beside)
    return (
        f"  {name:<10} p50 {calm[0]:6.2f} -> {busy[0]:6.2f} ms, p99 {calm[1]:7.2f} -> {busy[1]:7.2f} ms "
        f"(x {busy[1] / calm[1]:4.2f}), looks {_looks(without)} -> {_looks(beside)}, longest turn of the loop "
        f"{max(each.stall_cpu_ms for each in without):.1f} -> {stall_ms:.1f} ms"
    )


def _quantiles(turns: list[Figures]) -> tuple[float, float]:
    cuts = statistics.quantiles([ms for turn in turns for ms in turn.latencies_ms], n=100)
    return cuts[49], cuts[98]


def _looks(turns: list[Figures]) -> int:
    return sum(len(turn.latencies_ms) for turn in turns)
