"""What a dialect can do, and how each change shows."""

from __future__ import annotations

from drivers.whatsminer.models import GENERATIONS, LEGACY
from drivers.whatsminer.proofs import GENERATIONS as DECLARED


def test_every_generation_is_declared_and_legacy_can_do_nothing() -> None:
    assert tuple(DECLARED) == GENERATIONS
    assert DECLARED[LEGACY].changes == DECLARED[LEGACY].modes == ()
    assert not DECLARED[LEGACY].log
