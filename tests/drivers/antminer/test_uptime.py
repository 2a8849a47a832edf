"""What a miner's clocks prove about a reboot."""

from __future__ import annotations

import pytest

from drivers.antminer.changes.uptime import boot_uptimes_s, system_sign
from drivers.changes.uptime import CounterSign, sign_of

SLACK = 5.0


@pytest.mark.parametrize(
    ("before", "now", "since", "sign"),
    [
        (5000, 40, 100, CounterSign.RESTARTED),
        (5000, 5100, 100, CounterSign.RUNS_ON),
        (5000, None, 100, CounterSign.UNCLEAR),
        (None, 40, 100, CounterSign.RESTARTED),
        (None, 4000, 100, CounterSign.RUNS_ON),
        (5000, 90000, 100, CounterSign.UNCLEAR),  # jumped ahead: a clock that lies
        (2, 102, 100, CounterSign.UNCLEAR),  # as young as it would be without a restart
        (4242, 4242, 100, CounterSign.UNCLEAR),  # stands still
        # nobody knows how long ago it was
        (5000, 40, None, CounterSign.RESTARTED),
        (5000, 5100, None, CounterSign.UNCLEAR),
        (5000, 4998, None, CounterSign.UNCLEAR),
        (None, 40, None, CounterSign.UNCLEAR),
        (40, 90000, None, CounterSign.UNCLEAR),
    ],
)
def test_elapsed_tells_of_the_process(
    before: float | None, now: float | None, since: float | None, sign: CounterSign
) -> None:
    assert sign_of(before, now, since, SLACK) is sign


def test_the_uptime_of_an_old_system_may_mean_minutes_or_days() -> None:
    assert boot_uptimes_s("5:13") == ((18780.0, 18840.0),)
    assert boot_uptimes_s("25") == ((1500.0, 1560.0), (25 * 86400.0, 26 * 86400.0))
    assert boot_uptimes_s("90") == ((90 * 86400.0, 91 * 86400.0),)
    assert boot_uptimes_s("") == ()
    assert boot_uptimes_s(None) == ()
    assert boot_uptimes_s("day") == ()


@pytest.mark.parametrize(
    ("before", "now", "since", "sign"),
    [
        ("5:13", "2", 200, CounterSign.RESTARTED),  # cannot be two days: it was five hours
        ("5:13", "5:16", 200, CounterSign.RUNS_ON),
        # Longer than since the order, and yet far less than before: not one clock that ran on.
        ("5:13", "3:00", 200, CounterSign.UNCLEAR),
        ("5:13", "9:40", 200, CounterSign.UNCLEAR),
        (
            "12",
            "1",
            200,
            CounterSign.RESTARTED,
        ),  # twelve minutes or days before: neither leads to one
        (
            "1",
            "1",
            200,
            CounterSign.UNCLEAR,
        ),  # a day before, and one minute now? or a day all along
        ("10", "12", 120, CounterSign.RUNS_ON),  # minutes or days: both longer than since the order
        ("5:13", None, 200, CounterSign.UNCLEAR),
        (None, "2", 200, CounterSign.UNCLEAR),
        ("5:13", "1:02", None, CounterSign.RESTARTED),  # went back, whenever that was
        ("5:13", "2", None, CounterSign.UNCLEAR),  # two days, perhaps
        ("5:13", "5:16", None, CounterSign.UNCLEAR),
        (None, "1:02", None, CounterSign.UNCLEAR),
    ],
)
def test_the_uptime_of_the_system_tells_only_what_holds_for_every_reading(
    before: str | None, now: str | None, since: float | None, sign: CounterSign
) -> None:
    assert system_sign(before, now, since, SLACK) is sign


def test_without_a_count_before_only_one_that_began_since_shows_a_restart() -> None:
    """It may have been booting when it was planned for: as when an update was cut off by a journal put back."""
    assert sign_of(None, 97.0, 98.0, 35.0) is CounterSign.RESTARTED
    assert sign_of(None, 117.0, 98.0, 35.0) is CounterSign.UNCLEAR
    assert sign_of(None, 134.0, 98.0, 35.0) is CounterSign.RUNS_ON
