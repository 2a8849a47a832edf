"""A WhatsMiner that is limited on purpose tells what share of its full power that leaves it, and is not called broken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.condition.judgement import MinerLook, MinerTrouble, look_of
from contract.miner import Moving, Reading, Slow
from drivers.base import Depth, PowerLimit, Reboot
from drivers.whatsminer.reading import limit
from drivers.whatsminer.reading.limit import ReportedLimit, limit_of
from tests.drivers.whatsminer.stage import Stage, stage

# One of each dialect that takes a limit: v2, v2-compat, v3.
LIMITED = ("m50s", "m60s-compat", "m60s")
TELLING = LIMITED[1:]  # their percentage
TH = 1e12


async def read(on: Stage, driver: Any = None) -> Reading:
    return await (driver or on.driver).read(Depth.FULL)


def slow_of(reading: Reading) -> Slow:
    assert reading.slow is not None
    return reading.slow


def judged(reading: Reading, **moving: Any) -> MinerLook:
    """What is judged of it, or would be if so much of its moving facts were otherwise."""
    seen = msgspec.structs.replace(reading.moving, **moving)
    return look_of(seen, reading.slow, reading.static)


def troubles(look: MinerLook) -> list[MinerTrouble]:
    return [each.trouble for each in look.symptoms]


async def limited(on: Stage, change: PowerLimit) -> None:
    """Carry out a limit, and wait until its rate is judged."""
    on.miner.settings["fast_boot"] = True
    assert (await on.carry_out(change)).outcome == "done"
    await on.clock.sleep(1000.0)


@pytest.mark.parametrize("key", LIMITED)
async def test_a_limit_in_watts_is_a_share_and_no_low_rate(key: str) -> None:
    async with stage(key) as on:
        before = await read(on)
        assert (slow_of(before).power_share, troubles(judged(before))) == (None, [])
        await limited(on, PowerLimit(watts=2400))
        reading = await read(on)
        slow, ideal_hs = slow_of(reading), on.miner.hashrate_hs
        assert (slow.power_limit_w, slow.power_percent) == (2400, None)
        assert slow.power_share == pytest.approx(2400 / 3600)
        look = judged(reading)
        assert look.hashrate_hs is not None
        assert look.hashrate_hs < 0.8 * ideal_hs
        assert troubles(look) == []
        assert look.expected_hs == pytest.approx(ideal_hs * 2400 / 3600, rel=0.01)
        assert look.expected_w == 2400
        # It is no excuse for everything.
        assert MinerTrouble.LOW_RATE in troubles(judged(reading, hashrate_hs=0.5 * ideal_hs))


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_was_limited_before_it_was_ever_seen_is_not_broken(key: str) -> None:
    async with stage(key) as on:
        await limited(on, PowerLimit(watts=2400))
        reading = await read(on, on.another_driver())
        # By what it draws for its rate: of a full power that is concluded, in parts of 5 %.
        assert slow_of(reading).power_share == pytest.approx(2400 / on.miner.spec.power_w, abs=0.04)
        assert troubles(judged(reading)) == []
        on.miner.process.scale /= 2  # half of it is broken, and draws no more
        await on.clock.sleep(1000.0)
        broken = await read(on, on.another_driver())
        assert MinerTrouble.LOW_RATE in troubles(judged(broken))


@pytest.mark.parametrize("key", LIMITED)
async def test_a_percentage_is_a_share_and_no_low_rate_until_it_is_lost(key: str) -> None:
    async with stage(key) as on:
        await read(on)
        await limited(on, PowerLimit(percent=60))
        reading = await read(on)
        slow = slow_of(reading)
        assert (slow.power_limit_w, slow.power_percent, slow.power_share) == (3600, 60, 0.6)
        assert troubles(judged(reading)) == []
        assert judged(reading).expected_w == pytest.approx(0.6 * 3600)
        low_hs = 0.4 * on.miner.hashrate_hs
        assert MinerTrouble.LOW_RATE in troubles(judged(reading, hashrate_hs=low_hs))
        # A boot takes it away.
        assert (await on.carry_out(Reboot(force=True))).outcome == "done"
        await on.clock.sleep(1000.0)
        again = await read(on)
        assert (slow_of(again).power_percent, slow_of(again).power_share) == (None, None)
        full_hs = on.miner.hashrate_hs
        assert judged(again).expected_hs == pytest.approx(full_hs, rel=0.01)
        assert troubles(judged(again, hashrate_hs=0.6 * full_hs)) == [MinerTrouble.LOW_RATE]


async def test_a_percentage_that_is_not_told_can_be_given_to_the_next_driver() -> None:
    async with stage("m50s") as on:
        await limited(on, PowerLimit(percent=60))
        assert on.driver.set_percent is not None
        again = on.another_driver()
        assert slow_of(await read(on, again)).power_share is None
        again.set_percent = on.driver.set_percent
        reading = await read(on, again)
        assert (slow_of(reading).power_share, troubles(judged(reading))) == (0.6, [])
        on.miner.power_cycle()
        await on.clock.sleep(1000.0)
        assert slow_of(await read(on, again)).power_share is None
        assert again.set_percent is None


@pytest.mark.parametrize("key", TELLING)
async def test_a_percentage_that_is_told_needs_no_memory(key: str) -> None:
    async with stage(key) as on:
        await limited(on, PowerLimit(percent=60))
        assert on.driver.set_percent is None
        assert slow_of(await read(on, on.another_driver())).power_share == 0.6


@pytest.mark.parametrize("key", LIMITED)
async def test_both_together_leave_the_product(key: str) -> None:
    async with stage(key) as on:
        await read(on)
        await limited(on, PowerLimit(watts=2800))
        await limited(on, PowerLimit(percent=80))
        reading = await read(on)
        assert slow_of(reading).power_share == pytest.approx(0.8 * 2800 / 3600)
        assert judged(reading).expected_w == pytest.approx(0.8 * 2800)
        assert troubles(judged(reading)) == []
        await limited(on, PowerLimit(percent=100))
        assert slow_of(await read(on)).power_share == pytest.approx(2800 / 3600)


@pytest.mark.parametrize("key", LIMITED)
async def test_a_limit_above_what_it_draws_is_none(key: str) -> None:
    async with stage(key) as on:
        await read(on)
        for watts in (3600, "default"):
            on.miner.settings["power_limit"] = 0 if watts == "default" else watts
            assert slow_of(await read(on)).power_share is None
            assert slow_of(await read(on, on.another_driver())).power_share is None


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_what_its_firmware_lets_it_in_mode_low_is_not_taken_for_its_full_power(
    key: str,
) -> None:
    async with stage(key) as on:
        driver = on.another_driver()
        on.miner.set_mode("low")
        await on.clock.sleep(1000.0)
        await read(on, driver)
        assert driver.rated_w is None
        on.miner.set_mode("normal")
        await on.clock.sleep(1000.0)
        await read(on, driver)
        assert driver.rated_w == on.miner.spec.power_limit_w


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_is_not_limited_is_judged_by_its_whole_rate(key: str) -> None:
    async with stage(key) as on:
        on.miner.process.scale = 0.7
        await on.clock.sleep(1000.0)
        for driver in (on.driver, on.another_driver()):
            reading = await read(on, driver)
            assert troubles(judged(reading)) == [MinerTrouble.LOW_RATE]


NONSENSE = (-1, "-5", "x", "nan", "1e999", 10**9, 10**30, [2400], {}, True, 99_999, "", None, 0, 1)


@pytest.mark.parametrize("stored", NONSENSE)
def test_what_can_be_no_limit_is_none(stored: Any) -> None:
    assert limit.share_of(limit_of(3600.0, stored, None), 3600.0) is None
    assert limit.share_of(limit_of(3600.0, stored, 50), 3600.0) == 0.5


@pytest.mark.parametrize(
    "percent", [each for each in NONSENSE if each not in ("1e999", 1)] + [100, 120, "150"]
)
def test_what_can_be_no_percentage_is_none(percent: Any) -> None:
    told = limit_of(3600.0, "", percent)
    assert (limit.share_of(told, 3600.0), limit.watts_of(told, 3600.0, 3300.0)) == (None, 3600.0)


@pytest.mark.parametrize(
    ("limit_w", "stored", "full_w", "power_w", "watts"),
    [
        (3600.0, "", 3600.0, 2100.0, 3600.0),
        (2160.0, "", 3600.0, 2100.0, 3600.0),  # told with the percentage off
        (2400.0, "2400", 3600.0, 1400.0, 2400.0),
        (1440.0, "2400", 3600.0, 1400.0, 2400.0),
        (3600.0, "", None, 2100.0, 3600.0),
        (2160.0, "", None, 2100.0, 3600.0),  # it draws more than 60 % of that
        (3600.0, "", None, None, 3600.0),
        (None, "", 3600.0, 2100.0, None),
    ],
)
def test_a_limit_is_told_without_its_percentage(
    limit_w: float | None,
    stored: str,
    full_w: float | None,
    power_w: float | None,
    watts: float | None,
) -> None:
    told = limit_of(limit_w, stored, 60)
    found = limit.watts_of(told, full_w, power_w)
    assert found == (None if watts is None else pytest.approx(watts))


@pytest.mark.parametrize(
    ("rate", "power_w", "watts"),
    [
        (0.75, 2400.0, 3200.0),
        (0.75, 1800.0, None),  # it is not its limit that holds it back
        (0.4, 2400.0, None),  # nobody limits one so far; it is broken
        (1.0, 2400.0, None),
        (0.0, 2400.0, None),
        (None, 2400.0, None),
        (0.75, None, None),
    ],
)
def test_full_power_is_concluded_from_one_that_draws_all_it_may(
    rate: float | None, power_w: float | None, watts: float | None
) -> None:
    told = ReportedLimit(limit_w=2400.0, set_w=2400.0, is_default=False)
    moving = Moving(hashrate_hs=None if rate is None else rate * 100 * TH, power_w=power_w)
    assert limit.full_by_rate(told, moving, 100 * TH) == watts
    assert limit.full_by_rate(told, moving, None) is None
    own = ReportedLimit(limit_w=2400.0, is_default=True)
    assert limit.full_by_rate(own, moving, 100 * TH) is None
