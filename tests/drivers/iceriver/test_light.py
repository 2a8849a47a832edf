"""The light: on and off, read back, and what is said when the miner does not do as told."""

from __future__ import annotations

import pytest

from contract.errors import AuthFailedError, OutcomeUnknownError, UnsupportedError
from drivers.base import Light, Plan
from tests.drivers.iceriver.stage import WRITABLE, stage


@pytest.mark.parametrize("key", [*WRITABLE, "ks0", "al3", "rx0"])
async def test_the_light_goes_on_and_off_and_is_seen_to(key: str) -> None:
    async with stage(key) as on:
        for wish in (True, False):
            evidence = await on.carry_out(Light(on=wish))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.before == {"light_on": not wish}
            assert evidence.after == {"light_on": wish}
            line = on.ledger("light")[-1]
            assert line["before"] == {"on": evidence.before["light_on"]}
            assert line["after"] == {"on": evidence.after["light_on"]}
        assert len(on.ledger("light", phase="received")) == 2
        assert on.miner.boot == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_light_that_is_as_wished_is_left_alone(key: str) -> None:
    async with stage(key) as on:
        assert (await on.no_change(Light(on=False))).before == {"light_on": False}
        await on.carry_out(Light(on=True))
        assert (await on.no_change(Light(on=True))).before == {"light_on": True}
        assert len(on.ledger("light", phase="received")) == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_says_ok_and_does_nothing_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("not_done", True)
        assert evidence.reason == "the light stays off"
        assert not on.ledger("light")


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_looking(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(Light(on=True))
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("light", phase="received")) == 1


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
        effect = on.effect()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        assert (await on.driver.verify(plan, effect)).outcome == outcome
        assert on.miner.light is (outcome == "done")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_light_that_comes_late_is_still_done(key: str) -> None:
    async with stage(key, {"fault": "late_apply", "seconds": 15}) as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_dies_at_the_order_is_unknown(key: str) -> None:
    async with stage(key, "dies_after_write") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "look again" in (evidence.reason or "")


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(Light(on=True))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        notes = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True)
        assert len(on.ledger("light")) == 1


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
        effect = on.effect()
        await on.driver.apply(plan, effect)
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("light", phase="received")) == 1


async def test_a_login_that_is_refused_is_no_order() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(Light(on=True))
        on.faults.add("wants_login")
        on.miner.password = "another"
        with pytest.raises(AuthFailedError):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger(phase="received")


async def test_another_miner_that_came_to_the_address_proves_nothing_of_a_light() -> None:
    async with stage("ks5l") as on:
        plan = await on.driver.plan(Light(on=True))
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        on.miner.mac = "00:0A:35:00:00:99"
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")


async def test_waiting_for_the_light_does_not_wear_out_its_web_side() -> None:
    async with stage("ks5l", "ignores") as on:
        plan = await on.planned(Light(on=True))
        effect = on.effect()
        await on.driver.apply(plan, effect)
        before = on.miner.web.loads
        assert (await on.driver.verify(plan, effect)).outcome == "not_done"
        assert on.miner.web.loads == before
