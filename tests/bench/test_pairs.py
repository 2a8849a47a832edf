"""Does the comparison tell an effect from noise? Judged on figures whose truth is known."""

from __future__ import annotations

import math
import random

import pytest

from bench.pairs import LEAST_ROUNDS, RatioVerdict, Round, control, effect, quantile

AIM = 1.2


def _host(rng: random.Random, rounds: int, *, factor: float, noise: float) -> list[Round]:
    """Rounds on a host whose mood drifts far more than `noise`, beside something that costs `factor`."""
    mood, measured = 0.0, []
    for _ in range(rounds):
        mood += rng.gauss(0.0, 0.5)
        before, beside, after = (
            30.0 * math.exp(mood + slope + rng.gauss(0.0, noise)) for slope in (-0.02, 0.0, 0.02)
        )
        measured.append(Round(before, factor * beside, after))
    return measured


@pytest.mark.parametrize(
    ("factor", "noise", "verdict"),
    [
        (1.0, 0.1, RatioVerdict.MET),
        (1.1, 0.03, RatioVerdict.MET),
        (1.5, 0.1, RatioVerdict.MISSED),
        (1.3, 0.03, RatioVerdict.MISSED),
        (1.2, 0.1, RatioVerdict.OPEN),
        (1.0, 1.0, RatioVerdict.OPEN),
        (1.5, 1.0, RatioVerdict.OPEN),
    ],
)
def test_an_effect_is_told_from_a_host_that_drifts_and_noise_is_called_noise(
    factor: float, noise: float, verdict: RatioVerdict
) -> None:
    rng = random.Random(7)
    said = [effect(_host(rng, 14, factor=factor, noise=noise), rng).verdict(AIM) for _ in range(20)]
    assert said.count(verdict) >= 17
    opposite = {RatioVerdict.MET: RatioVerdict.MISSED, RatioVerdict.MISSED: RatioVerdict.MET}
    assert opposite.get(verdict) not in said


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(11)
    held = 0
    for _ in range(100):
        ratio = effect(_host(rng, 14, factor=1.1, noise=0.2), rng)
        held += ratio.low <= 1.1 <= ratio.high
    assert held >= 0.94 * 100


def test_the_control_shows_what_noise_alone_would_make_of_it() -> None:
    rng = random.Random(3)
    ratio = control(_host(rng, 30, factor=4.0, noise=0.1), rng)
    assert ratio.low < 1.04 < ratio.high
    assert ratio.high < 1.2


def test_what_an_effect_leaves_behind_shows_in_the_control() -> None:
    ratio = control([Round(10.0, 20.0, 20.0)] * 8, random.Random(1))
    assert (ratio.low, ratio.middle, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_a_look_before_and_one_after_cancel_a_steady_drift() -> None:
    assert Round(10.0, 20.0, 40.0).effect == pytest.approx(0.0)


def test_too_few_rounds_have_no_interval() -> None:
    with pytest.raises(ValueError, match="too few"):
        effect([Round(1.0, 1.0, 1.0)] * (LEAST_ROUNDS - 1), random.Random(1))


def test_a_quantile_lies_between_its_neighbours() -> None:
    assert quantile([float(each) for each in range(101)], 99) == pytest.approx(99.0)
    with pytest.raises(ValueError, match="too few"):
        quantile([1.0], 99)
