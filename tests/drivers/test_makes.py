"""What every driver promises of every change, of the light, of the reboot and of the log, whatever the make.

`makes.py` says which model of which make can keep a promise, and where their words differ.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from contract.clock import to_text
from contract.errors import OutcomeUnknownError, PolicyRefusedError
from drivers.base import Light, Plan, Reboot, Strength
from drivers.registry import DRIVERS
from tests.drivers.makes import (
    FORCE,
    MAKES,
    Make,
    Need,
    each,
    each_change,
    each_crash,
    each_silence,
    having,
)

CAP = 8_000_000
ORDERS = (Need.LIGHT, Need.POOLS, Need.MODE)
UNSEEN = {
    Need.LIGHT: "look again",
    Need.POOLS: r"read the \w+ again",
    Need.MODE: "look again",
}
GENERATIONS = [
    pytest.param(make, declared, id=f"{make.name}-{declared.generation}")
    for make in MAKES
    for declared in make.stage.entry.generations()
    if declared.changes
]


def test_every_make_keeps_every_promise_or_says_why_not() -> None:
    assert [make.stage.entry for make in MAKES] == list(DRIVERS)
    for make in MAKES:
        keys = {*make.models, *make.more}
        for cannot in make.cannot:
            assert cannot.why
            assert keys >= set(cannot.models)
    for need in Need:
        assert list(having(need))


# --- any change ----------------------------------------------------------------------------------


@each_silence
@each_change(*ORDERS)
async def test_a_lost_answer_is_settled_by_looking(
    make: Make, key: str, need: Need, close: bool
) -> None:
    fault = {"fault": "silent_apply", "close": close, "actions": [need]}
    async with make.begin(key, fault, write_s=1.0) as on:
        evidence = await on.carry_out(make.change(need))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(need)) == len(on.ledger(need, phase="received")) == 1


@each_change(*ORDERS)
async def test_a_miner_that_dies_at_the_order_is_unknown(make: Make, key: str, need: Need) -> None:
    async with make.begin(key, "dies_after_write") as on:
        evidence = await on.carry_out(make.change(need))
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert re.search(UNSEEN[need], evidence.reason)


@each_crash
@each_change(*ORDERS)
async def test_after_a_crash_the_plan_alone_is_enough_to_look_again(
    make: Make, key: str, need: Need, kept: tuple[str, ...]
) -> None:
    async with make.begin(key) as on:
        plan, effect = await on.planned(make.change(need)), on.effect()
        await on.driver.apply(plan, effect)
        evidence = await on.after_a_crash(plan, effect, *kept)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger(need)) == 1


@each_change(*ORDERS, Need.REBOOT)
async def test_without_leave_nothing_is_sent(make: Make, key: str, need: Need) -> None:
    async with make.begin(key) as on:
        plan, effect = await on.planned(make.change(need)), on.effect()
        effect.refuse = PolicyRefusedError("no lease")
        with pytest.raises(PolicyRefusedError):
            await on.driver.apply(plan, effect)
        assert not on.ledger(phase="received")


@pytest.mark.parametrize(("make", "declared"), GENERATIONS)
def test_every_change_has_a_proof_with_a_window(make: Make, declared: Any) -> None:
    assert set(declared.changes) == {
        "light", "mode", "pools", "reboot", "firmware", "suspend", "resume",
    }  # fmt: skip
    proven = {proof.change for proof in declared.proofs}
    assert proven == set(declared.changes) - make.proven_by_mode
    for proof in declared.proofs:
        assert 0 < proof.earliest_s < proof.latest_s
    unproven = {proof.change for proof in declared.proofs if proof.strength is Strength.NONE}
    assert unproven == make.unproven.get(declared.generation, set())


@each(Need.REBOOT, every=True)
async def test_a_driver_declares_what_its_generation_can(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        declared = on.driver.capabilities
        assert declared is not None
        assert declared.modes == make.modes[declared.generation]
        assert declared.log


# --- the light -----------------------------------------------------------------------------------


@each(Need.LIGHT, every=True)
async def test_the_light_goes_on_and_off_and_is_seen_to(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        for wish in (True, False):
            evidence = await on.carry_out(Light(on=wish))
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.before == {"light_on": not wish}
            assert evidence.after == {"light_on": wish}
            assert on.miner.light is wish
            line = on.ledger("light")[-1]
            assert (line["before"], line["after"]) == ({"on": not wish}, {"on": wish})
        assert len(on.ledger("light")) == len(on.ledger("light", phase="received")) == 2
        assert on.miner.boot == 1


@each(Need.LIGHT, every=True)
async def test_a_light_that_is_as_wished_is_left_alone(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        assert (await on.no_change(Light(on=False))).before == {"light_on": False}
        await on.carry_out(Light(on=True))
        assert (await on.no_change(Light(on=True))).before == {"light_on": True}
        assert len(on.ledger("light", phase="received")) == 1


@each(Need.LIGHT)
async def test_a_miner_that_says_ok_and_does_nothing_is_found_out(make: Make, key: str) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(Light(on=True))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert evidence.reason == "the light stays off"
        assert not on.ledger("light")


@each(Need.LIGHT)
async def test_a_light_that_comes_late_is_still_done(make: Make, key: str) -> None:
    async with make.begin(key, {"fault": "late_apply", "seconds": make.light_late_s}) as on:
        assert (await on.carry_out(Light(on=True))).outcome == "done"


def answered(make: Make, key: str) -> AbstractContextManager[Any]:
    """Holds that an order to reboot is answered, or that its answer is lost where the model gives none."""
    return nullcontext() if make.can(Need.ANSWER, key) else pytest.raises(OutcomeUnknownError)


# --- the reboot ----------------------------------------------------------------------------------


@each(Need.REBOOT, every=True)
async def test_a_reboot_is_done_once_and_seen(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after[make.clock] < evidence.before[make.clock]
        assert evidence.after["outage_at"]
        assert make.rebooted in evidence.signal
        (line,) = on.ledger("reboot")
        assert (line["before"], line["after"]) == ({"boot": 1}, {"boot": 2})
        assert len(on.ledger("reboot", phase="received")) == 1
        assert on.miner.boot == 2
        assert not on.ledger("factory_reset", phase="received")


@each(Need.REBOOT)
async def test_a_hashing_miner_is_not_rebooted_without_force(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        with pytest.raises(PolicyRefusedError, match="force"):
            await on.driver.plan(Reboot())
        on.driver.allow_plain_reboot = True
        assert isinstance(await on.driver.plan(Reboot()), Plan)
        assert not on.ledger(phase="received")


@each(Need.REBOOT)
async def test_a_miner_that_only_says_it_reboots_is_found_out(make: Make, key: str) -> None:
    async with make.begin(key, "ignores") as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert evidence.signal == make.ran_on
        assert not on.ledger("reboot")


@each_silence
@each(Need.REBOOT)
async def test_a_lost_answer_does_not_matter(make: Make, key: str, close: bool) -> None:
    async with make.begin(key, {"fault": "silent_apply", "close": close}, write_s=1.0) as on:
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
    make: Make, key: str, variant: str, outcomes: set[str]
) -> None:
    async with make.begin(key, {"fault": "lies_uptime", "variant": variant}) as on:
        evidence = await on.carry_out(FORCE)
        assert evidence.outcome in outcomes, evidence
        assert evidence.verified is (evidence.outcome == "done")


@each(Need.REBOOT)
async def test_a_miner_that_never_comes_back_is_unknown(make: Make, key: str) -> None:
    async with make.begin(key, {"fault": "dies_after_write", "applied": True}) as on:
        evidence = await on.carry_out(FORCE)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "check it on site" in evidence.reason


@pytest.mark.parametrize("event", ["crash_process", "restart_process"])
@each(Need.PROCESS)
async def test_a_mere_restart_of_the_process_is_not_called_a_reboot(
    make: Make, key: str, event: str
) -> None:
    async with make.begin(key) as on:
        plan = await on.planned(FORCE)
        getattr(on.miner, event)()
        effect = on.effect({"intent_at": to_text(on.clock.now())})
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == make.restart, evidence


@each(Need.REBOOT)
async def test_after_a_crash_a_miner_that_ran_on_was_not_rebooted(make: Make, key: str) -> None:
    async with make.begin(key) as on:
        plan, effect = await on.planned(FORCE), on.effect()
        async with effect.sending():
            pass
        # well after the window in which an outage counts
        evidence = await on.after_a_crash(plan, effect, "intent_at", later_s=220)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence


@each(Need.REBOOT)
async def test_another_miner_at_the_address_afterwards_is_not_taken_for_this_one(
    make: Make, key: str
) -> None:
    async with make.begin(key) as on:
        plan, effect = await on.planned(FORCE), on.effect()
        with answered(make, key):
            await on.driver.apply(plan, effect)
        on.faults.add("changes_mac")
        evidence = await on.driver.verify(plan, effect)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "another miner" in evidence.reason


# --- the log -------------------------------------------------------------------------------------

each_way = pytest.mark.parametrize("other", [False, True], ids=["usual", "other"])


@each_way
@each(Need.LOG, every=True)
async def test_the_log_is_on_disk_with_its_checksum(
    make: Make, key: str, other: bool, tmp_path: Path
) -> None:
    async with make.begin(key, *[make.log_fault][:other]) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        data = Path(log.path).read_bytes()
        assert log.size_bytes == len(data) > 0
        assert log.sha256 == hashlib.sha256(data).hexdigest()
        assert not log.truncated
        on.check_log(data)
        assert on.miner.mac.replace(":", "") in log.name
        assert not on.ledger()


@each_way
@each(Need.LOG)
async def test_a_log_over_the_cap_is_cut_and_says_so(
    make: Make, key: str, other: bool, tmp_path: Path
) -> None:
    big = {"fault": "big_log", "bytes": 3_000_000}
    async with make.begin(key, *[make.log_fault][:other], big) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=1_000_000)
        assert log.truncated
        assert log.size_bytes == Path(log.path).stat().st_size == 1_000_000


@each_way
@each(Need.LOG)
async def test_a_big_log_under_the_cap_is_whole(
    make: Make, key: str, other: bool, tmp_path: Path
) -> None:
    big = {"fault": "big_log", "bytes": 3_000_000}
    async with make.begin(key, *[make.log_fault][:other], big) as on:
        log = await on.driver.get_log(tmp_path, size_cap_bytes=CAP)
        assert not log.truncated
        assert log.size_bytes >= 3_000_000
