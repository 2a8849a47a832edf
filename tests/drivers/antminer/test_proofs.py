"""What a generation can do, and how each change shows."""

from __future__ import annotations

import pytest

from drivers.antminer.proofs import capabilities
from drivers.base import Strength


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
