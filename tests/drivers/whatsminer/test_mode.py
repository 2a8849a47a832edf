"""The power mode: believed when the miner reports it and its process began anew."""

from __future__ import annotations

import pytest

from contract.errors import UnsupportedModeError
from contract.miner import PowerMode
from drivers.base import Mode, Suspend
from tests.drivers.whatsminer.stage import WRITABLE, stage

LOW, NORMAL, HIGH = (Mode(mode=mode) for mode in (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH))


@pytest.mark.parametrize("key", WRITABLE)
async def test_every_mode_is_set_and_seen_to(key: str) -> None:
    async with stage(key) as on:
        for wish, was in ((LOW, "normal"), (HIGH, "low"), (NORMAL, "high")):
            evidence = await on.carry_out(wish)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            line = on.ledger("mode")[-1]
            assert line["before"] == {"mode": evidence.before["mode"]} == {"mode": was}
            assert line["after"] == {"mode": evidence.after["mode"]}
            assert evidence.after["elapsed_s"] < evidence.before["elapsed_s"]
            await on.miner.clock.sleep(120)
        assert len(on.ledger("mode", phase="received")) == 3


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_mode_that_is_as_wished_is_not_written_since_that_would_restart_it(
    key: str,
) -> None:
    async with stage(key) as on:
        assert (await on.no_change(NORMAL)).before["mode"] == "normal"
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_no_whatsminer_sleeps_or_has_presets(key: str) -> None:
    async with stage(key) as on:
        for change in (Mode(mode=PowerMode.SLEEP), Mode(preset="3500W")):
            with pytest.raises(UnsupportedModeError):
                await on.driver.plan(change)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_switched_off_is_switched_on_for_its_new_mode(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        evidence = await on.carry_out(LOW)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert (evidence.before["mining"], evidence.after["mining"]) == (False, True)
        assert on.miner.mode == "low"
        assert not on.miner.is_off


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_miner_switched_off_in_the_wished_mode_is_only_switched_on(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        assert (await on.carry_out(NORMAL)).outcome == "done"
        assert not on.ledger("mode", phase="received")
        assert len(on.ledger("power_on")) == 1


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(LOW)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "stays in mode normal" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_high_mode_that_fails_says_why(key: str) -> None:
    async with stage(key, "high_fails") as on:
        evidence = await on.carry_out(HIGH)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "218" in (evidence.reason or "")
        assert evidence.after["mode"] == "normal"


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_is_settled_by_looking(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(LOW)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("mode", phase="received")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_mode_that_comes_late_is_still_done(key: str) -> None:
    async with stage(key, "late_apply") as on:
        assert (await on.carry_out(LOW)).outcome == "done"


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("variant", ["constant", "never_restarts"])
async def test_a_mode_reported_without_a_restart_is_no_proof(key: str, variant: str) -> None:
    async with stage(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(LOW)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_miner_that_dies_at_the_order_is_unknown(key: str) -> None:
    async with stage(key, "dies_after_write") as on:
        evidence = await on.carry_out(LOW)
        assert (evidence.outcome, evidence.verified) == ("unknown", False)


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(LOW)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        notes = {"intent_at": effect.notes["intent_at"]}
        evidence = await on.another_driver().verify(plan, on.effect(notes))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_just_starts_is_waited_for(key: str) -> None:
    async with stage(key) as on:
        on.miner.restart_process()
        await on.no_change(NORMAL)
        assert not on.ledger(phase="received")
