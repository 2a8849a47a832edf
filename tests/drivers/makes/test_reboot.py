"""What every driver promises of the reboot: at most one, and nothing claimed that was not seen."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from contract.clock import to_text
from contract.errors import OutcomeUnknownError, PolicyRefusedError
from drivers.base import Plan, Reboot
from tests.drivers.makes.cases import (
    FORCE,
    MakeCase,
    Need,
    each,
    each_silence,
)


def answered(make: MakeCase, key: str) -> AbstractContextManager[Any]:
    """Holds that an order to reboot is answered, or that its answer is lost where the model gives none."""
    return nullcontext() if make.can(Need.ANSWER, key) else pytest.raises(OutcomeUnknownError)


@each(Need.REBOOT, every=True)
async def test_a_reboot_is_done_once_and_seen(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after[make.uptime_field] < evidence.before[make.uptime_field]
        assert evidence.after["outage_at"]
        assert make.reboot_signal in evidence.signal
        (line,) = on.ledger("reboot")
        assert (line["before"], line["after"]) == ({"boot": 1}, {"boot": 2})
        assert len(on.ledger("reboot", phase="received")) == 1
        assert on.miner.boot == 2
        assert not on.ledger("factory_reset", phase="received")


@each(Need.REBOOT)
async def test_a_hashing_miner_is_not_rebooted_without_force(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.driver.allow_plain_reboot = True
        assert isinstance(await on.driver.plan(Reboot()), Plan)
        assert not on.ledger(phase="received")


@each(Need.REBOOT)
async def test_a_miner_that_only_says_it_reboots_is_found_out(make: MakeCase, key: str) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert evidence.signal == make.no_reboot_signal
        assert not on.ledger("reboot")


@each_silence
@each(Need.REBOOT)
async def test_a_lost_answer_does_not_matter(make: MakeCase, key: str, close: bool) -> None:
    async with make.begin(key, {"fault": "silent_apply", "close": close}, write_s=200.0) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome == "done", evidence
        assert len(on.ledger("reboot")) == 1


@pytest.mark.parametrize(
    ("variant", "outcomes"),
    [("never_restarts", {"unknown"}), ("constant", {"unknown"}), ("jumps", {"unknown", "done"})],
    ids=["never_restarts", "constant", "jumps"],
)
@each(Need.LYING_CLOCK)
async def test_a_clock_that_lies_proves_nothing(
    make: MakeCase, key: str, variant: str, outcomes: set[str]
) -> None:
    async with make.begin(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome in outcomes, evidence
        assert evidence.verified is (evidence.outcome == "done")


@each(Need.REBOOT)
async def test_a_miner_that_never_comes_back_is_unknown(make: MakeCase, key: str) -> None:
    async with make.begin(key, {"fault": "dies_after_write", "applied": True}) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "check it on site" in evidence.reason


@pytest.mark.parametrize("event", ["crash_process", "restart_process"])
@each(Need.PROCESS)
async def test_a_mere_restart_of_the_process_is_not_called_a_reboot(
    make: MakeCase, key: str, event: str
) -> None:
    async with make.begin(key) as on:
        plan = await on.planned(FORCE)
        getattr(on.miner, event)()
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == make.restart, evidence


@each(Need.REBOOT)
async def test_after_a_crash_a_miner_that_ran_on_was_not_rebooted(make: MakeCase, key: str) -> None:
    async with make.begin(key) as on:
        plan, effect = await on.planned(FORCE), on.effect()
        async with effect.sending():
            pass
        # well after the window in which an outage counts
        evidence = await on.after_a_crash(plan, effect, "intent_at", later_s=220)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
