"""What a dialect can do, and how each change shows."""

from __future__ import annotations

import pytest

from contract.miner import PowerMode
from drivers.base import Strength
from drivers.whatsminer.models import GENERATIONS, LEGACY, V1, WRITABLE
from drivers.whatsminer.proofs import ALL, capabilities
from tests.drivers.whatsminer.stage import stage


@pytest.mark.parametrize("generation", WRITABLE)
def test_every_change_has_a_proof_with_a_window(generation: str) -> None:
    able = capabilities(generation)
    assert able is not None
    assert {proof.change for proof in able.proofs} == set(able.changes)
    for proof in able.proofs:
        assert 0 < proof.earliest_s < proof.latest_s


@pytest.mark.parametrize("generation", WRITABLE)
def test_only_the_light_of_the_first_token_firmware_cannot_be_proven(generation: str) -> None:
    able = capabilities(generation)
    assert able is not None
    unproven = {p.change for p in able.proofs if p.strength is Strength.NONE}
    assert unproven == ({"light"} if generation == V1 else set())


def test_every_generation_is_declared_and_legacy_can_do_nothing() -> None:
    assert tuple(ALL) == GENERATIONS
    assert capabilities(LEGACY) is None
    assert capabilities(None) is None
    assert capabilities("v4") is None


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s-compat", "m60s"])
async def test_a_driver_declares_what_its_generation_can(key: str) -> None:
    async with stage(key) as on:
        able = on.driver.capabilities
        assert able is not None
        assert able.modes == (PowerMode.LOW, PowerMode.NORMAL, PowerMode.HIGH)
        assert PowerMode.SLEEP not in able.modes
