"""Many miners at a glance."""

from __future__ import annotations

from typing import Any

import pytest

from contract.condition.causes import MinerPlace
from contract.condition.judgement import WEIGHTS, MinerCondition, MinerState, MinerTrouble, Symptom
from contract.condition.summary import WORST, Summary, kind_of_rate

TH = 1e12
HERE = MinerPlace(rack="A1")


def hashing(*troubles: MinerTrouble, **more: Any) -> MinerCondition:
    base: dict[str, Any] = {
        "state": MinerState.HASHING,
        "symptoms": tuple(Symptom(trouble, trouble.value) for trouble in troubles),
        "hashrate_hs": 100 * TH,
        "expected_hs": 110 * TH,
        "power_w": 3000.0,
        "expected_w": 3300.0,
        "weight": max((WEIGHTS[trouble] for trouble in troubles), default=0.0),
    }
    return MinerCondition(**base | more)


def test_of_no_miners_nothing_is_wrong():
    summary = Summary[str]()
    assert (summary.total, summary.wrong, summary.worst, summary.rates) == (0, 0, [], [])
    assert (summary.causes(), summary.power.power_w) == ([], 0.0)


def test_rates_are_added_by_what_is_hashed():
    summary = Summary[int]()
    for number in range(3):
        summary.add(number, hashing(), HERE, "sha256")
    summary.add(3, hashing(hashrate_hs=400e3, expected_hs=420e3, power_w=1500.0), HERE, "equihash")
    sha, equihash = summary.rates
    assert (sha.kind, sha.miners, sha.hashrate_hs, sha.expected_hs) == ("sha256", 3, 3e14, 3.3e14)
    assert sha.realization == pytest.approx(100 / 110)
    assert sha.efficiency == pytest.approx(30.0)
    assert (equihash.kind, equihash.hashrate_hs) == ("equihash", 400e3)
    assert (summary.power.power_w, summary.power.metered) == (10_500.0, 4)


def test_a_miner_without_a_meter_does_not_make_the_others_look_better():
    summary = Summary[int]()
    summary.add(1, hashing(), HERE, "sha256")
    summary.add(2, hashing(power_w=None, expected_w=None), HERE, "sha256")
    (sha,) = summary.rates
    assert sha.efficiency == pytest.approx(30.0)
    assert (summary.power.metered, summary.power.compared_w) == (1, 3000.0)


def test_a_rate_of_which_nobody_knows_what_it_should_be_is_not_compared():
    summary = Summary[int]()
    summary.add(1, hashing(), HERE, "sha256")
    summary.add(2, hashing(expected_hs=None), HERE, "sha256")
    (sha,) = summary.rates
    assert (sha.hashrate_hs, sha.compared_hs, sha.unknown) == (2e14, 1e14, 1)
    assert sha.realization == pytest.approx(100 / 110)


def test_when_all_sleep_nothing_is_expected():
    summary = Summary[int]()
    asleep = MinerCondition(state=MinerState.SLEEPING, hashrate_hs=0.0, expected_hs=0.0)
    for number in range(5):
        summary.add(number, asleep, HERE, "sha256")
    (sha,) = summary.rates
    assert (sha.miners, sha.realization, sha.efficiency) == (5, None, None)
    assert (summary.wrong, summary.states) == (0, {MinerState.SLEEPING: 5})


def test_the_rate_of_a_dead_miner_is_missing():
    summary = Summary[int]()
    summary.add(1, hashing(), HERE, "sha256")
    dead = hashing(MinerTrouble.UNREACHABLE, state=MinerState.UNREACHABLE, hashrate_hs=None)
    summary.add(2, dead, HERE, "sha256")
    (sha,) = summary.rates
    assert sha.realization == pytest.approx(100 / 220)


def test_who_is_out_of_service_or_not_yet_seen_is_counted_and_no_more():
    summary = Summary[int]()
    summary.add(1, MinerCondition(state=MinerState.MAINTENANCE), HERE, "sha256")
    summary.add(2, MinerCondition(state=MinerState.UNSEEN), HERE, "unknown")
    assert (summary.total, summary.wrong, summary.rates) == (2, 0, [])


def test_the_worst_are_few_whatever_the_order():
    summary = Summary[int]()
    for number in reversed(range(600)):
        trouble = MinerTrouble.HOT if number % 3 == 0 else MinerTrouble.FAN
        summary.add(number, hashing(trouble), HERE, "sha256")
    assert summary.worst == [*range(0, 3 * WORST, 3)]
    assert summary.troubles == {MinerTrouble.HOT: 200, MinerTrouble.FAN: 400}
    assert summary.wrong == 600


@pytest.mark.parametrize(
    ("algorithm", "model", "kind"),
    [
        ("sha256", "S19", "sha256"),
        ("other", "K7", "unknown (K7)"),
        (None, "K7", "unknown (K7)"),
        (None, None, "unknown"),
    ],
)
def test_what_has_no_name_is_added_to_its_own_model_only(
    algorithm: str | None, model: str | None, kind: str
):
    assert kind_of_rate(algorithm, model) == kind
