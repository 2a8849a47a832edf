"""pyasic-rs, which shares no code with us, meets every simulated AntMiner."""

from __future__ import annotations

import pytest

from simulator.antminer.catalogue import MODELS
from tests.judges import checks
from tests.judges.deeds import KEYS

JUDGE = "pyasic-rs"


@pytest.mark.parametrize("key", MODELS)
def test_it_sees_what_our_driver_reads_but_for_its_known_errors(key: str):
    checks.check_figures(JUDGE, key)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_its_orders_change_the_simulated_miner_as_they_would_a_real_one(key: str):
    checks.check_deeds(JUDGE, key)


def test_its_known_errors_are_about_models_that_are_tried():
    checks.check_tables_name_what_exists(JUDGE)


@pytest.mark.parametrize("key", ["s9", "s21"])
def test_it_says_the_same_in_a_network_namespace_of_its_own(key: str):
    checks.check_in_a_namespace(JUDGE, key)
