"""A limit in watts or percent: told again by the miner that runs with it, and then by what it draws."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import msgspec
import pytest

from contract.errors import (
    BadParamsError,
    BusyError,
    MinerError,
    RefusedError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Moving
from drivers.base import NoChange, PowerLimit, Reboot, Suspend
from drivers.whatsminer.changes import draw, power_limit
from drivers.whatsminer.reading.snapshot import WhatsminerSnapshot
from tests.drivers.whatsminer.stage import WRITABLE, Stage, stage

# One of each dialect that takes a limit: v2, v2-compat, v3.
LIMITED = ("m50s", "m60s-compat", "m60s")
TELLING = LIMITED[1:]  # their percentage
EIGHTY = PowerLimit(percent=80)
DEFAULT = PowerLimit(watts="default")
WATTS, WATTS_ALONE, PERCENT = "measured watts", "changed watts", "reported percentage"


def watts(number: int) -> PowerLimit:
    return PowerLimit(watts=number)


def fast(on: Stage) -> None:
    on.miner.settings["fast_boot"] = True


# --- done, and seen to ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", LIMITED)
async def test_a_limit_in_watts_is_told_and_kept_to(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(watts(2800))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert WATTS in evidence.signal
        assert evidence.before["power_w"] > 2800 * 1.05
        assert evidence.after["power_w"] <= 2800 * 1.05
        assert (evidence.after["watts"], evidence.after["limit_w"]) == (2800, 2800)
        assert evidence.after["elapsed_s"] < evidence.before["elapsed_s"]
        assert "until_restart" not in evidence.after
        (line,) = on.ledger("power_limit")
        assert (line["before"], line["after"]) == ({"power_limit": 0}, {"power_limit": 2800})
        assert on.miner.boot == 1


@pytest.mark.parametrize("key", LIMITED)
async def test_what_was_before_can_be_asked_for_again(key: str) -> None:
    async with stage(key) as on:
        before = (await on.carry_out(watts(2800))).before["watts"]
        # Newer firmware tells a number by port 4028, set or not.
        assert before == (on.miner.spec.power_limit_w if key == "m60s-compat" else "default")
        assert (await on.carry_out(watts(3000))).before["watts"] == 2800
        evidence = await on.carry_out(DEFAULT)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.miner.settings["power_limit"] == 0
        assert evidence.after["limit_w"] == on.miner.spec.power_limit_w


@pytest.mark.parametrize("key", LIMITED)
async def test_a_limit_that_is_set_is_not_written_again(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(watts(2800))).outcome == "done"
        found = await on.no_change(watts(2800))
        assert found.before["watts"] == 2800
        assert len(on.ledger(phase="received")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_the_default_is_known_where_it_is_told(key: str) -> None:
    async with stage(key) as on:
        assert (await on.no_change(DEFAULT)).before["watts"] == "default"
        assert not on.ledger(phase="received")


async def test_a_default_that_cannot_be_told_from_a_number_is_unknown() -> None:
    async with stage("m60s-compat") as on:
        evidence = await on.carry_out(DEFAULT)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "not whether it is its own" in (evidence.reason or "")


@pytest.mark.parametrize("key", TELLING)
async def test_a_percentage_is_told_and_kept_to_without_a_restart(key: str) -> None:
    async with stage(key) as on:
        fast(on)
        for percent, was in ((80, 100), (60, 80), (100, 60)):
            evidence = await on.carry_out(PowerLimit(percent=percent))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert WATTS in evidence.signal
            assert (evidence.before["percent"], evidence.after["percent"]) == (was, percent)
            assert evidence.after["until_restart"] is True
            assert evidence.after["power_w"] <= on.miner.spec.power_w * percent / 100 * 1.1
            assert evidence.after["elapsed_s"] >= evidence.before["elapsed_s"]
        await on.no_change(PowerLimit(percent=100))
        assert len(on.ledger("power_percent", phase="received")) == 3


async def test_without_a_fast_boot_a_percentage_restarts_the_mining() -> None:
    async with stage("m60s") as on:
        plan = await on.planned(EIGHTY)
        assert plan.raises_power
        evidence = await on.carry_out(EIGHTY)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["elapsed_s"] < evidence.before["elapsed_s"]
        assert (WATTS in evidence.signal, evidence.after["percent"]) == (True, 80)


async def test_a_percentage_that_is_not_told_is_seen_by_the_watts_alone() -> None:
    async with stage("m50s") as on:
        for percent in (80, 60, 100):
            evidence = await on.carry_out(PowerLimit(percent=percent))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.signal == WATTS_ALONE
            assert evidence.after["until_restart"] is True
        # The same again changes nothing that could be seen.
        evidence = await on.carry_out(PowerLimit(percent=100))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


async def test_a_percentage_is_lost_with_a_reboot() -> None:
    async with stage("m60s") as on:
        fast(on)
        assert (await on.carry_out(EIGHTY)).outcome == "done"
        assert (await on.carry_out(Reboot(force=True))).outcome == "done"
        assert (await on.planned(EIGHTY)).before["percent"] == 100


@pytest.mark.parametrize("key", LIMITED)
async def test_what_the_orders_do_to_the_power_is_said(key: str) -> None:
    async with stage(key) as on:
        fast(on)
        assert (await on.planned(watts(2800))).raises_power  # it starts again
        assert not (await on.planned(EIGHTY)).raises_power
        assert (await on.carry_out(PowerLimit(percent=60))).outcome == "done"
        assert (await on.planned(EIGHTY)).raises_power


# --- those that lie ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_ignores_its_limit_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(watts(2800))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert f"stays at a limit of {on.miner.spec.power_limit_w} W" in (evidence.reason or "")
        evidence = await on.carry_out(EIGHTY)
        assert evidence.outcome == ("unknown" if key == "m50s" else "not_done"), evidence
        assert not on.ledger()


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_draws_more_than_it_tells_is_never_called_done(key: str) -> None:
    async with stage(key, "draws_on") as on:
        for _ in range(2):  # that it tells the limit already is no proof the next time, either
            evidence = await on.carry_out(watts(2800))
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
            assert "tells a limit of 2800 W, and draws" in (evidence.reason or "")


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_draws_more_than_its_percentage_is_never_called_done(key: str) -> None:
    async with stage(key, "draws_on") as on:
        fast(on)
        for _ in range(2):
            evidence = await on.carry_out(EIGHTY)
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_forgets_its_limit_at_its_restart_is_found_out(key: str) -> None:
    async with stage(key, "forgets_limit") as on:
        evidence = await on.carry_out(watts(2800))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("variant", ["constant", "never_restarts"])
async def test_a_limit_told_without_a_restart_is_no_proof(key: str, variant: str) -> None:
    async with stage(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(watts(2800))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", TELLING)
async def test_a_percentage_lost_by_a_reboot_on_the_way_is_not_done(key: str) -> None:
    async with stage(key, {"fault": "draws_on"}) as on:
        fast(on)
        proof = await _proof(on, EIGHTY)
        await on.clock.sleep(60.0)
        on.miner.power_cycle()
        evidence = await proof
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "lost it again" in (evidence.reason or "")


GARBAGE = ("nan", "1e999", "nested", "binary", "truncated", "html", "empty")


@pytest.mark.parametrize("key", LIMITED)
async def test_nonsense_is_no_plan_and_no_proof(key: str) -> None:
    async with stage(key) as on:
        plan, permit = await on.planned(watts(2800)), on.permit()
        await on.driver.apply(plan, permit)
        for variant in GARBAGE:
            on.faults.replace([{"fault": "garbage", "variant": variant}])
            with contextlib.suppress(MinerError):
                await on.driver.plan(watts(2700))
            with contextlib.suppress(WrongDeviceError):
                evidence = await on.another_driver().verify(plan, on.permit(permit.notes))
                assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert len(on.ledger(phase="received")) == 1


async def test_what_a_miner_tells_is_never_an_error_of_ours() -> None:
    look = WhatsminerSnapshot(moving=Moving(hashrate_hs=1e14, power_w=3000.0), power_limit_w=3600.0)
    figures = (-1, "-5", "x", "1e999", 10**30, [3600], {}, True, 99_999, "", None, 0)
    async with stage("m60s") as on:
        for stored, percent in itertools.product(figures, figures):
            now = draw._draw(
                look, mining=True, is_up=True, stored=stored, percent=percent, fast_boot=stored
            )
            assert now.limit_w == 3600.0
            assert msgspec.json.encode(draw.shown(now))
            data = power_limit._by_percent(on.driver, 80, now)
            assert data.most_w is not None and data.most_w > 0
            power_limit._is_set(data, now)
            power_limit._draws_more(data, now)


# --- restarts, crashes, slow ones ----------------------------------------------------------------


@pytest.mark.parametrize("key", LIMITED)
async def test_a_restart_on_the_way_delays_the_proof_and_no_more(key: str) -> None:
    async with stage(key) as on:
        proof = await _proof(on, watts(2800))
        await on.clock.sleep(250.0)
        on.miner.power_cycle()
        evidence = await proof
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert (WATTS in evidence.signal, evidence.after["watts"]) == (True, 2800)


@pytest.mark.parametrize("key", LIMITED)
async def test_while_it_takes_a_limit_nothing_is_planned_and_nothing_proven(key: str) -> None:
    async with stage(key) as on:
        plan, permit = await on.planned(watts(2800)), on.permit()
        await on.driver.apply(plan, permit)
        await on.clock.sleep(30.0)  # it tells a limit of 0, or nothing
        assert isinstance(await on.driver.plan(watts(2800)), NoChange)
        assert len(on.ledger(phase="received")) == 1


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_does_not_get_to_its_full_rate_is_believed_by_its_word(key: str) -> None:
    async with stage(key) as on:
        proof = await _proof(on, watts(2800))
        on.faults.replace(["no_hash"])
        evidence = await proof
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert WATTS not in evidence.signal
        assert "within the limit so far" in (evidence.reason or "")


@pytest.mark.parametrize("key", LIMITED)
@pytest.mark.parametrize("change", [watts(2800), EIGHTY], ids=["watts", "percent"])
async def test_after_a_crash_the_plan_alone_is_enough(key: str, change: PowerLimit) -> None:
    async with stage(key) as on:
        fast(on)
        plan, permit = await on.planned(change), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at")
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(phase="received")) == 1


# --- refused, with nothing sent ------------------------------------------------------------------


@pytest.mark.parametrize("key", LIMITED)
async def test_more_than_it_is_made_for_is_refused_with_what_would_work(key: str) -> None:
    async with stage(key) as on:
        if key == "m60s-compat":  # tells a number, set or not: what it is made for is not known
            assert (await on.carry_out(watts(5000))).outcome == "done"
            return
        with pytest.raises(BadParamsError, match=r"watts: 5000 .* up to 3600 .*default"):
            await on.driver.plan(watts(5000))
        # Also once another limit is set.
        assert (await on.carry_out(watts(2800))).outcome == "done"
        with pytest.raises(BadParamsError, match="3600"):
            await on.driver.plan(watts(3601))
        assert len(on.ledger(phase="received")) == 1


@pytest.mark.parametrize("key", LIMITED)
async def test_one_that_is_switched_off_is_refused(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        for change in (watts(2800), EIGHTY):
            with pytest.raises(RefusedError, match="switch it on first"):
                await on.driver.plan(change)
        assert not on.ledger("power_limit", "power_percent", phase="received")


async def test_a_percentage_that_nothing_could_show_is_not_ordered() -> None:
    async with stage("m50s") as on:
        on.miner.restart_process()
        await on.clock.sleep(60.0)
        with pytest.raises(BusyError, match="still ramps up"):
            await on.driver.plan(EIGHTY)
        assert not on.ledger(phase="received")


async def test_a_model_that_tells_no_limit_takes_none() -> None:
    async with stage("m50s") as on:
        on.miner._takes_limit = True
        with pytest.raises(UnsupportedError, match="power mode instead: low, normal or high"):
            await on.driver.plan(watts(2800))


async def test_firmware_before_2022_takes_none_and_says_what_it_has() -> None:
    (early,) = set(WRITABLE) - set(LIMITED)
    async with stage(early) as on:
        for change in (watts(2800), EIGHTY):
            with pytest.raises(UnsupportedError, match="power mode: low, normal, high"):
                await on.driver.plan(change)
        assert not on.ledger(phase="received")


async def _proof(on: Stage, change: PowerLimit) -> asyncio.Task[Any]:
    """The watch over a change that was ordered."""
    plan, permit = await on.planned(change), on.permit()
    await on.driver.apply(plan, permit)
    return asyncio.create_task(on.driver.verify(plan, permit))
