"""What a generation can do, and how each change shows."""

from __future__ import annotations

from drivers.iceriver.models import GENERATIONS, PBFARMER
from drivers.iceriver.proofs import GENERATIONS as DECLARED


def test_every_generation_is_declared_and_firmware_of_others_can_do_nothing() -> None:
    assert tuple(DECLARED) == GENERATIONS
    assert DECLARED[PBFARMER].changes == DECLARED[PBFARMER].modes == ()
    assert not DECLARED[PBFARMER].log
