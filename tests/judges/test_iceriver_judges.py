"""pyasic, which shares no code with us, meets every simulated IceRiver: its reading against what our driver reads of
the same miner, its orders against the simulator's ledger. (pyasic-rs does not know this make.)
"""

from __future__ import annotations

from functools import cache

import msgspec
import pytest

from tests.judges.checks import compare
from tests.judges.court import heard, namespace, run
from tests.judges.iceriver import KEYS, Case
from tests.judges.known_errors import ICE_NUMBERS, KNOWN_ICERIVER, expected_errors

JUDGE = "pyasic"


@cache
def cases() -> dict[str, Case]:
    return msgspec.json.decode(heard("iceriver", JUDGE), type=dict[str, Case])


def against_ours(case: Case, key: str) -> None:
    compare(JUDGE, key, case.heard, expected_errors(JUDGE, key, KNOWN_ICERIVER))


@pytest.mark.parametrize("key", KEYS)
def test_it_sees_what_our_driver_reads_but_for_its_known_errors(key: str):
    against_ours(cases()[key], key)


@pytest.mark.parametrize("key", KEYS)
def test_our_driver_reads_what_the_simulated_miner_is(key: str):
    truth, ours = cases()[key].truth, cases()[key].heard.ours
    assert (ours.make, ours.model, ours.mac) == ("IceRiver", truth.model, truth.mac)
    # whole GH/s (MH/s for AE) are all the miner tells
    assert ours.hashrate_hs == pytest.approx(truth.hashrate_hs, rel=0.02)


@pytest.mark.parametrize("key", KEYS)
def test_its_light_is_the_simulated_miners_light(key: str):
    for name, deed in cases()[key].deeds.items():
        assert (deed.answered, deed.applied, deed.after) == ("True", ["light"], True), name
    assert set(cases()[key].deeds) == {"light on", "light off"}


@pytest.mark.parametrize("key", KEYS)
def test_only_where_connect_is_a_number_it_cannot_read_everything_at_once(key: str):
    failed = cases()[key].failed_whole
    assert (failed is not None) == (key in ICE_NUMBERS), failed
    assert failed is None or "Failed to call pools" in failed


def test_its_known_errors_are_about_models_that_are_tried():
    for known in KNOWN_ICERIVER:
        assert known.judge == JUDGE and set(known.keys) <= set(KEYS), known


def test_it_says_the_same_in_a_network_namespace_of_its_own():
    said = run("iceriver", JUDGE, "ks3m", inside=namespace())
    against_ours(msgspec.json.decode(said, type=dict[str, Case])["ks3m"], "ks3m")
