"""The reboot: at most one, proven by silence and young clocks, and nothing claimed beyond that."""

from __future__ import annotations

import pytest

from contract.errors import (
    OutcomeUnknownError,
    ServiceAwayError,
    UnreachableError,
)
from drivers.base import Plan, Reboot
from tests.drivers.antminer.stage import stage

FORCE = Reboot(force=True)


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


async def test_the_outage_is_noted_so_that_a_crash_does_not_lose_it() -> None:
    async with stage("s21") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        permit = on.permit()
        await on.driver.apply(plan, permit)
        await on.driver.verify(plan, permit)
        assert "outage_at" in permit.notes
        # a second life of the agent needs no outage of its own
        again = await on.another_driver().verify(plan, permit)
        assert (again.outcome, again.verified) == ("done", True)


async def test_a_young_process_without_an_outage_seen_is_no_proof_of_a_reboot() -> None:
    async with stage("s19pro") as on:
        plan, permit = await on.planned(FORCE), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", later_s=200)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "nobody saw" in (evidence.reason or "")


async def test_the_system_uptime_of_an_old_firmware_proves_a_reboot_nobody_saw() -> None:
    async with stage("s9") as on:
        plan, permit = await on.planned(FORCE), on.permit()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", later_s=200)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "uptime of the system"


async def test_nothing_else_is_sent_while_the_order_waits_in_the_mailbox() -> None:
    async with stage("s19pro") as on:
        plan = await on.driver.plan(FORCE)
        assert isinstance(plan, Plan)
        begun = on.miner.clock.now()
        await on.driver.apply(plan, on.permit())
        assert not await on.driver.wire.probe(on.miner.http_port)
        assert on.miner.clock.now() - begun >= 10.0
        assert on.miner.boot == 2


async def test_a_miner_whose_api_alone_is_away_is_not_taken_for_one_that_went_down() -> None:
    async with stage("s21", "refuses_4028", late=True) as on:
        with pytest.raises(ServiceAwayError):
            await on.another_driver().identify()
    async with stage("s21", "dead", late=True) as on:
        with pytest.raises(UnreachableError) as caught:
            await on.another_driver().identify()
        assert not isinstance(caught.value, ServiceAwayError)
