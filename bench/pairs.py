"""Telling an effect from noise: measurements with it, each between two without, compared pair by pair.

A host that is busy for a while spoils neighbours alike, so their quotient stands where the figures do not. What the
noise alone makes of such a quotient is measured too: the control compares the two measurements without.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

SURE: Final = 0.99  # of an interval: nine are looked at together
RESAMPLED: Final = 4000
LEAST_ROUNDS: Final = 5  # fewer have no interval worth the name


class RatioVerdict(StrEnum):
    """What the rounds say of a ratio and the most it may be."""

    MET = "met"  # the whole interval is below
    MISSED = "missed"  # the whole interval is above
    OPEN = "not told from noise"


class Round(msgspec.Struct, frozen=True):
    """One figure three times: without the effect, with it, without it again. All over 0."""

    before: float
    beside: float
    after: float

    @property
    def effect(self) -> float:
        """Logarithm of with / without."""
        return math.log(self.beside) - (math.log(self.before) + math.log(self.after)) / 2

    @property
    def control(self) -> float:
        """Logarithm of without / without."""
        return math.log(self.after) - math.log(self.before)


class Ratio(msgspec.Struct, frozen=True):
    """A quotient and the interval that holds it with the certainty of SURE."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:.2f} [{self.low:.2f} .. {self.high:.2f}]"

    def verdict(self, most: float) -> RatioVerdict:
        """Whether it is at most `most`, beyond noise."""
        if self.high <= most:
            return RatioVerdict.MET
        return RatioVerdict.MISSED if self.low > most else RatioVerdict.OPEN


def effect(rounds: Sequence[Round], rng: random.Random) -> Ratio:
    """With against without. ValueError for fewer rounds than LEAST_ROUNDS."""
    return _bootstrap([each.effect for each in rounds], rng)


def control(rounds: Sequence[Round], rng: random.Random) -> Ratio:
    """Without against without: what noise, and what the effect leaves behind, look like."""
    return _bootstrap([each.control for each in rounds], rng)


def quantile(values: Sequence[float], per_cent: int) -> float:
    """The value that so many per cent stay below. ValueError for fewer than two values."""
    if len(values) < 2:
        raise ValueError("too few values for a quantile")
    return statistics.quantiles(values, n=100, method="inclusive")[per_cent - 1]


def _bootstrap(logs: list[float], rng: random.Random) -> Ratio:
    """The mean over the rounds, and how far it moves when rounds are drawn again from those there were."""
    number = len(logs)
    if number < LEAST_ROUNDS:
        raise ValueError(f"{number} rounds are too few, {LEAST_ROUNDS} are the least")
    middle = statistics.fmean(logs)
    # Drawing from few rounds makes them look more alike than they are, by this factor.
    widen = math.sqrt(number / (number - 1))
    means = sorted(
        middle + widen * (statistics.fmean(rng.choices(logs, k=number)) - middle)
        for _ in range(RESAMPLED)
    )
    cut = round((1 - SURE) / 2 * RESAMPLED)
    return Ratio(math.exp(middle), math.exp(means[cut]), math.exp(means[-1 - cut]))
