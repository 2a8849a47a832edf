"""Warmth and ramps: the few laws every simulated hash board obeys."""

from __future__ import annotations

import math
import random
from typing import Final

_HEAT_TAU_S: Final = 150.0


def toward(level: float, target: float, seconds: float) -> float:
    """Where something at `level` has come on its way to `target` after so many seconds."""
    return target + (level - target) * math.exp(-max(0.0, seconds) / _HEAT_TAU_S)


def ramped_s(since_s: float, ramp_s: float) -> float:
    """Seconds of full-rate work done so long after a ramp to the full rate began: its integral."""
    if since_s <= 0:
        return 0.0
    if since_s < ramp_s:
        return since_s * since_s / (2 * ramp_s)
    return since_s - ramp_s / 2


def board_strengths(seed: random.Random, boards: int) -> list[float]:
    """How strong each board is; they differ a little, and add up to what the miner says it does."""
    strengths = [seed.uniform(0.97, 1.03) for _ in range(boards)]
    mean = sum(strengths) / len(strengths)
    return [each / mean for each in strengths]
