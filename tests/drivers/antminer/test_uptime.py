"""What a miner's clocks prove about a reboot."""

from __future__ import annotations

import pytest

from drivers.antminer.changes.orders import boot_uptimes_s
from drivers.antminer.changes.uptime import system_turn
from drivers.changes.uptime import Turn, turn_of

SLACK = 5.0


@pytest.mark.parametrize(
    ("before", "now", "since", "turn"),
    [
        (5000, 40, 100, Turn.RESTARTED),
        (5000, 5100, 100, Turn.RUNS_ON),
        (5000, None, 100, Turn.UNCLEAR),
        (None, 40, 100, Turn.RESTARTED),
        (None, 4000, 100, Turn.RUNS_ON),
        (5000, 90000, 100, Turn.UNCLEAR),  # jumped ahead: a clock that lies
        (2, 102, 100, Turn.UNCLEAR),  # as young as it would be without a restart
        (4242, 4242, 100, Turn.UNCLEAR),  # stands still
        # nobody knows how long ago it was
        (5000, 40, None, Turn.RESTARTED),
        (5000, 5100, None, Turn.UNCLEAR),
        (5000, 4998, None, Turn.UNCLEAR),
        (None, 40, None, Turn.UNCLEAR),
        (40, 90000, None, Turn.UNCLEAR),
    ],
)
def test_elapsed_tells_of_the_process(
    before: float | None, now: float | None, since: float | None, turn: Turn
) -> None:
    assert turn_of(before, now, since, SLACK) is turn


def test_the_uptime_of_an_old_system_may_mean_minutes_or_days() -> None:
    assert boot_uptimes_s("5:13") == ((18780.0, 18840.0),)
    assert boot_uptimes_s("25") == ((1500.0, 1560.0), (25 * 86400.0, 26 * 86400.0))
    assert boot_uptimes_s("90") == ((90 * 86400.0, 91 * 86400.0),)
    assert boot_uptimes_s("") == ()
    assert boot_uptimes_s(None) == ()
    assert boot_uptimes_s("day") == ()


@pytest.mark.parametrize(
    ("before", "now", "since", "turn"),
    [
        ("5:13", "2", 200, Turn.RESTARTED),  # cannot be two days: it was five hours
        ("5:13", "5:16", 200, Turn.RUNS_ON),
        ("12", "1", 200, Turn.RESTARTED),  # twelve minutes or days before: neither leads to one
        ("1", "1", 200, Turn.UNCLEAR),  # a day before, and one minute now? or a day all along
        ("10", "12", 120, Turn.RUNS_ON),  # minutes or days: both longer than since the order
        ("5:13", None, 200, Turn.UNCLEAR),
        (None, "2", 200, Turn.UNCLEAR),
        ("5:13", "1:02", None, Turn.RESTARTED),  # went back, whenever that was
        ("5:13", "2", None, Turn.UNCLEAR),  # two days, perhaps
        ("5:13", "5:16", None, Turn.UNCLEAR),
        (None, "1:02", None, Turn.UNCLEAR),
    ],
)
def test_the_uptime_of_the_system_tells_only_what_holds_for_every_reading(
    before: str | None, now: str | None, since: float | None, turn: Turn
) -> None:
    assert system_turn(before, now, since, SLACK) is turn
