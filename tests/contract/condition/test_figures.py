"""Figures as people read them."""

from __future__ import annotations

import pytest

from contract.condition.figures import lasting_text, rate_text, watts_text

TH = 1e12


@pytest.mark.parametrize(
    ("rate", "algorithm", "text"),
    [
        (110 * TH, None, "110 TH/s"),
        (8.25 * TH, None, "8.25 TH/s"),
        (0.0, None, "0 H/s"),
        (999.9e12, None, "1 PH/s"),
        (504e6, "scrypt", "504 MH/s"),
        (420e3, "equihash", "420 ksol/s"),
        (12.0, "equihash", "12 sol/s"),
    ],
)
def test_rates_are_told_in_three_digits(rate: float, algorithm: str | None, text: str):
    assert rate_text(rate, algorithm) == text


def test_spans_are_told_in_one_unit():
    spans = (-1, 40, 119, 120, 7199, 7200, 2 * 86_400, 4e6)
    words = ["0 s", "40 s", "119 s", "2 min", "119 min", "2 h", "2 days", "46 days"]
    assert [lasting_text(each) for each in spans] == words


def test_watts_are_told_in_four_digits():
    watts = (0.0, 65.4, 999.9, 7000.0, 152_740.0, 2_475_000.0)
    words = ["0 W", "65.4 W", "999.9 W", "7 kW", "152.7 kW", "2.475 MW"]
    assert [watts_text(each) for each in watts] == words
