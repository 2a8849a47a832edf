"""By which module each kind of change is made on a WhatsMiner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.base import Change, Firmware, Light, Mode, Pools, Reboot, Resume, Suspend
from drivers.driver import Changes, Way
from drivers.whatsminer.changes import firmware, light, logs, mode, pools, reboot, suspend
from drivers.whatsminer.changes.orders import Subject

WAYS: Final[Mapping[type[Change], Way[Subject]]] = {
    Light: light,
    Mode: mode,
    Suspend: suspend,
    Resume: suspend,
    Pools: pools,
    Reboot: reboot,
    Firmware: firmware,
}


def changes_of(miner: Subject) -> Changes[Subject]:
    """What can be done to this miner."""
    return Changes(miner, WAYS, logs)
