"""The sections that set bounds to tasks: what this site forbids, and the ceilings."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, field_validator

from agent.config.fields import Flag, Seconds, Section
from contract.task import SPECS, TaskName

AUTO: Final = "auto"
_MOST: Final = 1_000_000


def _checked_pace(value: object) -> object:
    if value == AUTO or (type(value) is int and 1 <= value <= _MOST):
        return value
    raise ValueError(f'must be "{AUTO}", or a whole number from 1 to {_MOST}')


Pace = Annotated[int | Literal["auto"], PlainValidator(_checked_pace)]


class PolicySection(Section):
    """What this site forbids, whatever the cloud says."""

    read_only: Flag = False  # nothing is written to any miner
    refuse_hashing_reboot: Flag = True  # unless the task says `force`
    # Names this site never carries out. Without `miner.power_mode.update`, whose `sleep` it is, no mining is switched.
    forbidden_tasks: tuple[TaskName, ...] = ()

    def forbids(self, name: TaskName) -> bool:
        """Whether tasks of that name are never carried out here."""
        is_switch = name is TaskName.MINING
        return name in self.forbidden_tasks or (
            is_switch and TaskName.POWER_MODE in self.forbidden_tasks
        )


class LimitsSection(Section):
    """Ceilings."""

    # Orders that raise power; `auto`: by the size of the farm.
    power_ons_per_10_s: Pace = AUTO
    # Orders at once that raise power, and as many that lower it; of these, firmware updates; all others.
    power_effects: Annotated[int, Field(strict=True, ge=1, le=4096)] = 32
    firmware_effects: Annotated[int, Field(strict=True, ge=1, le=256)] = 4
    light_effects: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 256
    # Tasks held and not yet acknowledged as ended.
    open_tasks: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 2000
    # An effect begins only with this much of the lease left.
    lease_left_s: Annotated[float, Field(strict=True, ge=0, le=60)] = 20.0
    # An older identity is read again before a write.
    identity_age_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = 60.0
    restart_wait_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = 60.0
    firmware_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 512
    # Firmware files of a known sha256 are kept for the next batch, at most so much of them in all; 0 keeps none.
    firmware_kept_mb: Annotated[int, Field(strict=True, ge=0, le=1_048_576)] = 1024
    log_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = 64
    # Left free by firmware files, for the journal.
    disk_reserve_mb: Annotated[int, Field(strict=True, ge=0, le=1_048_576)] = 64
    # An outcome that the cloud did not take for so long is given up.
    results_kept_s: Annotated[float, Field(strict=True, ge=60, le=90 * 86_400)] = 7 * 86_400.0
    # How long running exchanges may go on once stopping.
    stop_within_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = 20.0
    # Execution limits, counted from the intent.
    task_s: dict[TaskName, Seconds] = Field(default_factory=dict)

    @field_validator("task_s", mode="before")
    @classmethod
    def _task_names(cls, limits: object) -> object:
        unknown = set(limits) - set(TaskName) if isinstance(limits, dict) else ()
        if unknown:
            known = ", ".join(name for name, spec in SPECS.items() if spec.by_agent)
            raise ValueError(f"{str(min(unknown))[:80]!r} is no task name; there are: {known}")
        return limits

    @field_validator("task_s")
    @classmethod
    def _agent_tasks(cls, limits: dict[TaskName, float]) -> dict[TaskName, float]:
        for name in limits:
            if not SPECS[name].by_agent:
                raise ValueError(f"{name} is carried out by the cloud; it has no limit here")
        return limits
