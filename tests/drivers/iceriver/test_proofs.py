"""What a generation can do, and how each change shows."""

from __future__ import annotations

from drivers.iceriver.entry import ICERIVER
from drivers.iceriver.models import GENERATIONS, PBFARMER


def test_every_generation_is_declared_and_firmware_of_others_can_do_nothing() -> None:
    assert tuple(ICERIVER.generations) == GENERATIONS
    assert ICERIVER.generations[PBFARMER].changes == ICERIVER.generations[PBFARMER].modes == ()
    assert not ICERIVER.generations[PBFARMER].log
