"""pyasic and pyasic-rs, which share no code with us, meet every simulated AntMiner."""

from __future__ import annotations

import pytest

from simulator.antminer.catalogue import MODELS
from tests.judges import checks
from tests.judges.deeds import KEYS

pytestmark = pytest.mark.parametrize("judge", ["pyasic", "pyasic-rs"])


@pytest.mark.parametrize("key", MODELS)
def test_it_sees_what_our_driver_reads_but_for_its_known_errors(judge: str, key: str) -> None:
    checks.check_figures(judge, key)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_its_orders_change_the_simulated_miner_as_they_would_a_real_one(
    judge: str, key: str
) -> None:
    checks.check_deeds(judge, key)


def test_its_known_errors_are_about_models_that_are_tried(judge: str) -> None:
    checks.check_tables_name_what_exists(judge)


@pytest.mark.parametrize("key", ["s9", "s21"])
def test_it_says_the_same_in_a_network_namespace_of_its_own(judge: str, key: str) -> None:
    checks.check_in_a_namespace(judge, key)
