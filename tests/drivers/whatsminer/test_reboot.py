"""The reboot: at most one, proven by the board's own count, and nothing claimed beyond that."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from contract.clock import from_text, to_text
from contract.errors import OutcomeUnknownError, PolicyRefusedError
from drivers.base import Evidence, Plan, Reboot, Suspend
from tests.drivers.effects import MemoryEffect
from tests.drivers.whatsminer.stage import WRITABLE, Stage, stage

FORCE = Reboot(force=True)


@pytest.mark.parametrize("key", [*WRITABLE, "m30s", "m63s"])
async def test_a_reboot_is_done_once_and_seen(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["uptime_s"] < evidence.before["uptime_s"]
        assert evidence.after["outage_at"]
        (line,) = on.ledger("reboot")
        assert (line["before"], line["after"]) == ({"boot": 1}, {"boot": 2})
        assert len(on.ledger("reboot", phase="received")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_hashing_miner_is_not_rebooted_without_force(key: str) -> None:
    async with stage(key) as on:
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.driver.allow_plain_reboot = True
        assert isinstance(await on.driver.plan(Reboot()), Plan)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_is_switched_off_needs_no_force(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(Suspend())
        evidence = await on.carry_out(Reboot())
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert not on.ledger("reboot")


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_does_not_matter(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


@pytest.mark.parametrize("key", ["m50s", "m60s"])
@pytest.mark.parametrize("variant", ["never_restarts", "constant", "jumps"])
async def test_a_firmware_whose_clocks_lie_proves_nothing(key: str, variant: str) -> None:
    async with stage(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome in {"unknown", "done"}
        if variant != "jumps":
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_miner_that_never_comes_back_is_unknown(key: str) -> None:
    async with stage(key, {"fault": "dies_after_write", "applied": True}) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "check it on site" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_mere_restart_of_the_process_is_not_called_a_reboot(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        on.miner.restart_process()
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_boards_own_count_proves_a_reboot_nobody_saw(key: str) -> None:
    async with stage(key) as on:
        evidence = await _after_a_crash(on, reboots=True)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "smaller time since boot"


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_a_miner_that_ran_on_was_not_rebooted(key: str) -> None:
    async with stage(key) as on:
        evidence = await _after_a_crash(on, reboots=False)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s"])
async def test_another_miner_at_the_address_afterwards_is_not_taken_for_this_one(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        on.faults.add("changes_mac")
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_no_leave_no_reboot(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        effect = on.effect()
        effect.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, effect)
        assert not on.ledger("reboot", phase="received")


async def test_after_a_reboot_a_new_token_is_asked_for() -> None:
    async with stage("m50s") as on:
        assert (await on.carry_out(FORCE)).outcome == "done"
        await on.miner.clock.sleep(60)
        assert (await on.carry_out(FORCE)).outcome == "done"
        assert len(on.ledger("reboot", phase="received")) == 2
        assert not on.ledger(phase="rejected")


async def _after_a_crash(on: Stage, *, reboots: bool) -> Evidence:
    """The agent died with its intent on disk; it looks again well after the proof window of the outage."""
    plan = await on.planned(FORCE)
    effect = on.effect()
    if reboots:
        with contextlib.suppress(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
    else:
        async with effect.sending():
            pass
    await on.miner.clock.sleep(200)
    return await on.another_driver().verify(plan, _notes(on, effect))


def _notes(on: Stage, effect: MemoryEffect) -> MemoryEffect:
    kept: dict[str, Any] = {"intent_at": effect.notes["intent_at"]}
    assert from_text(kept["intent_at"]) < on.clock.now() - timedelta(seconds=100)
    return on.effect(kept)
