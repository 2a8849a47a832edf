"""The reboot: at most one, proven by the board's own count, and nothing claimed beyond that."""

from __future__ import annotations

import pytest

from contract.errors import PolicyRefusedError
from drivers.base import Reboot, Suspend
from tests.drivers.whatsminer.stage import WRITABLE, stage

FORCE = Reboot(force=True)


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_is_switched_off_needs_no_force(key: str) -> None:
    async with stage(key) as on:
        await on.carry_out(Suspend())
        evidence = await on.carry_out(Reboot())
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize("key", WRITABLE)
async def test_the_boards_own_count_proves_a_reboot_nobody_saw(key: str) -> None:
    async with stage(key) as on:
        plan, permit = await on.planned(FORCE), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", later_s=200)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == "smaller time since boot"


async def test_after_a_reboot_a_new_token_is_asked_for() -> None:
    async with stage("m50s") as on:
        assert (await on.carry_out(FORCE)).outcome == "done"
        await on.miner.clock.sleep(60)
        assert (await on.carry_out(FORCE)).outcome == "done"
        assert len(on.ledger("reboot", phase="received")) == 2
        assert not on.ledger(phase="rejected")


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_rate_that_its_boards_contradict_is_not_taken_for_rest(key: str) -> None:
    """Far below its ideal rate, as far as one can tell: its boards do a thousand times as much."""
    async with stage(key, "board_unit_off") as on:
        on.driver._ideal_hs = on.miner.hashrate_hs * 1000.0
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.faults.remove("board_unit_off")
        on.driver._ideal_hs = on.miner.hashrate_hs * 1000.0
        assert (await on.planned(Reboot())).before["hashing"] is False
