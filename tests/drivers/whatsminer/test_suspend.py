"""Mining switched off and on: seen to, and off only when it stays off."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from drivers.base import Resume, Suspend
from drivers.whatsminer.changes import state
from drivers.whatsminer.changes.suspend import HOLDS_S
from tests.drivers.whatsminer.stage import WRITABLE, stage


@pytest.mark.parametrize("key", WRITABLE)
async def test_mining_is_switched_off_and_on_again(key: str) -> None:
    async with stage(key) as on:
        for change, action in ((Suspend(), "power_off"), (Resume(), "power_on")):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            (line,) = on.ledger(action)
            assert line["before"] == {"mining": evidence.before["mining"]}
            assert line["after"] == {"mining": evidence.after["mining"]}
        assert on.miner.boot == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_what_is_as_wished_is_left_alone(key: str) -> None:
    async with stage(key) as on:
        await on.no_change(Resume())
        await on.carry_out(Suspend())
        await on.no_change(Suspend())
        assert len(on.ledger(phase="received")) == 1


def test_what_says_that_it_is_off_and_hashes_is_not_off() -> None:
    off = state.WhatsminerState(mining=False, hashrate_hs=0.0)
    assert state.is_off(off)
    assert not state.is_off(msgspec.structs.replace(off, hashrate_hs=1e14))
    assert not state.is_off(msgspec.structs.replace(off, is_up=True))
    assert not state.is_off(msgspec.structs.replace(off, mining=None))


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(Suspend())
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "still mines" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_lost_answer_is_settled_by_looking(key: str) -> None:
    async with stage(key, {"fault": "silent_apply", "close": True}) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        assert (await on.carry_out(Resume())).outcome == "done"
        assert len(on.ledger(phase="received")) == 2


async def test_a_stop_that_does_not_last_is_not_called_one() -> None:
    async with stage("m60s-compat", "power_off_slips") as on:
        evidence = await on.carry_out(Suspend())
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "began again by itself" in (evidence.reason or "")


async def test_one_that_goes_silent_once_it_is_off_is_told_as_it_was_seen_last() -> None:
    async with stage("m60s") as on:
        plan, permit = await on.planned(Suspend()), on.permit()
        await on.driver.apply(plan, permit)
        proof = asyncio.create_task(on.driver.verify(plan, permit))
        while on.miner.state != "sleeping":
            await on.clock.sleep(1.0)
        await on.clock.sleep(6.0)  # it is looked at every 5 s
        on.faults.replace(["dead"])
        evidence = await proof
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert evidence.after["mining"] is False


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(Suspend())
        permit = on.permit()
        await on.driver.apply(plan, permit)
        notes = {"intent_at": permit.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.permit(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


async def test_what_is_off_long_after_a_crash_is_watched_for_as_long_as_ever() -> None:
    async with stage("m60s") as on:
        plan, permit = await on.planned(Suspend()), on.permit()
        await on.driver.apply(plan, permit)
        await on.clock.sleep(900.0)  # nobody looked meanwhile
        began_mono = on.clock.mono()
        evidence = await on.another_driver().verify(plan, on.permit(dict(permit.notes)))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.clock.mono() - began_mono >= HOLDS_S


async def test_crashes_of_the_agent_do_not_start_its_time_over() -> None:
    async with stage("m60s") as on:
        plan, permit = await on.planned(Suspend()), on.permit()
        await on.driver.apply(plan, permit)
        began_mono = on.clock.mono()
        for _ in range(3):
            watched = asyncio.create_task(on.another_driver().verify(plan, permit))
            await on.clock.sleep(50.0)
            assert not watched.done()
            watched.cancel()
            await asyncio.gather(watched, return_exceptions=True)
        evidence = await on.another_driver().verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert HOLDS_S <= on.clock.mono() - began_mono < 2 * HOLDS_S


async def test_another_order_starts_its_time_over() -> None:
    async with stage("m60s") as on:
        plan, permit = await on.planned(Suspend()), on.permit()
        await on.driver.apply(plan, permit)
        assert (await on.driver.verify(plan, permit)).outcome == "done"
        on.miner.power_on()
        await on.clock.sleep(300.0)
        await on.driver.apply(plan, permit)
        began_mono = on.clock.mono()
        assert (await on.driver.verify(plan, permit)).outcome == "done"
        assert on.clock.mono() - began_mono >= HOLDS_S
