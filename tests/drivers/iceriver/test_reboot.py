"""The reboot: at most one, proven by the miner's own running time and its silence, and nothing claimed beyond that."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest

from contract.clock import from_text, to_text
from contract.errors import OutcomeUnknownError, PolicyRefusedError
from drivers.base import Evidence, Plan, Reboot, Suspend
from tests.drivers.iceriver.stage import WRITABLE, Stage, stage

FORCE = Reboot(force=True)


@pytest.mark.parametrize("key", [*WRITABLE, "ks0", "ks3l", "al3"])
async def test_a_reboot_is_done_once_and_seen(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["elapsed_s"] < evidence.before["elapsed_s"]
        assert evidence.after["outage_at"]
        assert "outage" in evidence.signal
        (line,) = on.ledger("reboot")
        assert (line["before"], line["after"]) == ({"boot": 1}, {"boot": 2})
        assert len(on.ledger("reboot", phase="received")) == 1
        assert not on.ledger("factory_reset", phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_hashing_miner_is_not_rebooted_without_force(key: str) -> None:
    async with stage(key) as on:
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.driver.allow_plain_reboot = True
        assert isinstance(await on.driver.plan(Reboot()), Plan)
        assert not on.ledger(phase="received")


async def test_a_miner_that_sleeps_needs_no_force_though_its_average_still_shows_work() -> None:
    async with stage("ks5l") as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        plan = await on.planned(Reboot())
        assert plan.before["hashrate_5m_hs"] > 0
        assert plan.before["hashing"] is False
        assert (await on.carry_out(Reboot())).outcome == "done"


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert evidence.signal == "runtime runs on"
        assert not on.ledger("reboot")


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_does_not_matter(key: str, close: bool) -> None:
    async with stage(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


@pytest.mark.parametrize("key", WRITABLE)
@pytest.mark.parametrize("variant", ["never_restarts", "constant", "jumps"])
async def test_a_firmware_whose_runtime_lies_proves_nothing(key: str, variant: str) -> None:
    async with stage(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome in {"unknown", "done"}
        if variant != "jumps":
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_never_comes_back_is_unknown(key: str) -> None:
    async with stage(key, {"fault": "dies_after_write", "applied": True}) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "check it on site" in (evidence.reason or "")


async def test_a_web_server_that_dies_alone_is_not_called_a_reboot() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(FORCE)
        on.faults.add("web_down")
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_an_order_that_was_taken_and_a_smaller_runtime_are_proof(
    key: str,
) -> None:
    async with stage(key) as on:
        evidence = await _after_a_crash(on, reboots=True, keeps=("intent_at", "answered"))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "order taken, then a smaller runtime"


async def test_after_a_crash_a_smaller_runtime_alone_is_none_for_some_restart_by_themselves() -> (
    None
):
    async with stage("ks5l") as on:
        evidence = await _after_a_crash(on, reboots=True, keeps=("intent_at",))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_with_the_outage_noted_the_runtime_settles_it(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        effect = on.effect()
        with contextlib.suppress(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        kept = {"intent_at": effect.notes["intent_at"], "outage_at": to_text(on.clock.now())}
        await on.miner.clock.sleep(200)
        evidence = await on.another_driver().verify(plan, on.effect(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert "outage" in evidence.signal


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_a_miner_that_ran_on_was_not_rebooted(key: str) -> None:
    async with stage(key) as on:
        evidence = await _after_a_crash(on, reboots=False, keeps=("intent_at",))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_another_miner_at_the_address_afterwards_is_not_taken_for_this_one(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        effect = on.effect()
        with contextlib.suppress(OutcomeUnknownError):
            await on.driver.apply(plan, effect)
        on.faults.add("changes_mac")
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")


async def test_an_order_the_daemon_never_got_is_not_done() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(FORCE)
        on.faults.add("answers_error", code=1, message="Connect miner failed!", times=1)
        effect = on.effect()
        with pytest.raises(Exception, match="Connect miner failed"):
            await on.driver.apply(plan, effect)
        assert (await on.driver.verify(plan, effect)).outcome == "not_done"
        assert not on.ledger("reboot", phase="received")


@pytest.mark.parametrize("key", WRITABLE)
async def test_no_leave_no_reboot(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        effect = on.effect()
        effect.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, effect)
        assert not on.ledger("reboot", phase="received")


async def _after_a_crash(on: Stage, *, reboots: bool, keeps: tuple[str, ...]) -> Evidence:
    """The agent died with its intent on disk; it looks again well after the proof window of the outage."""
    plan = await on.planned(FORCE)
    effect = on.effect()
    if reboots:
        await on.driver.apply(plan, effect)
    else:
        async with effect.sending():
            pass
    await on.miner.clock.sleep(220)
    notes: dict[str, Any] = {key: effect.notes[key] for key in keeps}
    assert from_text(notes["intent_at"]) < on.clock.now() - timedelta(seconds=100)
    return await on.another_driver().verify(plan, on.effect(notes))
