"""The sections that set bounds to tasks: what this site forbids, and the ceilings."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, PlainValidator, field_validator

from agent.config.fields import Flag, Seconds, Section
from agent.limits.policy import Policy
from contract.task import SPECS, TaskName

AUTO: Final = "auto"
_MOST: Final = 1_000_000
# The defaults of these keys are those of the policy that they become.
_POLICY: Final = Policy()
_MB: Final = 2**20


def _checked_pace(value: object) -> object:
    if value == AUTO or (type(value) is int and 1 <= value <= _MOST):
        return value
    raise ValueError(f'must be "{AUTO}", or a whole number from 1 to {_MOST}')


Pace = Annotated[int | Literal["auto"], PlainValidator(_checked_pace)]


class PolicySection(Section):
    """What this site forbids, whatever the cloud says."""

    read_only: Flag = _POLICY.read_only
    refuse_hashing_reboot: Flag = _POLICY.refuse_hashing_reboot
    forbidden_tasks: tuple[TaskName, ...] = tuple(_POLICY.forbidden)


class LimitsSection(Section):
    """Ceilings. `task_s` is the execution limit per task name, counted from its intent."""

    power_ons_per_10_s: Pace = AUTO
    power_effects: Annotated[int, Field(strict=True, ge=1, le=4096)] = _POLICY.power_effects
    firmware_effects: Annotated[int, Field(strict=True, ge=1, le=256)] = _POLICY.firmware_effects
    light_effects: Annotated[int, Field(strict=True, ge=1, le=65_536)] = _POLICY.other_effects
    open_tasks: Annotated[int, Field(strict=True, ge=1, le=100_000)] = _POLICY.max_open
    lease_left_s: Annotated[float, Field(strict=True, ge=0, le=60)] = _POLICY.lease_margin_s
    identity_age_s: Annotated[float, Field(strict=True, ge=1, le=3600)] = _POLICY.identity_age_s
    restart_wait_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = _POLICY.restart_wait_s
    firmware_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = (
        _POLICY.firmware_cap_bytes // _MB
    )
    log_max_mb: Annotated[int, Field(strict=True, ge=1, le=65_536)] = _POLICY.log_cap_bytes // _MB
    disk_reserve_mb: Annotated[int, Field(strict=True, ge=0, le=1_048_576)] = (
        _POLICY.disk_reserve_bytes // _MB
    )
    results_kept_s: Annotated[float, Field(strict=True, ge=60, le=90 * 86_400)] = (
        _POLICY.report_keep_s
    )
    stop_within_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = _POLICY.stop_grace_s
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
