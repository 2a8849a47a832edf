"""The reboot: at most one, proven by silence and young clocks, and nothing claimed beyond that."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contract.clock import from_text, to_text
from contract.errors import (
    OutcomeUnknownError,
    PolicyRefusedError,
    ServiceAwayError,
    UnreachableError,
)
from drivers.base import Evidence, Plan, Reboot
from tests.drivers.antminer.stage import Stage, stage
from tests.drivers.effects import MemoryEffect

FORCE = Reboot(force=True)


@pytest.mark.parametrize("key", ["s21", "s19pro", "l7", "ks5", "s9", "t17+", "s21hyd"])
async def test_a_reboot_is_done_once_and_seen(key: str) -> None:
    async with stage(key) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["elapsed_s"] is None or (
            evidence.after["elapsed_s"] < evidence.before["elapsed_s"]
        )
        assert len(on.ledger("reboot")) == 1
        assert on.miner.boot == 2


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_hashing_miner_is_not_rebooted_without_force(key: str) -> None:
    async with stage(key) as on:
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        assert not on.ledger(phase="received")


async def test_a_site_may_allow_plain_reboots() -> None:
    async with stage("s21") as on:
        on.driver.allow_plain_reboot = True
        assert isinstance(await on.driver.plan(Reboot()), Plan)


async def test_a_miner_that_does_not_hash_needs_no_force() -> None:
    async with stage("s21", "overheated") as on:
        assert isinstance(await on.driver.plan(Reboot()), Plan)


async def test_a_miner_whose_api_is_away_counts_as_not_hashing() -> None:
    async with stage("s21", "refuses_4028", late=True) as on:
        plan = await on.driver.plan(Reboot())
        assert isinstance(plan, Plan)
        assert plan.before["elapsed_s"] is None


@pytest.mark.parametrize("answer", [404, 405])
async def test_a_build_that_wants_a_post_gets_one(answer: int) -> None:
    async with stage("s21", {"fault": "reboot_post_only", "answer": answer}) as on:
        assert (await on.carry_out(FORCE)).outcome == "done"
        assert len(on.ledger("reboot")) == 1
        assert len(on.ledger("reboot", phase="received")) == 1


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_liar_is_found_out(key: str) -> None:
    async with stage(key, "ignores") as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert not on.ledger("reboot")


@pytest.mark.parametrize("close", [True, False])
async def test_a_lost_answer_does_not_matter(close: bool) -> None:
    async with stage("s21", {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


@pytest.mark.parametrize("variant", ["never_restarts", "constant", "jumps"])
async def test_a_new_firmware_whose_uptime_lies_proves_nothing(variant: str) -> None:
    async with stage("s21", {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome in {"unknown", "done"}
        if variant != "jumps":
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


async def test_a_miner_that_never_comes_back_is_unknown() -> None:
    async with stage("s21", {"fault": "dies_after_write", "applied": True}) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "check it on site" in (evidence.reason or "")


async def test_the_outage_is_noted_so_that_a_crash_does_not_lose_it() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        await on.driver.verify(plan, effect)
        assert "outage_at" in effect.notes
        # a second life of the agent needs no outage of its own
        again = await on.another_driver().verify(plan, effect)
        assert (again.outcome, again.verified) == ("done", True)


async def test_a_young_process_without_an_outage_seen_is_no_proof_of_a_reboot() -> None:
    async with stage("s19pro") as on:
        evidence = await _after_a_crash(on, reboots=True)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "nobody saw" in (evidence.reason or "")


async def test_the_system_uptime_of_an_old_firmware_proves_a_reboot_nobody_saw() -> None:
    async with stage("s9") as on:
        evidence = await _after_a_crash(on, reboots=True)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "uptime of the system"


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_after_a_crash_a_miner_that_ran_on_was_not_rebooted(key: str) -> None:
    async with stage(key) as on:
        evidence = await _after_a_crash(on, reboots=False)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


async def test_a_mere_restart_of_the_process_is_not_called_a_reboot() -> None:
    async with stage("s9") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        on.miner.crash_process()
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert evidence.outcome in {"not_done", "unknown"}, evidence
    async with stage("s21") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        on.miner.crash_process()
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


async def test_another_miner_at_the_address_afterwards_is_not_taken_for_this_one() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        on.faults.add("changes_mac")
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in (evidence.reason or "")


async def test_nothing_else_is_sent_while_the_order_waits_in_the_mailbox() -> None:
    async with stage("s19pro") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        begun = on.miner.clock.now()
        await on.driver.apply(plan, on.effect())
        assert not await on.driver.wire.probe(on.miner.http_port)
        assert on.miner.clock.now() - begun >= 10.0
        assert on.miner.boot == 2


async def test_no_leave_no_reboot() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        effect = on.effect()
        effect.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, effect)
        assert not on.ledger("reboot", phase="received")


async def _after_a_crash(on: Stage, *, reboots: bool) -> Evidence:
    """The agent died with its intent on disk; it looks again well after the proof window of the outage."""
    plan = await on.driver.plan(FORCE)
    assert isinstance(plan, Plan)
    effect = on.effect()
    if reboots:
        try:
            await on.driver.apply(plan, effect)
        except OutcomeUnknownError:
            pass
        else:
            assert on.miner.generation != "old"
    else:
        async with effect.sending():
            pass
    await on.miner.clock.sleep(200)
    return await on.another_driver().verify(plan, _notes(on, effect))


def _notes(on: Stage, effect: MemoryEffect) -> MemoryEffect:
    kept: dict[str, Any] = {"intent_at": effect.notes["intent_at"]}
    assert from_text(kept["intent_at"]) < on.clock.now() - timedelta(seconds=100)
    return on.effect(kept)


async def test_a_miner_whose_api_alone_is_away_is_not_taken_for_one_that_went_down() -> None:
    async with stage("s21", "refuses_4028", late=True) as on:
        with pytest.raises(ServiceAwayError):
            await on.another_driver().identify()
    async with stage("s21", "dead", late=True) as on:
        with pytest.raises(UnreachableError) as caught:
            await on.another_driver().identify()
        assert not isinstance(caught.value, ServiceAwayError)
