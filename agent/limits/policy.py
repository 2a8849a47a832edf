"""What this site allows: ceilings that settings from the cloud and tasks act inside of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from contract.link import LEASE_S
from contract.task import SPECS, TaskName

# Of a name's usual limit: what a task may ask for where the site says nothing.
LIMIT_TIMES: Final = 4.0
QUEUE_LIFE_MOST_S: Final = 7 * 86_400.0
LEASE_MOST_S: Final = 2 * LEASE_S
POWER_ONS_LEAST: Final = 5  # also of a small farm; of a large one it is a hundredth


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules and bounds of the task path. All of them are local; none can be widened from outside."""

    read_only: bool = False  # nothing is written to any miner
    refuse_hashing_reboot: bool = True  # unless the task says `force`
    forbidden: frozenset[TaskName] = frozenset()  # names this site never carries out
    lease_margin_s: float = 20.0  # an effect begins only with this much of the lease left
    limits_s: Mapping[TaskName, float] = field(default_factory=dict)  # ceilings of execution limits
    identity_age_s: float = 60.0  # an older identity is read again before a write
    # How long a miner whose process restarts is read again, before its intent.
    restart_wait_s: float = 60.0
    recovery_look_s: float = 60.0  # how long to look, at least, at what a crash left half done
    stop_grace_s: float = 20.0  # how long running exchanges may go on once stopping

    power_effects: int = 32  # orders at once that raise power, and as many that lower it
    power_ons_per_10_s: int | None = None  # of those that raise it; `None`: by the size of the farm
    firmware_effects: int = 4  # of these, firmware updates
    other_effects: int = 256
    looking: int = 512  # tasks reading what is there before they write
    applying: int = 512  # tasks writing, or waiting for a slot to write

    max_open: int = 2000  # tasks held and not yet acknowledged as ended
    claim_room: int = 500  # of these, asked for at once
    log_cap_bytes: int = 64 * 1024 * 1024
    firmware_cap_bytes: int = 512 * 1024 * 1024
    disk_reserve_bytes: int = 64 * 1024 * 1024  # left free by firmware files, for the journal
    report_events: int = 500  # per request
    report_bytes: int = 1024 * 1024  # per request, before compression
    report_keep_s: float = 7 * 86_400.0  # an outcome the cloud did not take for so long is given up

    def power_ons(self, miners: int) -> int:
        """How many orders that raise power may begin in 10 s, where so many miners are known."""
        return self.power_ons_per_10_s or max(POWER_ONS_LEAST, math.ceil(miners / 100))

    def limit_s(self, name: TaskName, asked_s: float | None) -> float:
        """The execution limit of one task, counted from its intent."""
        usual = SPECS[name].limit_s
        limit = asked_s if asked_s and asked_s > 0 else usual
        return min(limit, self.limits_s.get(name, LIMIT_TIMES * usual))
