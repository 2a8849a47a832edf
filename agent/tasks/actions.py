"""What an agent does for each task name: one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from agent.journal import TaskRecord
from agent.journal.settlement import Settlement
from agent.tasks.active import ActiveTask
from agent.tasks.look_executor import LookExecutor
from contract.miner import PowerMode
from contract.task import (
    MODES,
    LightParams,
    MiningParams,
    Params,
    PoolsParams,
    PowerLimitParams,
    PowerModeParams,
    RebootParams,
    TaskName,
)
from drivers.base import (
    AnyChange,
    Light,
    Mode,
    Pools,
    PoolSetting,
    PowerLimit,
    Reboot,
    Resume,
    Suspend,
)

# A Mining Rig Monitor knows only off and on. Its wishes were written as power modes before there was a task for these,
# and such a row may still wait to be carried out, or to be proven.
_MONITOR: Final = "rigmonitor"


class ChangeAction(NamedTuple):
    """A change to one miner: which one, by the task's parameters."""

    change: Callable[[Params], AnyChange]


class FirmwareAction(NamedTuple):
    """A `FirmwareUpdate`, which needs a file on local disk first."""


class LookAction(NamedTuple):
    """Nothing is changed."""

    look: Callable[[LookExecutor, ActiveTask], Awaitable[Settlement]]


class UpdateAction(NamedTuple):
    """The agent itself is replaced."""


class UnsupportedAction(NamedTuple):
    """Not carried out yet; what to do instead."""

    instead: str


Action = ChangeAction | FirmwareAction | LookAction | UpdateAction | UnsupportedAction


def _light(params: Params) -> AnyChange:
    assert isinstance(params, LightParams)
    return Light(on=params.action == "on")


def _power_mode(params: Params) -> AnyChange:
    """One of the four modes, or a preset the maker lists."""
    assert isinstance(params, PowerModeParams)
    if params.mode in MODES:
        return Mode(mode=PowerMode(params.mode))
    return Mode(preset=params.mode)


def _mining(params: Params) -> AnyChange:
    """The mode to come back to is no parameter: who carries it out asks what is known of the miner."""
    assert isinstance(params, MiningParams)
    return Suspend() if params.action == "off" else Resume()


def _power_limit(params: Params) -> AnyChange:
    assert isinstance(params, PowerLimitParams)
    return PowerLimit(watts=params.watts, percent=params.percent)


def _pools(params: Params) -> AnyChange:
    assert isinstance(params, PoolsParams)
    return Pools(
        pools=tuple(
            PoolSetting(url=each.url, user=each.user, password=each.password)
            for each in params.pools
        )
    )


def _reboot(params: Params) -> AnyChange:
    assert isinstance(params, RebootParams)
    return Reboot(force=params.force)


# What is not here is carried out by the cloud. Kinds, limits, parameters, and what a person who asks by hand is told:
# `contract.task.SPECS`.
ACTIONS: Final[Mapping[TaskName, Action]] = {
    TaskName.LIGHT: ChangeAction(_light),
    TaskName.POWER_MODE: ChangeAction(_power_mode),
    TaskName.MINING: ChangeAction(_mining),
    TaskName.POOLS: ChangeAction(_pools),
    TaskName.REBOOT: ChangeAction(_reboot),
    TaskName.POWER_LIMIT: ChangeAction(_power_limit),
    TaskName.FIRMWARE: FirmwareAction(),
    TaskName.LOG: LookAction(LookExecutor.log),
    TaskName.SCAN: LookAction(LookExecutor.scan),
    TaskName.SELF_UPDATE: UpdateAction(),
    TaskName.IP_DIAGNOSIS: UnsupportedAction(
        "This agent has no IP diagnosis. Use a scan of the same range instead."
    ),
    TaskName.POOL_LOCK: UnsupportedAction(
        "This agent cannot lock or unlock pools. Use the maker's tool."
    ),
}


def change_of(record: TaskRecord, params: Params) -> AnyChange:
    """What a task asks of a driver, by its row in the journal: so after a crash as well."""
    action = ACTIONS[TaskName(record.name)]
    assert isinstance(action, ChangeAction)
    change = action.change(params)
    if isinstance(change, Mode) and record.origin == _MONITOR:
        return Suspend() if change.mode is PowerMode.SLEEP else Resume(mode=change.mode)
    return change
