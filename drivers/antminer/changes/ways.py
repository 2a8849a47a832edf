"""By which module each kind of change is made on an AntMiner, whose sleep is one of its modes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from drivers.antminer.changes import firmware, light, logs, mode, pools, reboot
from drivers.antminer.changes.orders import Subject
from drivers.base import Change, Firmware, Light, Mode, Pools, Reboot, Resume, Suspend
from drivers.driver import Changes, Way

WAYS: Final[Mapping[type[Change], Way[Subject]]] = {
    Light: light,
    Mode: mode,
    Suspend: mode,
    Resume: mode,
    Pools: pools,
    Reboot: reboot,
    Firmware: firmware,
}


def changes_of(miner: Subject) -> Changes[Subject]:
    """What can be done to this miner."""
    return Changes(miner, WAYS, logs)
