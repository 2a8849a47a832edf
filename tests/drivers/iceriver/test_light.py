"""The light: on and off, read back, and what is said when the miner does not do as told."""

from __future__ import annotations

import pytest

from contract.errors import AuthFailedError, OutcomeUnknownError, UnsupportedError
from drivers.base import Light
from tests.drivers.iceriver.stage import WRITABLE, stage


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize(
    ("fault", "outcome"), [("login_page", "not_done"), ("no_error_key", "done")]
)
async def test_an_answer_that_says_nothing_of_the_order_is_settled_by_looking(
    key: str, fault: str, outcome: str
) -> None:
    async with stage(key) as on:
        plan = await on.planned(Light(on=True))
        on.faults.add(fault, times=1)
        permit = on.permit()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        assert (await on.driver.verify(plan, permit)).outcome == outcome
        assert on.miner.light is (outcome == "done")


async def test_a_light_is_read_of_the_daemon_where_the_web_side_breaks_its_own_json() -> None:
    async with stage("ks3m") as on:
        on.miner.pools[0]["pass"] = 'a"b'
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", ["ks0-pbfarmer", "ks5m-tswift", "ks0-exo160"])
async def test_firmware_of_others_is_not_written_to(key: str) -> None:
    async with stage(key) as on:
        with pytest.raises(UnsupportedError, match="is only read"):
            await on.driver.plan(Light(on=True))
        assert on.driver.capabilities is None
        assert not on.ledger(phase="received")
        assert not on.ledger("foreign_write", phase="rejected")


@pytest.mark.parametrize("key", WRITABLE)
async def test_firmware_that_wants_a_login_gets_one_and_then_the_order_once(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(Light(on=True))
        on.faults.add("wants_login")
        permit = on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("light", phase="received")) == 1


async def test_a_login_that_is_refused_is_no_order() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(Light(on=True))
        on.faults.add("wants_login")
        on.miner.password = "another"
        with pytest.raises(AuthFailedError):
            await on.driver.apply(plan, on.permit())
        assert not on.ledger(phase="received")


async def test_waiting_for_the_light_does_not_wear_out_its_web_side() -> None:
    async with stage("ks5l", "ignores") as on:
        plan = await on.planned(Light(on=True))
        permit = on.permit()
        await on.driver.apply(plan, permit)
        before = on.miner.web.loads
        assert (await on.driver.verify(plan, permit)).outcome == "not_done"
        assert on.miner.web.loads == before
