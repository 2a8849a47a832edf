"""The power mode: believed when the miner reports it and its process began again."""

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


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_high_mode_that_fails_says_why(key: str) -> None:
    async with stage(key, "high_fails") as on:
        evidence = await on.carry_out(HIGH)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "218" in (evidence.reason or "")
        assert evidence.after["mode"] == "normal"


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("variant", ["constant", "never_restarts"])
async def test_a_mode_reported_without_a_restart_is_no_proof(key: str, variant: str) -> None:
    async with stage(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(LOW)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_just_starts_is_waited_for(key: str) -> None:
    async with stage(key) as on:
        on.miner.restart_process()
        await on.no_change(NORMAL)
        assert not on.ledger(phase="received")
