"""What a generation can do, and how each change shows."""

from __future__ import annotations

import pytest

from contract.miner import PowerMode
from drivers.base import Strength
from drivers.iceriver.models import GENERATIONS, PBFARMER, STOCK, WRITABLE
from drivers.iceriver.proofs import ALL, capabilities
from tests.drivers.iceriver.stage import stage


@pytest.mark.parametrize("generation", WRITABLE)
def test_every_change_has_a_proof_with_a_window_and_each_can_be_proven(generation: str) -> None:
    able = capabilities(generation)
    assert able is not None
    assert {proof.change for proof in able.proofs} == set(able.changes)
    for proof in able.proofs:
        assert 0 < proof.earliest_s < proof.latest_s
        assert proof.strength is not Strength.NONE


def test_every_generation_is_declared_and_firmware_of_others_can_do_nothing() -> None:
    assert tuple(ALL) == GENERATIONS
    assert capabilities(PBFARMER) is None
    assert capabilities(None) is None
    assert capabilities("v4") is None


@pytest.mark.parametrize("key", ["ks3m", "ks5l", "ks0", "al3"])
async def test_a_driver_declares_what_its_generation_can(key: str) -> None:
    async with stage(key) as on:
        able = on.driver.capabilities
        assert able is not None
        assert able.generation == STOCK
        assert able.modes == (PowerMode.SLEEP, PowerMode.NORMAL)
        assert able.log
