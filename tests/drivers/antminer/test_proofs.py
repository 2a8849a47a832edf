"""What a generation can do, and how each change shows."""

from __future__ import annotations

import pytest

from contract.miner import PowerMode
from drivers.antminer.proofs import capabilities
from drivers.base import Strength
from tests.drivers.antminer.stage import stage


@pytest.mark.parametrize("generation", ["OLD", "NEW-BM", "NEW-GOD"])
def test_every_change_has_a_proof_with_a_window(generation: str) -> None:
    able = capabilities(generation)
    assert able is not None
    proven = {proof.change for proof in able.proofs}
    assert proven == {"light", "mode", "pools", "reboot", "firmware"}
    assert set(able.changes) == proven | {"suspend", "resume"}
    for proof in able.proofs:
        assert 0 < proof.earliest_s < proof.latest_s


@pytest.mark.parametrize("generation", ["OLD", "NEW-BM", "NEW-GOD"])
def test_only_what_shows_a_boot_is_called_proof_of_one(generation: str) -> None:
    able = capabilities(generation)
    assert able is not None
    boots = [p.signal for p in able.proofs if p.strength is Strength.BOOT]
    assert ("uptime of the system" in boots) is (generation == "OLD")
    assert "smaller Elapsed" not in boots


def test_a_generation_nobody_knows_can_do_nothing() -> None:
    assert capabilities(None) is None
    assert capabilities("NEWER") is None


@pytest.mark.parametrize(("key", "modes"), [("s9", 2), ("s21", 3), ("l7", 3)])
async def test_a_driver_declares_what_its_generation_can(key: str, modes: int) -> None:
    async with stage(key) as on:
        able = on.driver.capabilities
        assert able is not None
        assert len(able.modes) == modes
        assert PowerMode.HIGH not in able.modes
