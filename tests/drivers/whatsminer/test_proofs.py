"""What a dialect can do, and how each change shows."""

from __future__ import annotations

from drivers.whatsminer.entry import WHATSMINER
from drivers.whatsminer.models import GENERATIONS, LEGACY


def test_every_generation_is_declared_and_legacy_can_do_nothing() -> None:
    assert tuple(WHATSMINER.generations) == GENERATIONS
    assert WHATSMINER.generations[LEGACY].changes == WHATSMINER.generations[LEGACY].modes == ()
    assert not WHATSMINER.generations[LEGACY].log
