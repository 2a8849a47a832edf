"""What an agent does for each task name: one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from agent.journal.settlement import Settlement
from agent.tasks.active import ActiveTask
from agent.tasks.look_executor import LookExecutor
from contract.miner import PowerMode
from contract.task import (
    MODES,
    LightParams,
    Params,
    PoolsParams,
    PowerModeParams,
    RebootParams,
    TaskName,
)
from drivers.base import (
    AnyChange,
    Change,
    FirmwareUpdate,
    Light,
    Mode,
    Pools,
    PoolSetting,
    Reboot,
    Resume,
    Suspend,
)

# Who asks for `sleep` and means off. The cloud means the mode, which not every make has.
SWITCHING: Final = frozenset({"rigmonitor"})


class ChangeAction(NamedTuple):
    """A change to one miner: of which kind, and which one by the task's parameters and its origin."""

    kind: type[Change]
    change: Callable[[Params, str], AnyChange]


class FirmwareAction(NamedTuple):
    """A change that needs a file on local disk first."""

    kind: type[Change] = FirmwareUpdate


class LookAction(NamedTuple):
    """Nothing is changed."""

    look: Callable[[LookExecutor, ActiveTask], Awaitable[Settlement]]


class UnsupportedAction(NamedTuple):
    """Not carried out yet; what to do instead."""

    instead: str


Action = ChangeAction | FirmwareAction | LookAction | UnsupportedAction


def _light(params: Params, origin: str) -> AnyChange:
    del origin
    assert isinstance(params, LightParams)
    return Light(on=params.action == "on")


def _power_mode(params: Params, origin: str) -> AnyChange:
    """One of the four modes, or a preset the maker lists. For who knows only off and on, `sleep` is whatever stops the
    hashing of that make, and any other mode the one to hash in again.
    """
    assert isinstance(params, PowerModeParams)
    mode = PowerMode(params.mode) if params.mode in MODES else None
    if origin in SWITCHING:
        return Suspend() if mode is PowerMode.SLEEP else Resume(mode=mode)
    return Mode(preset=params.mode) if mode is None else Mode(mode=mode)


def _pools(params: Params, origin: str) -> AnyChange:
    del origin
    assert isinstance(params, PoolsParams)
    return Pools(
        pools=tuple(
            PoolSetting(url=each.url, user=each.user, password=each.password)
            for each in params.pools
        )
    )


def _reboot(params: Params, origin: str) -> AnyChange:
    del origin
    assert isinstance(params, RebootParams)
    return Reboot(force=params.force)


# What is not here is carried out by the cloud. Kinds, limits, parameters, and what a person who asks by hand is told:
# `contract.task.SPECS`.
ACTIONS: Final[Mapping[TaskName, Action]] = {
    TaskName.LIGHT: ChangeAction(Light, _light),
    TaskName.POWER_MODE: ChangeAction(Mode, _power_mode),
    TaskName.POOLS: ChangeAction(Pools, _pools),
    TaskName.REBOOT: ChangeAction(Reboot, _reboot),
    TaskName.FIRMWARE: FirmwareAction(),
    TaskName.LOG: LookAction(LookExecutor.log),
    TaskName.SCAN: LookAction(LookExecutor.scan),
    TaskName.SELF_UPDATE: UnsupportedAction(
        "This agent cannot update itself. Install the new version on its host."
    ),
    TaskName.IP_DIAGNOSIS: UnsupportedAction(
        "This agent has no IP diagnosis. Use a scan of the same range instead."
    ),
    TaskName.POOL_LOCK: UnsupportedAction(
        "This agent cannot lock or unlock pools. Use the maker's tool."
    ),
}


def change_of(name: TaskName, params: Params, origin: str) -> AnyChange:
    """What a task of that name asks of a driver. The row in the journal says all of it, also after a crash."""
    action = ACTIONS[name]
    assert isinstance(action, ChangeAction)
    return action.change(params, origin)
