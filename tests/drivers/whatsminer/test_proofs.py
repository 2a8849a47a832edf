"""What a dialect can do, and how each change shows."""

from __future__ import annotations

from drivers.whatsminer.models import GENERATIONS, LEGACY
from drivers.whatsminer.proofs import ALL, capabilities


def test_every_generation_is_declared_and_legacy_can_do_nothing() -> None:
    assert tuple(ALL) == GENERATIONS
    assert capabilities(LEGACY) is None
    assert capabilities(None) is None
    assert capabilities("v4") is None
