"""What a generation can do, and how each change shows."""

from __future__ import annotations

import pytest

from drivers.antminer.entry import ANTMINER
from drivers.antminer.models import GENERATIONS
from drivers.base import Strength


@pytest.mark.parametrize("generation", ["OLD", "NEW-BM", "NEW-GOD"])
def test_only_what_shows_a_boot_is_called_proof_of_one(generation: str) -> None:
    boots = [
        p.signal for p in ANTMINER.generations[generation].proofs if p.strength is Strength.BOOT
    ]
    assert ("uptime of the system" in boots) is (generation == "OLD")
    assert "smaller Elapsed" not in boots


def test_every_generation_is_declared_and_no_other() -> None:
    assert tuple(ANTMINER.generations) == GENERATIONS
