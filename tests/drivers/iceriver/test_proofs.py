"""What a generation can do, and how each change shows."""

from __future__ import annotations

from drivers.iceriver.models import GENERATIONS, PBFARMER
from drivers.iceriver.proofs import ALL, capabilities


def test_every_generation_is_declared_and_firmware_of_others_can_do_nothing() -> None:
    assert tuple(ALL) == GENERATIONS
    assert capabilities(PBFARMER) is None
    assert capabilities(None) is None
    assert capabilities("v4") is None
