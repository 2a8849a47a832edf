"""Times as text, and the clock of the host."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.clock import BootTime, SystemClock, from_text, to_text

offsets = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zone comes beside it
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=offsets,
)


@given(moments)
def test_a_time_comes_back_as_it_was(at: datetime):
    assert from_text(to_text(at)) == at


@given(moments, moments)
def test_the_order_of_the_texts_is_the_order_of_the_times(one: datetime, other: datetime):
    assert (to_text(one) < to_text(other)) == (one < other)
    assert len(to_text(one)) == len("2026-11-21T18:55:00.123456Z")


@given(moments)
def test_any_offset_is_read(at: datetime):
    found = from_text(at.isoformat())
    assert found == at
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    "wrong", ["2026-11-21T18:55:00", "2026-11-21", "", "now", "18:55Z", "2026-13-01T00:00:00Z"]
)
def test_a_time_without_an_offset_or_no_time_at_all_is_a_value_error(wrong: str):
    with pytest.raises(ValueError):
        from_text(wrong)


async def test_the_clock_of_the_host_is_aware_and_goes_forward():
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    before = clock.mono()
    await clock.sleep(0.01)
    assert clock.mono() - before >= 0.009


@pytest.mark.parametrize("seconds", [0, -1, float("-inf")])
async def test_waiting_for_no_time_only_lets_the_others_run(seconds: float):
    ran: list[bool] = []
    asyncio.get_running_loop().call_soon(ran.append, True)
    await asyncio.wait_for(SystemClock().sleep(seconds), 5)
    assert ran


def test_the_clock_of_the_boot_means_the_same_to_the_next_process() -> None:
    here = SystemClock().boot()
    code = "from contract.clock import SystemClock; print(*SystemClock().boot())"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert told[0] == here.boot_id
    assert here.seconds <= float(told[1]) <= SystemClock().boot().seconds


def test_only_moments_of_one_boot_are_compared() -> None:
    now = BootTime("this boot", 50.0)
    assert now.since(BootTime("this boot", 20.0)) == 30.0
    assert now.since(BootTime("this boot", 51.0)) is None
    assert now.since(BootTime("another", 20.0)) is None
