"""How much the NVIDIA cards of a rig may draw: set card by card, read back, and measured."""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import (
    BadParamsError,
    OutcomeUnknownError,
    RefusedError,
    UnsupportedError,
    WrongDeviceError,
)
from drivers.base import PowerLimit
from drivers.rig.changes.power_limit import TOLD, WATTS, limits_for
from drivers.rig.protocol.nvidia_limits import CardLimit, limits_of
from tests.drivers.rig.stage import Stage

SIX, MIXED = "6xrtx3080-trex", "mixed-lolminer-dual"
stage = Stage.begin


def card(bus: str = "01", least: float = 100, most: float = 400, default: float = 300) -> CardLimit:
    return CardLimit(
        bus_id=f"0000:{bus}:00.0", limit_w=default, min_w=least, max_w=most, default_w=default
    )


@pytest.mark.parametrize(
    ("change", "each_w"),
    [
        (PowerLimit(watts=1200), 200),
        (PowerLimit(percent=60), 222),
        (PowerLimit(percent=100), 370),
        (PowerLimit(watts="default"), 370),
    ],
)
async def test_each_card_is_set_and_seen_to_keep_to_it(change: PowerLimit, each_w: int) -> None:
    async with stage(SIX) as on:
        for gpu in on.miner.cards:
            gpu.power_limit_w = 300.0
        evidence = await on.carry_out(change)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.signal == WATTS.signal
        assert {gpu.power_limit_w for gpu in on.miner.cards} == {each_w}
        assert evidence.after["limit_w"] == 6 * each_w
        assert evidence.after["until_restart"] is True
        assert evidence.after["power_w"] <= 6 * each_w * 1.05
        assert len(on.ledger("power_limit")) == 6
        await on.no_change(change)


async def test_only_the_cards_of_nvidia_are_meant_and_only_those_that_differ_are_set() -> None:
    async with stage(MIXED) as on:
        on.miner.cards[0].power_limit_w = 150.0
        evidence = await on.carry_out(PowerLimit(watts=300))
        assert evidence.outcome == "done", evidence
        assert (evidence.before["watts"], evidence.before["percent"]) == (None, None)
        assert (evidence.after["watts"], evidence.after["percent"]) == (300, None)
        assert [line["after"]["watts"] for line in on.ledger("power_limit")] == [150.0]
        assert len(evidence.after["cards"]) == 2


async def test_whether_it_raises_power() -> None:
    async with stage(SIX) as on:
        plan = await on.planned(PowerLimit(watts=1200))
        assert not plan.raises_power
        assert (plan.before["watts"], plan.before["percent"]) == ("default", 100)
        await on.carry_out(PowerLimit(watts=1200))
        assert (await on.planned(PowerLimit(watts=1300))).raises_power


async def test_a_host_that_does_not_allow_it_is_a_refusal_with_the_line_to_add() -> None:
    async with stage(SIX) as on:
        on.miner.may_sudo = False
        plan = await on.planned(PowerLimit(watts=1200))
        with pytest.raises(RefusedError, match=r"NOPASSWD: nvidia-smi -i .* -pl"):
            await on.driver.apply(plan, on.permit())
        assert not on.ledger(phase="received")


async def test_cards_that_ignore_it_are_found_out() -> None:
    async with stage(SIX, {"fault": "ignores", "actions": ["power_limit"]}) as on:
        evidence = await on.carry_out(PowerLimit(watts=1200))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "6 of 6 cards" in (evidence.reason or "")


async def test_one_card_that_ignores_it_is_told_apart() -> None:
    async with stage(SIX, {"fault": "ignores", "actions": ["power_limit"], "times": 1}) as on:
        evidence = await on.carry_out(PowerLimit(watts=1200))
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "1 of 6 cards" in (evidence.reason or "")
        assert on.miner.cards[0].bus in (evidence.reason or "")


async def test_an_answer_that_is_lost_in_between_leaves_the_rest_unset_and_is_told() -> None:
    fault = {"fault": "silent_apply", "close": True, "actions": ["power_limit"], "times": 1}
    async with stage(SIX, fault) as on:
        plan, permit = await on.planned(PowerLimit(watts=1200)), on.permit()
        with pytest.raises(OutcomeUnknownError):
            await on.driver.apply(plan, permit)
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("not_done", True), evidence
        assert "5 of 6 cards" in (evidence.reason or "")


@pytest.mark.parametrize("variant", ["lost", "gone"])
async def test_a_card_that_falls_off_meanwhile_leaves_it_unknown(variant: str) -> None:
    async with stage(SIX) as on:
        plan, permit = await on.planned(PowerLimit(watts=1200)), on.permit()
        await on.driver.apply(plan, permit)
        on.faults.add("gpu_falls_off", gpus=[1], variant=variant)
        evidence = await on.driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("unknown", False), evidence
        assert on.miner.cards[1].bus in (evidence.reason or "")


async def test_after_a_crash_the_plan_alone_is_enough() -> None:
    async with stage(SIX) as on:
        plan, permit = await on.planned(PowerLimit(watts=1200)), on.permit()
        await on.driver.apply(plan, permit)
        evidence = await on.after_a_crash(plan, permit, "intent_at", later_s=300)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (PowerLimit(watts=500), "from 600 to 2220 would work"),
        (PowerLimit(watts=3000), "from 600 to 2220 would work"),
        (PowerLimit(percent=10), "28 would work"),
    ],
)
async def test_a_limit_that_cannot_be_set_is_refused_with_what_would_work(
    change: PowerLimit, words: str
) -> None:
    async with stage(SIX) as on:
        with pytest.raises(BadParamsError, match=words):
            await on.driver.plan(change)


@pytest.mark.parametrize("key", ["8xrx6800-trm", "xmrig-cpu"])
async def test_a_rig_without_nvidia_cards_says_so(key: str) -> None:
    async with stage(key) as on:
        with pytest.raises(UnsupportedError, match="only NVIDIA cards"):
            await on.driver.plan(PowerLimit(watts=1000))


async def test_while_a_card_is_lost_none_is_set() -> None:
    async with stage(SIX) as on:
        on.faults.add("gpu_falls_off", gpus=[1])
        with pytest.raises(RefusedError, match="it is lost, or takes none"):
            await on.driver.plan(PowerLimit(watts=1200))


async def test_a_changed_host_key_ends_it_and_nothing_is_sent() -> None:
    async with stage(SIX) as on:
        plan, permit = await on.planned(PowerLimit(watts=1200)), on.permit()
        await on.driver.rig_wire.reach.close()
        on.miner.tapped = True
        on.faults.add("changes_host_key")
        with pytest.raises(WrongDeviceError):
            await on.driver.apply(plan, permit)
        assert (on.miner.wire_log, permit.sent) == ([], 0)


@pytest.mark.parametrize(
    ("watts", "cards", "expected"),
    [
        (600, (card(), card()), (300, 300)),
        (601, (card(), card()), (300, 300)),
        (640, (card(most=250), card()), (250, 390)),
        (650, (card(most=250), card()), (250, 400)),
        (500, (card(least=300), card()), (300, 200)),
        (900, (card(least=300), card(most=250), card()), (325, 250, 325)),
        (901, (card(least=300.5), card(most=250.9), card()), (325, 250, 325)),
        (450, (card(least=250), card(most=120), card()), (250, 100, 100)),
    ],
)
def test_a_sum_is_split_evenly_as_far_as_the_cards_allow(
    watts: int, cards: tuple[CardLimit, ...], expected: tuple[int, ...]
) -> None:
    assert limits_for(PowerLimit(watts=watts), cards) == expected


def test_cards_that_tell_no_draw_are_believed_by_their_word_alone() -> None:
    line = "00000000:05:00.0, 250.00, 100.00, 370.00, 370.00, [N/A]"
    (found,) = limits_of(0, line, "")
    assert (found.limit_w, found.draw_w, found.takes_limits) == (250.0, None, True)
    (other,) = limits_of(0, line.replace("100.00", "[Not Supported]"), "")
    assert not other.takes_limits
    with pytest.raises(UnsupportedError, match="does not tell the limits"):
        limits_for(PowerLimit(percent=80), (other,))
    assert TOLD.change == WATTS.change


def nonsense() -> list[Any]:
    return ["", "<html>", "a,b,c,d,e,f", "00000000:05:00.0, 1", "\0" * 100]


@pytest.mark.parametrize("output", nonsense())
def test_nonsense_is_no_card(output: str) -> None:
    with pytest.raises(Exception, match="tells no power limits"):
        limits_of(0, output, "")
