"""When a monitor is asked: miners that began together do not all come at once."""

from __future__ import annotations

import random
from typing import Final

FIRST_WITHIN_S: Final = 5.0
"""Of its start each machine first calls within so long."""
ALONE_AFTER: Final = 3
"""Calls in a row without an answer, before one that others do get is a trouble of this machine."""
_JITTER: Final = 0.1


def about_s(rng: random.Random, seconds: float) -> float:
    """That long, give or take a tenth."""
    return seconds * rng.uniform(1 - _JITTER, 1 + _JITTER)
