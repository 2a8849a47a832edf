"""What stands between an order and its miner: passwords, tokens, the switch. Each has its own error and its fix."""

from __future__ import annotations

import pytest

from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    MinerError,
    WriteDisabledError,
)
from drivers.base import Light, Plan
from tests.drivers.effects import MemoryEffect
from tests.drivers.whatsminer.stage import ON_4028, WRITABLE, Stage, stage

ON = Light(on=True)


async def refused(on: Stage, kind: type[MinerError], match: str) -> MemoryEffect:
    """Try the light; it must be refused so, and nothing may have happened."""
    plan = await on.planned(ON)
    permit = on.permit()
    with pytest.raises(kind, match=match):
        await on.driver.apply(plan, permit)
    assert not on.ledger()
    return permit


@pytest.mark.parametrize("key", WRITABLE)
async def test_writing_switched_off_names_the_switch(key: str) -> None:
    async with stage(key, "write_disabled") as on:
        await refused(on, WriteDisabledError, "WhatsMinerTool")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_wrong_password_names_the_credentials(key: str) -> None:
    async with stage(key, "wrong_password") as on:
        await refused(on, AuthFailedError, "credentials")


async def test_a_wrong_password_that_v3_calls_a_failure_is_still_one() -> None:
    async with stage("m60s", "wrong_password", "denied_as_fail") as on:
        await refused(on, AuthFailedError, "credentials")


async def test_a_locked_account_says_so() -> None:
    async with stage("m60s", "locked_account") as on:
        await refused(on, AuthFailedError, "locked")


@pytest.mark.parametrize("key", ON_4028)
@pytest.mark.parametrize("bare", [True, False])
async def test_no_place_for_a_token_is_waited_for_once_and_then_busy(key: str, bare: bool) -> None:
    faults = ["busy_slots", *(["bare_136"] if bare else [])]
    async with stage(key, *faults) as on:
        began = on.miner.clock.now()
        permit = await refused(on, BusyError, "token")
        assert permit.sent == 0
        assert on.miner.clock.now() - began >= 180.0


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_token_that_never_comes_is_an_error_before_anything_is_sent(key: str) -> None:
    async with stage(key, "token_never", read_s=1.0) as on:
        permit = await refused(on, MalformedError, "salt|reply|hung up|answer")
        assert permit.sent == 0


@pytest.mark.parametrize("key", WRITABLE)
async def test_tokens_that_are_worth_nothing_end_after_one_more_try(key: str) -> None:
    async with stage(key, "token_expires_at_once") as on:
        permit = await refused(on, AuthFailedError, "token|credentials")
        assert permit.sent <= 2


@pytest.mark.parametrize("key", ON_4028)
async def test_one_token_serves_many_orders(key: str) -> None:
    async with stage(key) as on:
        for number in range(6):
            plan = Plan(change=Light(on=number % 2 == 0), before={"light_on": None})
            await on.driver.apply(plan, on.permit())
        assert on.miner.tokens.live("127.0.0.1") == 1


@pytest.mark.parametrize("key", ON_4028)
async def test_a_token_lost_with_a_restart_is_renewed_and_the_order_given_once(key: str) -> None:
    async with stage(key) as on:
        await on.driver.apply(await on.planned(ON), on.permit())
        await on.miner.clock.sleep(5)
        on.miner.tokens.clear()
        plan = Plan(change=Light(on=False), before={"light_on": True})
        await on.driver.apply(plan, on.permit())
        assert len(on.ledger("light", phase="received")) == 2


@pytest.mark.parametrize("fault", ["clock_drift", "clock_1970", "checks_ts"])
async def test_the_devices_clock_may_be_wrong(fault: str) -> None:
    async with stage("m60s", fault, *(["clock_drift"] if fault == "checks_ts" else [])) as on:
        assert (await on.carry_out(ON)).outcome == "done"


async def test_a_miner_without_a_password_of_ours_is_not_written_to() -> None:
    async with stage("m50s") as on:
        on.driver.tokens.replace_credentials(None)
        await refused(on, AuthFailedError, "no password")


@pytest.mark.parametrize("key", WRITABLE)
async def test_every_line_of_a_miner_that_closes_after_each_answer_is_used_once(key: str) -> None:
    async with stage(key, "closes_after_each", "joined_refused") as on:
        evidence = await on.carry_out(ON)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("light", phase="received")) == 1


@pytest.mark.parametrize("fault", ["short_frames", "oversized_length"])
async def test_frames_that_lie_about_their_length_end_in_a_named_error(fault: str) -> None:
    async with stage("m60s", fault, late=True) as on:
        with pytest.raises(MalformedError):
            await on.driver.plan(ON)
        on.faults.clear()
        plan = await on.planned(ON)
        on.faults.add(fault, match=["set.system.led"])
        with pytest.raises(MinerError):
            await on.driver.apply(plan, on.permit())
        on.faults.clear()
        evidence = await on.driver.verify(plan, on.permit())
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("light", phase="received")) == 1
