"""Hostile miners among good ones, watched from within the polling process: memory, the loop, and what the others get."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.hostile import INTERVAL_S, KINDS, SLOW_EVERY_POLLS, open_arena, report, rounds
from bench.pairs import quantile

MEMORY_KB = 16 * 1024
STALL_MS = 50.0
# Beside these, rounds that tell an effect from noise are measured too, which takes long and is asserted by nothing:
# by hand, MINER_AGENT_HOSTILE=hangs,endless,nested,gzip_bomb. Longer, and of every kind: `python -m bench hostile`.
IN_ROUNDS = os.environ.get("MINER_AGENT_HOSTILE", "").split(",")


@pytest.mark.slow
async def test_hostile_miners_cost_little_memory_and_never_hold_the_loop(
    tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    rows = [
        f"{'four hostile of eight miners':<30} memory grew   longest turn of the loop   their looks"
    ]
    wrong: list[str] = []
    kinds: dict[str, dict[str, Any]] = {
        **KINDS,
        "drips fast": {"fault": "drips", "interval": 0.001},
        "nested under the cap": {"fault": "garbage", "variant": "nested", "depth": 60_000},
        "nested a million deep": {"fault": "garbage", "variant": "nested", "depth": 10**6},
    }
    async with open_arena(
        tmp_path, miners=8, suspects=4, base=base, slow_every_polls=1, read_timeout_s=1.0
    ) as arena:
        calm = await arena.measure(None, 3.0)
        assert calm.suspects_ok
        assert not calm.failed
        for name, kind in kinds.items():
            seen = await arena.measure(kind, 5.0)
            grown_kb = seen.rss_peak_kb - calm.rss_before_kb
            rows.append(
                f"  {name:<28} {grown_kb / 1024:8.1f} MB {seen.stall_cpu_ms:19.1f} ms       {seen.suspects_failed}"
            )
            if grown_kb > MEMORY_KB or seen.stall_cpu_ms > STALL_MS or seen.failed:
                wrong.append(rows[-1])
            assert sum(seen.suspects_failed.values()) >= 4
            assert not set(seen.suspects_failed) - {
                "HungError",
                "MalformedError",
                "TooLongError",
                "UnreachableError",
                "web_side",
            }
    tell("\n".join(rows))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hangs", "endless", "nested", "gzip_bomb"])
async def test_the_others_are_looked_at_as_often_as_without_the_hostile_one(
    name: str, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    async with open_arena(
        tmp_path,
        miners=60,
        suspects=1,
        base=base,
        slow_every_polls=SLOW_EVERY_POLLS,
        interval_s=INTERVAL_S,
    ) as arena:
        without = await arena.measure(None, 5.0)
        beside = await arena.measure(KINDS[name], 5.0)
        (p50, p99), (p50_beside, p99_beside) = (
            [quantile(seen.latencies_ms, each) for each in (50, 99)] for seen in (without, beside)
        )
        tell(
            f"beside one that {name}: p50 {p50:.1f} -> {p50_beside:.1f} ms, p99 {p99:.1f} -> {p99_beside:.1f} ms"
        )
        if name in IN_ROUNDS:
            rng = random.Random()
            kinds = {name: KINDS[name]}
            tell(report(await rounds(arena, kinds, rng, seconds=0.0), rng))
    assert beside.suspects_failed
    assert not beside.failed
    assert len(beside.latencies_ms) >= 0.8 * len(without.latencies_ms)
    # no look waited for the hostile one, which holds its own for the whole deadline
    assert quantile(beside.latencies_ms, 99) < 1000 * arena.setup.read_timeout_s / 2
