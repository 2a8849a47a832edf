"""What this site allows: ceilings that settings from the cloud and tasks act inside of."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from agent.config.file import Config
from agent.config.tasks import AUTO, LimitsSection, PolicySection
from contract.link import LEASE_S
from contract.task import SPECS, TaskName

# Of a name's usual limit: what a task may ask for where the site says nothing.
LIMIT_TIMES: Final = 4.0
QUEUE_LIFE_MOST_S: Final = 7 * 86_400.0
LEASE_MOST_S: Final = 2 * LEASE_S
POWER_ONS_LEAST: Final = 5  # also of a small farm; of a large one it is a hundredth


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules and bounds of the task path: the sections of the config, and what no key sets. All of them are local; none
    can be widened from outside. `pace`: how many times faster than hardware the miners live.
    """

    rules: PolicySection = field(default_factory=PolicySection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    pace: float = 1.0
    recovery_look_s: float = 60.0  # how long to look, at least, at what a crash left half done
    looking: int = 512  # tasks reading what is there before they write
    applying: int = 512  # tasks writing, or waiting for a slot to write
    claim_room: int = 500  # tasks asked for at once
    report_events: int = 500  # per request
    report_bytes: int = 1024 * 1024  # per request, before compression

    @property
    def restart_wait_s(self) -> float:
        """How long a miner whose process restarts is read again, before its intent."""
        return self.limits.restart_wait_s / self.pace

    def power_ons(self, miners: int) -> int:
        """How many orders that raise power may begin in 10 s, where so many miners are known."""
        most = self.limits.power_ons_per_10_s
        return max(POWER_ONS_LEAST, math.ceil(miners / 100)) if most == AUTO else most

    def limit_s(self, name: TaskName, asked_s: float | None) -> float:
        """The execution limit of one task, counted from its intent."""
        usual = SPECS[name].limit_s
        limit = asked_s if asked_s and asked_s > 0 else usual
        return min(limit, self.limits.task_s.get(name, LIMIT_TIMES * usual))


def policy_of(config: Config) -> Policy:
    """The rules and bounds of the task path, as this site set them."""
    return Policy(rules=config.policy, limits=config.limits, pace=config.miners.device_pace)
