"""Does one hostile miner slow the others down? The time of a look at each of 200 miners, with and without it, for every
kind of hostility the line knows.

The agent is a process of its own, the good miners are another, the hostile one a third of the lowest priority: a real
one has its own processor, and only its bytes reach the agent. Short measurements with it lie between two without, the
kinds in an order drawn again each time round, and are compared pair by pair (see `bench.pairs`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import random
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from agent.demo.part import Part, command
from bench.pairs import LEAST_ROUNDS, SURE, RatioVerdict, Round, control, effect, quantile
from bench.polling import Figures, MeasureOrder, Setup

MINERS: Final = 200
INTERVAL_S: Final = 0.5
SLOW_EVERY_POLLS: Final = 3
# Whole cycles of light and deep looks: all miners are in step, so a part of one would measure where it began. Two,
# since a turn begins right after a hostile look was seen, and is to hold the next.
TURN_S: Final = 2 * SLOW_EVERY_POLLS * INTERVAL_S
MINUTES: Final = 10.0
MOST: Final = 1.20  # what the p99 of the others may become beside a hostile one
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
_LOWEST_PRIORITY: Final = 19
# The web pages of a real miner take long: an effect on the agent would be lost beside that.
_PACE: Final = 60


class Arena:
    """A polling agent and simulated miners; `suspects` are those that can be turned hostile."""

    def __init__(self, suspects: Part, faults: Path, poller: Process, setup: Setup) -> None:
        self._suspects = suspects
        self._faults = faults
        self._poller = poller
        self.setup = setup

    async def measure(self, kind: dict[str, Any] | None, seconds: float) -> Figures:
        """Turn the suspects hostile in this way (or well), wait until that shows, measure."""
        specs = [] if kind is None else [kind]
        await asyncio.to_thread(
            self._faults.write_text, json.dumps(dict.fromkeys(self.setup.suspects, specs))
        )
        self._suspects.signal(signal.SIGHUP)
        assert self._poller.stdin is not None
        order = MeasureOrder(hostile=kind is not None, seconds=seconds)
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
    """Start all processes and let the agent get to know every miner; the last `suspects` of them can be turned hostile.
    Addresses count up from `base`. `more` goes into the Setup.
    """
    faults = folder / "faults.json"
    faults.write_text("{}")
    good = Part(folder, "simulator", _simulator(miners - suspects, base), announces=True)
    try:
        ready = await good.start()
        addresses = [each["ip"] for each in ready["miners"]]
        ports = {"http_port": ready["http_port"], "rpc_port": ready["rpc_port"]}
        beyond = str(ipaddress.IPv4Address(addresses[-1]) + 1)
        bad = Part(
            folder,
            "suspects",
            # a seed of their own: no two miners have the same MAC address
            [*_simulator(suspects, beyond, **ports), "--seed", "1", "--faults", str(faults)],
            announces=True,
        )
        try:
            suspected = [each["ip"] for each in (await bad.start())["miners"]]
            os.setpriority(os.PRIO_PROCESS, bad.pid, _LOWEST_PRIORITY)
            setup = Setup(
                addresses=(*addresses, *suspected), suspects=tuple(suspected), **ports, **more
            )
            async with _polling(folder, setup) as poller:
                arena = Arena(bad, faults, poller, setup)
                await arena._line()
                yield arena
        finally:
            await bad.end()
    finally:
        await good.end()


class Hostility:
    """What was measured of one kind of hostility."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._without: list[Figures] = []
        self._beside: list[Figures] = []
        self._p99: list[Round] = []
        self._p50: list[Round] = []

    def add(self, before: Figures, beside: Figures, after: Figures) -> None:
        """One round of it."""
        self._without += (before, after)
        self._beside.append(beside)
        turns = before.latencies_ms, beside.latencies_ms, after.latencies_ms
        self._p99.append(Round(*(quantile(each, 99) for each in turns)))
        self._p50.append(Round(*(quantile(each, 50) for each in turns)))

    def judge(self, rng: random.Random) -> tuple[RatioVerdict, list[str]]:
        """Whether the aim is met, and the figures that say so."""
        p99, noise = effect(self._p99, rng), control(self._p99, rng)
        p50 = effect(self._p50, rng)
        verdict = p99.verdict(MOST)
        calm, busy = _pooled(self._without), _pooled(self._beside)
        p50s, p99s = (
            f"{quantile(calm, each):.2f} -> {quantile(busy, each):.2f} ms" for each in (50, 99)
        )
        cpu = f"{_cpu(self._without):.0f} -> {_cpu(self._beside):.0f} ms/s"
        stall = f"{_stall(self._without):.1f} -> {_stall(self._beside):.1f} ms"
        failed = f"{_failed(self._without)} -> {_failed(self._beside)}"
        hostile = sum(sum(each.suspects_failed.values()) for each in self._beside)
        return verdict, [
            f"  {self.name:<10} p99 with/without {p99}, without/without {noise}: {verdict}",
            f"  {'':<10} p50 with/without {p50}; p50 {p50s}, p99 {p99s} ({len(self._p99)} rounds as one)",
            f"  {'':<10} the agent's processor {cpu}, longest turn of its loop {stall}",
            f"  {'':<10} looks that failed {failed}, at the hostile one {hostile}",
        ]


async def run(minutes: float = MINUTES) -> None:
    """Measure for so long, print what came out and whether the aim is met."""
    with tempfile.TemporaryDirectory(prefix="miner-agent-bench-") as folder:
        async with open_arena(
            Path(folder),
            miners=MINERS,
            suspects=1,
            base="127.40.0.1",
            slow_every_polls=SLOW_EVERY_POLLS,
            interval_s=INTERVAL_S,
        ) as arena:
            rng = random.Random()
            print(
                f"looks at {MINERS - 1} miners, every {INTERVAL_S:g} s each, beside one hostile miner; "
                f"at least {LEAST_ROUNDS} rounds of three times {TURN_S:g} s each, "
                f"for {minutes:g} minutes; intervals hold with {SURE:.0%}"
            )
            measured = await rounds(arena, KINDS, rng, seconds=60.0 * minutes)
            print(report(measured, rng))


async def rounds(
    arena: Arena,
    kinds: Mapping[str, dict[str, Any]],
    rng: random.Random,
    *,
    seconds: float,
    turn_s: float = TURN_S,
    least: int = LEAST_ROUNDS,
) -> list[Hostility]:
    """Measure every kind once in a drawn order, for `turn_s` (whole cycles of looks) each time, again and again for
    `seconds` and at least `least` times. How long is never decided by what was measured. A measurement without serves
    the round before it and the one after.
    """
    measured = {name: Hostility(name) for name in kinds}
    end = time.monotonic() + seconds
    done, took_s = 0, 0.0
    before = await arena.measure(None, turn_s)
    while done < least or time.monotonic() + took_s < end:
        began = time.monotonic()
        for name in rng.sample(list(kinds), len(kinds)):
            beside = await arena.measure(kinds[name], turn_s)
            after = await arena.measure(None, turn_s)
            measured[name].add(before, beside, after)
            before = after
        done, took_s = done + 1, time.monotonic() - began
    return list(measured.values())


def report(measured: list[Hostility], rng: random.Random) -> str:
    """All kinds, and the verdict over them."""
    lines: list[str] = []
    by_verdict: dict[RatioVerdict, list[str]] = {each: [] for each in RatioVerdict}
    for kind in measured:
        verdict, figures = kind.judge(rng)
        by_verdict[verdict].append(kind.name)
        lines += figures
    said = "; ".join(
        f"{verdict}: {', '.join(names) or '-'}" for verdict, names in by_verdict.items()
    )
    whole = (
        "MISSED"
        if by_verdict[RatioVerdict.MISSED]
        else "NOT DECIDED, measure longer or on a quieter host"
        if by_verdict[RatioVerdict.OPEN]
        else "MET, beyond noise"
    )
    return "\n".join(
        [*lines, f"  the p99 of the others stays within {MOST - 1:.0%}: {whole} ({said})"]
    )


# --- private -------------------------------------------------------------------------------------


def _simulator(miners: int, base: str, *, http_port: int = 0, rpc_port: int = 0) -> list[str]:
    return command(
        "simulator.cli",
        *("--make", f"antminer/s21:{miners}", "--base", base),
        *("--http-port", http_port, "--rpc-port", rpc_port, "--time-scale", _PACE),
    )


@asynccontextmanager
async def _polling(folder: Path, setup: Setup) -> AsyncIterator[Process]:
    path = folder / "setup.json"
    path.write_bytes(msgspec.json.encode(setup))
    poller = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.polling", str(path), stdin=PIPE, stdout=PIPE, limit=2**26
    )
    assert poller.stdin is not None
    try:
        yield poller
    finally:
        poller.stdin.close()
        try:
            await asyncio.wait_for(poller.wait(), 10.0)
        except TimeoutError:
            poller.kill()
            await poller.wait()


def _pooled(turns: list[Figures]) -> list[float]:
    return [ms for turn in turns for ms in turn.latencies_ms]


def _cpu(turns: list[Figures]) -> float:
    return 1e3 * sum(turn.cpu_s for turn in turns) / sum(turn.seconds for turn in turns)


def _stall(turns: list[Figures]) -> float:
    return max(turn.stall_cpu_ms for turn in turns)


def _failed(turns: list[Figures]) -> int:
    return sum(turn.failed for turn in turns)
