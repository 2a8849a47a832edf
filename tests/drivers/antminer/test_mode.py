"""The power mode: written in each dialect, believed when configuration and running miner show it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contract.errors import (
    BusyError,
    MalformedError,
    RefusedError,
    UnsupportedError,
    UnsupportedModeError,
)
from contract.miner import Moving, PowerMode, Reading, Slow
from drivers.antminer.changes.mode import disobedience
from drivers.base import Mode, Plan, Resume, Suspend
from tests.drivers.antminer.stage import Stage, stage

SLEEP, NORMAL, LOW = (
    Mode(mode=mode) for mode in (PowerMode.SLEEP, PowerMode.NORMAL, PowerMode.LOW)
)


@pytest.mark.parametrize("key", ["s21", "s19pro", "l7", "ks5", "t17+"])
async def test_a_miner_is_put_to_sleep_and_woken(key: str) -> None:
    async with stage(key) as on:
        asleep = await on.carry_out(SLEEP)
        assert (asleep.outcome, asleep.verified) == ("done", True), asleep
        assert asleep.after["mode_running"] == "sleep"
        assert not asleep.after["hashrate_hs"]
        assert on.miner.state == "sleeping"
        awake = await on.carry_out(NORMAL)
        assert (awake.outcome, awake.verified) == ("done", True), awake
        assert awake.after["hashrate_hs"] > 0
        assert on.miner.state == "mining"
        assert len(on.ledger("mode")) == 2


async def test_a_model_without_modes_is_normal_and_never_sleeps() -> None:
    async with stage("s9") as on:
        await on.no_change(NORMAL)
        for change in (SLEEP, LOW):
            with pytest.raises(UnsupportedModeError):
                await on.driver.plan(change)


@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_no_antminer_has_the_mode_high_or_a_preset(key: str) -> None:
    async with stage(key) as on:
        for change in (Mode(mode=PowerMode.HIGH), Mode(preset="3500W")):
            with pytest.raises(UnsupportedModeError):
                await on.driver.plan(change)


async def test_low_power_is_number_three_where_the_firmware_has_it() -> None:
    async with stage("s19pro") as on:
        evidence = await on.carry_out(LOW)
        assert evidence.outcome == "done", evidence
        assert evidence.after["mode_configured"] == "3"


async def test_low_power_is_number_two_where_the_firmware_knows_no_three() -> None:
    async with stage("s21hyd") as on:
        evidence = await on.carry_out(LOW)
        assert evidence.outcome == "done", evidence
        assert evidence.after["mode_configured"] == "2"


async def test_a_mode_the_firmware_takes_in_silence_and_drops_is_unsupported() -> None:
    async with stage("ks5") as on:
        plan = await on.driver.plan(LOW)
        assert isinstance(plan, Plan)
        permit = on.permit()
        with pytest.raises(UnsupportedModeError, match="stays in mode 0"):
            await on.driver.apply(plan, permit)
        assert on.miner.mode == 0
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("not_done", True)


@pytest.mark.parametrize("answer", [200, 400])
async def test_a_firmware_that_wants_the_mode_as_text_gets_it_so(answer: int) -> None:
    async with stage("s21", {"fault": "mode_as_string", "answer": answer}) as on:
        evidence = await on.carry_out(SLEEP)
        assert evidence.outcome == "done", evidence


async def test_a_mode_read_back_under_its_other_name_counts() -> None:
    async with stage("s21", "mode_key_plain") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def test_a_miner_that_hashes_on_in_sleep_is_not_called_asleep() -> None:
    async with stage("s21", "stuck_awake") as on:
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("unknown", False)
        assert "still hashes" in (evidence.reason or "")
        # and a second request does not take the configuration's word for it
        assert isinstance(await on.driver.plan(SLEEP), Plan)


async def test_a_miner_asleep_that_shows_empty_lists_is_asleep() -> None:
    async with stage("s19pro", "empty_sleep") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def test_an_answer_in_another_shape_does_not_matter() -> None:
    async with stage("s21", "set_conf_success") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def test_nothing_else_changes_with_the_mode() -> None:
    async with stage("ks5") as on:
        before = {key: value for key, value in on.miner.conf.items() if "mode" not in key}
        evidence = await on.carry_out(SLEEP)
        after = {key: value for key, value in on.miner.conf.items() if "mode" not in key}
        assert before == after
        assert "also_changed" not in evidence.after


async def test_a_busy_miner_is_asked_again_and_then_left() -> None:
    async with stage("s21hyd", {"fault": "busy", "times": 2}) as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
    async with stage("s21hyd", "busy") as on:
        plan = await on.driver.plan(SLEEP)
        assert isinstance(plan, Plan)
        with pytest.raises(BusyError):
            await on.driver.apply(plan, on.permit())
        assert on.miner.mode == 0


@pytest.mark.parametrize("variant", ["missing_pools", "broken", "empty"])
async def test_a_configuration_that_cannot_be_read_is_never_written(variant: str) -> None:
    async with stage("s21", {"fault": "bad_config", "variant": variant}) as on:
        with pytest.raises(MalformedError):
            await on.driver.plan(SLEEP)
        assert not on.ledger("config", "mode", phase="received")


async def test_gaps_in_the_configuration_are_mended() -> None:
    async with stage("t17+", {"fault": "bad_config", "variant": "colon_comma"}) as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"


async def test_a_miner_that_cannot_read_its_own_configuration_refuses() -> None:
    async with stage("s21", {"fault": "bad_config", "variant": "colon_comma"}) as on:
        plan = await on.driver.plan(SLEEP)
        assert isinstance(plan, Plan)
        with pytest.raises(RefusedError, match="M003"):
            await on.driver.apply(plan, on.permit())
        assert on.miner.mode == 0


async def test_an_old_configuration_with_an_unknown_setting_is_never_written() -> None:
    async with stage("t17+", "unknown_conf_key") as on:
        with pytest.raises(UnsupportedError, match="layout"):
            await on.driver.plan(SLEEP)
        assert not on.ledger("config", "mode", phase="received")


async def test_suspend_sleeps_and_resume_goes_back_to_the_mode_before() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(LOW)).outcome == "done"
        assert (await on.carry_out(Suspend())).outcome == "done"
        assert on.miner.mode == 1
        assert (await on.carry_out(Resume())).outcome == "done"
        assert on.miner.mode == 3


async def woken(on: Stage, *faults: str) -> str:
    """What is said of a miner that wakes with these faults."""
    assert (await on.carry_out(SLEEP)).outcome == "done"
    for fault in faults:
        on.faults.add(fault)
    evidence = await on.carry_out(NORMAL)
    assert evidence.outcome == "done", evidence
    assert evidence.reason is not None
    return evidence.reason


async def test_what_is_said_of_a_miner_that_wakes_and_does_not_hash_is_what_it_shows() -> None:
    async with stage("s21") as on:
        assert "chips are without power" in await woken(on, "overheated")
    async with stage("s21") as on:
        assert "a pool is alive: check its boards" in await woken(on, "no_hash")
    async with stage("s21") as on:
        assert "none of its pools is alive" in await woken(on, "no_hash", "pools_dead")


async def test_what_is_said_of_a_miner_that_does_not_wake() -> None:
    async with stage("s21") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
        plan = await on.planned(NORMAL)
        permit = on.permit()
        on.miner.restart_process = lambda: None
        await on.driver.apply(plan, permit)
        evidence = await on.driver.verify(plan, permit)
        assert evidence.outcome == "unknown"
        assert "the miner still sleeps; it may obey after a reboot" in (evidence.reason or "")


@pytest.mark.parametrize(
    ("wanted", "mode", "hashrate_hs", "words"),
    [
        (PowerMode.NORMAL, PowerMode.LOW, 1e12, "runs in low"),
        (PowerMode.NORMAL, None, 1e12, "hashes as before"),
        (PowerMode.SLEEP, None, 1e12, "still hashes"),
        (PowerMode.SLEEP, None, 0.0, "does not show that it sleeps"),
        (PowerMode.LOW, None, 0.0, "no hash board"),
    ],
)
def test_the_words_for_a_mode_that_does_not_show(
    wanted: PowerMode, mode: PowerMode | None, hashrate_hs: float, words: str
) -> None:
    moving = Moving(hashrate_hs=hashrate_hs)
    reading = Reading(read_at=datetime.now(UTC), moving=moving, slow=Slow(mode=mode))
    assert words in disobedience(wanted, reading)


async def test_resume_without_memory_goes_to_normal() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(SLEEP)).outcome == "done"
        on.driver.awake_mode = None
        assert (await on.carry_out(Resume())).outcome == "done"
        assert on.miner.mode == 0


async def test_resume_goes_to_the_mode_it_is_told_whoever_remembers_what() -> None:
    async with stage("s19pro") as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        plan = await on.driver.plan(Resume(mode=PowerMode.HIGH))  # one no AntMiner can have had
        assert isinstance(plan, Plan)
        assert plan.data.mode == "normal"
        on.driver.awake_mode = None
        assert (await on.carry_out(Resume(mode=PowerMode.LOW))).outcome == "done"
        assert on.miner.mode == 3


@pytest.mark.parametrize("key", ["ks5", "t17+"])
async def test_resume_to_a_mode_that_another_firmware_had_is_on_all_the_same(key: str) -> None:
    async with stage(key) as on:
        assert (await on.carry_out(Suspend())).outcome == "done"
        evidence = await on.carry_out(Resume(mode=PowerMode.LOW))
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.miner.mode == 0
        await on.no_change(Resume(mode=PowerMode.LOW))


async def test_resume_of_one_that_other_hands_have_just_woken_leaves_the_mode_they_gave_it() -> (
    None
):
    async with stage("s19pro") as on:
        assert (await on.carry_out(LOW)).outcome == "done"
        assert (await on.carry_out(Suspend())).outcome == "done"
        await on.driver.apply(await on.planned(NORMAL), on.permit())
        evidence = await on.carry_out(Resume(mode=PowerMode.LOW))  # it does not hash yet
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert on.miner.mode == 0


async def test_a_slow_miner_is_given_as_many_looks_as_a_quick_one_before_it_is_told_in_other_words() -> (
    None
):
    slow_s = 3.0
    async with stage("s21", "ignores", {"fault": "slow_cgi", "seconds": slow_s}) as on:
        plan, began_mono = await on.planned(SLEEP), on.clock.mono()
        await on.driver.apply(plan, on.permit())
        (order_s, looks_s), orders = (slow_s, 5 * slow_s + 20.0), 2
        assert len(on.ledger("mode", phase="received")) == orders
        assert on.clock.mono() - began_mono >= orders * (order_s + looks_s)


async def test_what_is_stored_is_told_where_what_runs_cannot_be_looked_at() -> None:
    async with stage("s21") as on:
        plan, permit = await on.planned(SLEEP), on.permit()
        await on.driver.apply(plan, permit)
        await on.clock.sleep(60.0)  # its mining process runs again
        # Of what is asked next, its web side gives the configuration, and then takes our login no more.
        on.faults.replace([{"fault": "unauthorized_after", "requests": 10}])
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "could not look again" in (evidence.reason or "")
        assert evidence.after["mode_configured"] == "1"
