"""The light: on every generation, and what is said when the miner does not do as told."""

from __future__ import annotations

import pytest

from contract.errors import UnsupportedError
from drivers.base import Light, Plan
from tests.drivers.antminer.stage import stage

EVERY = ("s21", "s19pro", "l7", "ks5", "s9", "t17+")


@pytest.mark.parametrize("key", EVERY)
async def test_the_light_goes_on_and_off_and_is_seen_to(key: str) -> None:
    async with stage(key) as on:
        for wish in (True, False):
            evidence = await on.carry_out(Light(on=wish))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.before == {"light_on": not wish}
            assert evidence.after == {"light_on": wish}
            assert on.miner.light is wish
        assert [line["after"]["on"] for line in on.ledger("light")] == [True, False]


@pytest.mark.parametrize("key", EVERY)
async def test_a_light_that_is_as_wished_is_left_alone(key: str) -> None:
    async with stage(key) as on:
        assert (await on.no_change(Light(on=False))).before == {"light_on": False}
        await on.carry_out(Light(on=True))
        assert (await on.no_change(Light(on=True))).before == {"light_on": True}
        assert len(on.ledger("light", phase="received")) == 1


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_miner_that_says_ok_and_does_nothing_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("not_done", True)
        assert evidence.reason == "the light stays off"
        assert not on.ledger("light")


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_lost_answer_is_settled_by_looking(key: str) -> None:
    async with stage(key, {"fault": "silent_apply", "close": True}) as on:
        evidence = await on.carry_out(Light(on=True))
        assert evidence.outcome == "done"
        assert len(on.ledger("light")) == 1


async def test_a_light_that_comes_late_is_still_done() -> None:
    async with stage("s21", "late_apply") as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


async def test_an_early_s9_has_no_light() -> None:
    async with stage("s9-early") as on:
        with pytest.raises(UnsupportedError, match="blink"):
            await on.driver.plan(Light(on=True))


async def test_without_a_status_script_it_is_done_but_not_verified() -> None:
    async with stage("s21", "no_blink_status") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("done", False)
        assert evidence.reason
        assert on.miner.light


async def test_without_a_status_script_a_lost_answer_is_unknown() -> None:
    async with stage("s21", "no_blink_status", {"fault": "silent_apply", "close": True}) as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)


async def test_a_miner_that_dies_at_the_order_is_unknown() -> None:
    async with stage("s21", "dies_after_write") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "look again" in (evidence.reason or "")


async def test_after_a_crash_the_plan_alone_is_enough_to_look_again() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(Light(on=True))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        fresh = on.another_driver()
        evidence = await fresh.verify(plan, on.effect(effect.notes))
        assert (evidence.outcome, evidence.verified) == ("done", True)
        assert len(on.ledger("light")) == 1
