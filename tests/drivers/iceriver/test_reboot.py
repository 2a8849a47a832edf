"""The reboot: at most one, proven by the miner's own running time and its silence, and nothing claimed beyond that."""

from __future__ import annotations

import contextlib

import pytest

from contract.clock import to_text
from contract.errors import OutcomeUnknownError, PolicyRefusedError
from drivers.base import Reboot, Suspend
from tests.drivers.iceriver.stage import WRITABLE, stage

FORCE = Reboot(force=True)


async def test_a_miner_that_sleeps_needs_no_force_though_its_average_still_shows_work() -> None:
    async with stage("ks5l") as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        plan = await on.planned(Reboot())
        assert plan.before["hashrate_5m_hs"] > 0
        assert plan.before["hashing"] is False
        assert (await on.carry_out(Reboot())).outcome == "done"


async def test_a_web_server_that_dies_alone_is_not_called_a_reboot() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(FORCE)
        on.faults.add("web_down")
        permit = on.permit({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_an_order_that_was_taken_and_a_smaller_runtime_are_proof(
    key: str,
) -> None:
    async with stage(key) as on:
        plan, permit = await on.planned(FORCE), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", "answered", later_s=220)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "order taken, then a smaller runtime"


async def test_after_a_crash_a_smaller_runtime_alone_is_none_for_some_restart_by_themselves() -> (
    None
):
    async with stage("ks5l") as on:
        plan, permit = await on.planned(FORCE), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", later_s=220)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_after_a_crash_with_the_outage_noted_the_runtime_settles_it(key: str) -> None:
    async with stage(key) as on:
        plan = await on.planned(FORCE)
        permit = on.permit()
        with contextlib.suppress(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        kept = {"intent_at": permit.notes["intent_at"], "outage_at": to_text(on.clock.now())}
        await on.miner.clock.sleep(200)
        evidence = await on.another_driver().verify(plan, on.permit(kept))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert "outage" in evidence.signal


async def test_an_order_the_daemon_never_got_is_not_done() -> None:
    async with stage("ks5l") as on:
        plan = await on.planned(FORCE)
        on.faults.add("answers_error", code=1, message="Connect miner failed!", times=1)
        permit = on.permit()
        with pytest.raises(Exception, match="Connect miner failed"):
            await on.driver.apply(plan, permit)
        assert (await on.driver.verify(plan, permit)).outcome == "not_done"
        assert not on.ledger("reboot", phase="received")


async def test_sleep_that_is_stored_and_not_obeyed_is_no_leave_to_reboot() -> None:
    async with stage("ks5m", "stuck_awake") as on:
        await on.carry_out(Suspend())
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())


async def test_a_rate_that_its_boards_contradict_is_not_taken_for_rest() -> None:
    """Far below its ideal rate, as far as one can tell: its boards do a thousand times as much."""
    async with stage("ks5l", "board_unit_off") as on:
        on.driver._ideal_hs = on.miner.hashrate_hs * 1000.0
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.faults.remove("board_unit_off")
        on.driver._ideal_hs = on.miner.hashrate_hs * 1000.0
        assert (await on.planned(Reboot())).before["hashing"] is False
