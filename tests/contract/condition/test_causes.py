"""What miners with one trouble have in common, and others have not."""

from __future__ import annotations

import random

from contract.condition.causes import CAUSES_MAX, Causes, MinerPlace, subnet_of
from contract.condition.judgement import MinerTrouble

GONE = (MinerTrouble.UNREACHABLE,)
LOW = (MinerTrouble.LOW_RATE,)


def at(number: int, **more: str) -> MinerPlace:
    """Miner `number` of a farm of racks of 20, one agent, one pool, two models."""
    base = {
        "agent": "pi",
        "rack": f"A{number // 20}",
        "subnet": "10.0.0.0/24",
        "pool": "pool.test/farm",
        "firmware": "2024.01",
        "model": "S19" if number % 2 else "S21",
    }
    return MinerPlace(**base | more)


def words(causes: Causes) -> list[str]:
    return [cause.words for cause in causes.find()]


def test_a_rack_without_power_is_the_cause():
    causes = Causes()
    for number in range(200):
        causes.add(GONE if 60 <= number < 72 else (), at(number))
    assert words(causes) == ["all 12 unreachable miners stand in rack A3"]
    (cause,) = causes.find()
    assert (cause.kind, cause.name, cause.miners, cause.of, cause.group) == (
        "rack",
        "A3",
        12,
        12,
        20,
    )


def test_a_pool_is_the_cause_of_most_of_a_trouble():
    causes = Causes()
    for number in range(200):
        away = number < 20
        hit = number < 9 or number == 150
        causes.add(
            LOW if hit else (),
            at(number, pool="x.test/farm" if away else "pool.test/farm", rack=f"R{number % 50}"),
        )
    assert words(causes) == ["9 of 10 miners with low rate hash to x.test/farm"]


def test_what_all_have_in_common_explains_nothing():
    causes = Causes()
    for number in range(100):
        causes.add(GONE if number % 5 == 0 else (), at(number, model="S19", rack="A1"))
    assert words(causes) == []


def test_a_group_that_most_miners_are_of_explains_no_few_troubles():
    causes = Causes()
    for number in range(300):
        most = "10.0.0.0/24" if number < 255 else "10.0.1.0/24"
        causes.add(GONE if number % 50 == 3 else (), at(number, subnet=most, rack=f"R{number}"))
    assert words(causes) == []  # six of six, as chance has it in every third farm


def test_a_trouble_spread_evenly_has_no_common_cause():
    causes = Causes()
    for number in range(400):
        causes.add(GONE if number % 7 == 0 else (), at(number))
    assert words(causes) == []


def test_two_miners_are_no_group():
    causes = Causes()
    for number in range(100):
        causes.add(GONE if number < 2 else (), at(number))
    assert words(causes) == []


def test_the_only_agent_is_the_cause_that_nobody_looks():
    causes = Causes()
    for number in range(50):
        causes.add((MinerTrouble.STALE,), at(number, agent="pi in hall B"))
    assert words(causes) == ["all 50 stale miners belong to agent pi in hall B"]


def test_two_racks_are_two_causes():
    causes = Causes()
    for number in range(400):
        causes.add(GONE if number // 20 in (3, 7) and number % 20 < 15 else (), at(number))
    assert words(causes) == [
        "15 of 30 unreachable miners stand in rack A3",
        "15 of 30 unreachable miners stand in rack A7",
    ]


def test_of_groups_that_explain_the_same_the_one_higher_up_is_named():
    causes = Causes()
    for number in range(100):
        there = number < 10
        causes.add(
            GONE if there else (),
            at(
                number,
                rack="A0" if there else "B",
                subnet="10.0.9.0/24" if there else "10.0.1.0/24",
            ),
        )
    assert words(causes) == ["all 10 unreachable miners stand in rack A0"]


def test_the_pool_does_not_explain_that_it_is_the_wrong_one():
    causes = Causes()
    for number in range(100):
        wrong = 20 <= number < 26
        causes.add(
            (MinerTrouble.WRONG_POOL,) if wrong else (),
            at(number, pool="x.test/a" if wrong else "pool.test/farm"),
        )
    assert words(causes) == ["all 6 miners at a wrong pool stand in rack A1"]


def test_what_is_not_known_of_a_miner_is_no_group():
    causes = Causes()
    for number in range(100):
        causes.add(GONE if number < 10 else (), MinerPlace(model="S19" if number >= 10 else None))
    assert words(causes) == []


def test_the_order_of_the_miners_does_not_matter_and_the_list_is_bounded():
    miners = [
        ((trouble,) if number % 20 < 12 and number // 20 == place else (), at(number))
        for place, trouble in enumerate(MinerTrouble)
        for number in range(300)
    ]
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(miners)
        causes = Causes()
        for troubles, place in miners:
            causes.add(troubles, place)
        found.append(causes.find())
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == CAUSES_MAX


def test_no_miners_have_no_causes():
    assert Causes().find() == []


def test_a_network_is_named_by_its_first_address():
    assert subnet_of("10.0.3.77") == "10.0.3.0/24"
    assert [subnet_of(each) for each in (None, "", "fd00::1", "nonsense")] == [None] * 4
