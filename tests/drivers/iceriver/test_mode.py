"""The power mode: sleep or normal, read back, and believed once the hash rate follows."""

from __future__ import annotations

import pytest

from contract.errors import RefusedError, UnsupportedModeError
from contract.miner import PowerMode
from drivers.base import Mode, Plan, Resume, Suspend
from drivers.iceriver.changes.mode import Trend, disobedience
from tests.drivers.iceriver.stage import NEW, OLD, WRITABLE, Stage, stage

SLEEP, NORMAL = Mode(mode=PowerMode.SLEEP), Mode(mode=PowerMode.NORMAL)


def forms(on: Stage) -> list[str]:
    """Which forms of the configuration were sent, in order."""
    return [
        entry.data.rpartition(b"\r\n\r\n")[2].decode().partition("&")[0]
        for entry in on.miner.wire_log
        if entry.data.startswith(b"POST /user/machineconfig") and b"fanmode" in entry.data
    ]


@pytest.mark.parametrize("key", [*WRITABLE, "ks0", "al3"])
async def test_a_miner_is_sent_to_sleep_and_woken_and_seen_to_follow(key: str) -> None:
    async with stage(key) as on:
        pools = on.miner.pools
        for wish, was in ((SLEEP, "normal"), (NORMAL, "sleep")):
            evidence = await on.carry_out(wish)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert "hash rate" in evidence.signal
            line = on.ledger("mode")[-1]
            assert line["before"] == {"mode": evidence.before["mode"]} == {"mode": was}
            assert line["after"] == {"mode": evidence.after["mode"]}
            assert "also_changed" not in evidence.after
        assert on.miner.pools == pools
        assert len(on.ledger("mode", phase="received")) == 2
        assert on.miner.boot == 1
        assert on.miner.fan_ratio == 60


@pytest.mark.parametrize("key", WRITABLE)
async def test_suspend_is_sleep_and_resume_is_normal(key: str) -> None:
    async with stage(key) as on:
        for change, mode in ((Suspend(), "sleep"), (Resume(), "normal")):
            evidence = await on.carry_out(change)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert on.miner.mode == evidence.after["mode"] == mode
            await on.no_change(change)


async def test_one_that_hashes_on_in_sleep_is_never_taken_for_asleep() -> None:
    async with stage("ks5m", "stuck_awake") as on:
        for _ in range(2):
            evidence = await on.carry_out(SLEEP)
            assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence


@pytest.mark.parametrize(
    "change",
    [Mode(mode=PowerMode.LOW), Mode(mode=PowerMode.HIGH), Mode(preset="3500W")],
)
async def test_any_other_mode_is_refused_without_touching_the_miner(change: Mode) -> None:
    async with stage("ks5l") as on:
        on.miner.tapped = True
        with pytest.raises(UnsupportedModeError, match="normal or sleep"):
            await on.driver.plan(change)
        assert not on.miner.wire_log


async def test_firmware_without_the_order_gets_the_form_of_everything_with_its_own_pools() -> None:
    async with stage(OLD) as on:
        on.miner.tapped = True
        pools = on.miner.pools
        assert (await on.carry_out(SLEEP)).outcome == "done"
        assert forms(on) == ["post=3", "post=2"]
        assert on.miner.pools == pools
        assert on.driver.has_mode_order is False
        assert (await on.carry_out(NORMAL)).outcome == "done"
        assert forms(on) == ["post=3", "post=2", "post=2"]  # asked for once, and then known


@pytest.mark.parametrize("key", NEW)
async def test_firmware_with_the_order_gets_no_other(key: str) -> None:
    async with stage(key) as on:
        on.miner.tapped = True
        assert (await on.carry_out(SLEEP)).outcome == "done"
        assert forms(on) == ["post=3"]
        assert on.driver.has_mode_order is True
        assert not on.ledger("pools", phase="received")


async def test_old_firmware_with_pools_it_cannot_be_sent_again_is_refused() -> None:
    async with stage(OLD) as on:
        plan = await on.planned(SLEEP)
        on.miner.pools[0]["pass"] = 'a"b'
        with pytest.raises(RefusedError, match="set its pools first"):
            await on.driver.apply(plan, on.effect())
        assert not on.ledger(phase="received")


async def test_a_build_that_garbles_the_word_gets_it_once_more_and_no_third_time() -> None:
    async with stage("ks3l") as on:
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "stays in mode normal" in (evidence.reason or "")
        assert len(on.ledger("mode", phase="received")) == 2
        assert on.miner.mode == "normal"


async def test_an_order_that_was_lost_in_the_miner_is_given_once_more() -> None:
    async with stage("ks5l") as on:
        on.faults.add("ignores", times=1)
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert len(on.ledger("mode", phase="received")) == 2


@pytest.mark.parametrize("key", WRITABLE)
async def test_a_miner_that_says_it_sleeps_and_goes_on_hashing_is_not_believed(key: str) -> None:
    async with stage(key, "stuck_awake") as on:
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert "does not fall" in (evidence.reason or "")


async def test_a_miner_that_says_it_is_awake_and_does_not_hash_is_not_believed() -> None:
    async with stage("ks5l") as on:
        on.miner.mode = "sleep"
        on.faults.add("no_hash")
        await on.miner.clock.sleep(400)
        evidence = await on.carry_out(NORMAL)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert evidence.after["mode"] == "normal"
        assert "does not hash" in (evidence.reason or "")
        assert isinstance(await on.driver.plan(NORMAL), Plan)


async def test_old_firmware_that_is_lost_between_pools_and_mode_is_not_done() -> None:
    fault = {"fault": "silent_apply", "close": True, "actions": ["pools"]}
    async with stage(OLD, fault) as on:
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert on.miner.mode == "normal"


@pytest.mark.parametrize("change", [SLEEP, NORMAL])
async def test_a_rate_nobody_can_read_proves_no_mode(change: Mode) -> None:
    async with stage("ks5l", {"fault": "odd_suffix", "text": "Q"}) as on:
        evidence = await on.carry_out(change)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert evidence.after["hashrate_5m_hs"] is None
        assert "cannot be read" in (evidence.reason or "")
        assert isinstance(await on.driver.plan(change), Plan)


@pytest.mark.parametrize(
    ("rate_hs", "words"),
    [(0.0, "does not hash"), (3.1e12, "3.1 TH/s does not rise"), (None, "cannot be read")],
)
def test_what_is_said_of_a_miner_that_woke_is_what_its_rate_shows(
    rate_hs: float | None, words: str
) -> None:
    assert words in disobedience(PowerMode.NORMAL, rate_hs)


def test_a_rate_counts_as_rising_once_it_is_above_its_lowest() -> None:
    trend = Trend(PowerMode.NORMAL, 100.0)
    # Woken soon after it fell asleep: the average goes on falling for a while before it rises.
    assert [trend.has_turned(rate) for rate in (90.0, 70.0, 70.0, None, 71.0)] == [
        False,
        False,
        False,
        False,
        True,
    ]


async def test_waiting_for_the_rate_does_not_wear_out_its_web_side() -> None:
    async with stage("ks5l", "stuck_awake") as on:
        plan = await on.planned(SLEEP)
        effect = on.effect()
        await on.driver.apply(plan, effect)
        before = on.miner.web.loads
        evidence = await on.driver.verify(plan, effect)
        assert 600 * evidence.seconds >= 500, evidence
        assert on.miner.web.loads - before <= 2


async def test_a_miner_whose_daemon_is_closed_is_seen_to_follow_as_well() -> None:
    async with stage("ks5l") as on:
        on.miner.listeners["daemon"].close()
        evidence = await on.carry_out(SLEEP)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert "hash rate" in evidence.signal
