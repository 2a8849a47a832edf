"""What one look costs in each dialect: connections, bytes both ways, and our own CPU. The simulated farm is another
process, and the dialects take turns, so that a busy host is fair to all of them.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import uvloop

from agent.demo.part import Part, command
from agent.miners.credentials import factory_default
from contract.clock import SystemClock
from contract.miner import Endpoint
from drivers.base import Depth, Driver, Timing
from drivers.registry import recognise
from drivers.stranger import Stranger
from drivers.wire import Wire

EACH: Final = 20
TURNS: Final = 30
MODELS: Final = (
    "antminer/s9", "antminer/s21", "antminer/l7", "whatsminer/m30s-legacy", "whatsminer/m20s",
    "whatsminer/m50s", "whatsminer/m60s-compat", "whatsminer/m60s",
    "iceriver/ks5l",
)  # fmt: skip
CLOCK: Final = SystemClock()


class Counting(Wire):
    """A wire that counts what goes over it."""

    connections = 0
    sent_bytes = 0
    got_bytes = 0

    async def exchange(self, port: int, request: bytes, decoder: Any, **more: Any) -> Any:
        self.connections += 1
        self.sent_bytes += len(request)
        return await super().exchange(port, request, Counted(decoder, self), **more)


class Counted:
    """A decoder that counts what it is fed."""

    def __init__(self, decoder: Any, wire: Counting) -> None:
        self._decoder = decoder
        self._wire = wire
        if hasattr(decoder, "say"):
            self.say = self._say

    def feed(self, data: bytes) -> Any:
        self._wire.got_bytes += len(data)
        return self._decoder.feed(data)

    def _say(self) -> bytes | None:
        word: bytes | None = self._decoder.say()
        self._wire.sent_bytes += len(word or b"")
        return word


async def run() -> None:
    """Print a line for each dialect and depth."""
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        makes = ",".join(f"{model}:{EACH}" for model in MODELS)
        program = command(
            "simulator.cli",
            *("--make", makes, "--base", "127.41.0.1"),
            *("--http-port", 0, "--rpc-port", 0, "--v3-port", 0, "--daemon-port", 0),
            *(
                "--time-scale",
                60,
            ),  # the web pages of AntMiners take their time; it is not ours that is measured
        )
        simulator = Part(Path(folder), "simulator", program, announces=True)
        try:
            ready = await simulator.start()
            print(f"one look, {EACH} miners of each dialect, {TURNS} turns")
            await asyncio.to_thread(_measure, ready)
        finally:
            await simulator.end()


def _measure(ready: dict[str, Any]) -> None:
    """On a loop of its own, as the agent's is."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_measured(ready))


async def _measured(ready: dict[str, Any]) -> None:
    by_model: dict[str, list[tuple[Driver, Counting]]] = defaultdict(list)
    for miner in ready["miners"]:
        endpoint = Endpoint(
            host=miner["ip"],
            http_port=ready["http_port"],
            rpc_port=ready["rpc_port"],
            v3_port=ready["v3_port"],
            daemon_port=ready["daemon_port"],
        )
        wires: list[Counting] = []

        def wire_for(*args: Any, made: list[Counting] = wires) -> Counting:
            made.append(Counting(*args))
            return made[-1]

        driver = await recognise(
            endpoint,
            clock=CLOCK,
            timing=Timing(),
            credentials=factory_default,
            wire_factory=wire_for,
        )
        if isinstance(driver, Stranger):
            raise SystemExit(f"nobody is known at {endpoint.host}")
        own = next(wire for wire in wires if wire is driver.wire)  # type: ignore[attr-defined]
        name = f"{driver.identity.make} {driver.identity.generation}"
        by_model[f"{name:<18} {driver.identity.model}"].append((driver, own))
    for depth in (Depth.MOVING, Depth.SLOW):
        print(f"  {depth}")
        await _compare(by_model, depth)


async def _compare(by_model: dict[str, list[tuple[Driver, Counting]]], depth: Depth) -> None:
    cpu_us: dict[str, list[float]] = defaultdict(list)
    for turn in range(TURNS + 1):
        for name, members in by_model.items():
            if turn == 1:  # what is learned at the first look is not of every look
                for _, wire in members:
                    wire.connections = wire.sent_bytes = wire.got_bytes = 0
            begun = time.thread_time()
            for driver, _ in members:
                await driver.read(depth)
            if turn:
                cpu_us[name].append((time.thread_time() - begun) / len(members) * 1e6)
    for name, members in by_model.items():
        looks = TURNS * len(members)
        total = [sum(getattr(wire, what) for _, wire in members) / looks for what in _COUNTS]
        print(
            f"    {name:<32} {total[0]:4.1f} connections, {total[1]:6.0f} bytes out, "
            f"{total[2]:7.0f} bytes in, {statistics.median(cpu_us[name]):6.0f} us CPU"
        )


_COUNTS: Final = ("connections", "sent_bytes", "got_bytes")
