"""Are the rounds beside hostile miners judged by what was measured? In an arena whose figures are known."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from bench.hostile import KINDS, report, rounds
from bench.pairs import LEAST_ROUNDS
from bench.polling import Figures


class Arena:
    """Every look takes about 10 ms, beside a hostile miner `factor` times as long."""

    def __init__(self, factors: Mapping[str, float]) -> None:
        self.measured = 0
        self._factors = factors
        self._random = random.Random(3)

    async def measure(self, kind: dict[str, Any] | None, seconds: float) -> Figures:
        self.measured += 1
        name = next((name for name, each in KINDS.items() if each is kind), "")
        factor = self._factors.get(name, 1.0)
        looks_ms = [10.0 * factor * self._random.uniform(0.98, 1.02) for _ in range(100)]
        return Figures(seconds=seconds, latencies_ms=looks_ms)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({}, "MET, beyond noise (met: hangs, nested;"),
        ({"nested": 2.0}, "MISSED (met: hangs; missed: nested;"),
    ],
)
async def test_every_kind_is_judged_by_its_own_rounds(
    factors: dict[str, float], words: str
) -> None:
    arena: Any = Arena(factors)
    kinds = {name: KINDS[name] for name in ("hangs", "nested")}
    said = report(await rounds(arena, kinds, random.Random(5), seconds=0.0), random.Random(7))
    assert words in said
    assert arena.measured == 1 + 2 * 2 * LEAST_ROUNDS
