"""Which task name is carried out how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from agent.firmware.cache import FirmwareFiles
from agent.journal import Journal
from agent.journal.settlement import Settlement
from agent.journal.states import State
from agent.tasks.change_executor import Changes
from agent.tasks.gate import Gate
from agent.tasks.livetask import LiveTask
from agent.tasks.look_executor import Looks
from contract.clock import Clock
from contract.errors import BadParamsError, UnsupportedError
from contract.miner import PowerMode
from contract.task import (
    MODES,
    FirmwareParams,
    Kind,
    LightParams,
    Params,
    PoolsParams,
    PowerModeParams,
    RebootParams,
    ScanParams,
    TaskName,
)
from drivers.base import (
    AnyChange,
    Firmware,
    Light,
    Mode,
    Pools,
    PoolSetting,
    Reboot,
    Resume,
    Suspend,
)
from drivers.watch import intent_notes

UNSUPPORTED: Final[Mapping[TaskName, str]] = {
    TaskName.SELF_UPDATE: "This agent cannot update itself. Install the new version on its host.",
    TaskName.IP_DIAGNOSIS: "This agent has no IP diagnosis. Use a scan of the same range instead.",
    TaskName.POOL_LOCK: "This agent cannot lock or unlock pools. Use the maker's tool.",
}

log: Any = structlog.get_logger(__name__)


def light(params: Params) -> AnyChange:
    """`miner.light.update`."""
    assert isinstance(params, LightParams)
    return Light(on=params.action == "on")


def power_mode(params: Params) -> AnyChange:
    """`miner.power_mode.update`: one of the four modes, or a preset the maker lists."""
    assert isinstance(params, PowerModeParams)
    if params.mode in MODES:
        return Mode(mode=PowerMode(params.mode))
    return Mode(preset=params.mode)


def mining(params: Params) -> AnyChange:
    """`miner.power_mode.update` of a wisher who knows only off and on: `sleep` is whatever stops the hashing of that
    make, any other mode the one to hash in again.
    """
    assert isinstance(params, PowerModeParams)
    if params.mode == PowerMode.SLEEP:
        return Suspend()
    return Resume(mode=PowerMode(params.mode) if params.mode in MODES else None)


def pools(params: Params) -> AnyChange:
    """`miner.pool.update`."""
    assert isinstance(params, PoolsParams)
    return Pools(
        pools=tuple(
            PoolSetting(url=each.url, user=each.user, password=each.password)
            for each in params.pools
        )
    )


def reboot(params: Params) -> AnyChange:
    """`miner.system.reboot`."""
    assert isinstance(params, RebootParams)
    return Reboot(force=params.force)


CHANGES: Final[Mapping[TaskName, Callable[[Params], AnyChange]]] = {
    TaskName.LIGHT: light,
    TaskName.POWER_MODE: power_mode,
    TaskName.POOLS: pools,
    TaskName.REBOOT: reboot,
}


# Wishers who say `sleep` and mean off. The cloud means the mode, which not every make has.
SWITCHING: Final = frozenset({"rigmonitor"})


def change_of(name: TaskName, params: Params, origin: str) -> AnyChange:
    """What a task of that name asks of a driver. The row in the journal says all of it, also after a crash."""
    if name is TaskName.POWER_MODE and origin in SWITCHING:
        return mining(params)
    return CHANGES[name](params)


class Actions:
    """Carries out one task, whatever its name."""

    def __init__(
        self,
        *,
        changes: Changes,
        looks: Looks,
        files: FirmwareFiles,
        journal: Journal,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._changes = changes
        self._looks = looks
        self._files = files
        self._journal = journal
        self._gate = gate
        self._clock = clock

    async def carry_out(self, task: LiveTask) -> Settlement:
        """Do it, once. Raises MinerError when nothing was sent, LeaseShortError when it may be tried again."""
        name = task.record.name
        if name in UNSUPPORTED:
            raise UnsupportedError(UNSUPPORTED[name])
        if task.kind is Kind.ONE_SHOT and task.state is State.INTENT:
            task.started_mono = self._clock.mono()
            return await self._changes.watch(task)
        self._gate.may_run(task)
        if name in CHANGES:
            change = change_of(name, task.params, task.record.origin)
            if isinstance(change, Reboot) and not self._gate.policy.refuse_hashing_reboot:
                change = Reboot(
                    force=True
                )  # this site reboots miners that hash without being told twice
            return await self._changes.carry_out(task, change)
        if name is TaskName.FIRMWARE:
            return await self._firmware(task)
        if task.kind is Kind.LOOK:
            return await self._look(task)
        raise UnsupportedError(f"An agent does not carry out {name}; the cloud does.")

    async def _look(self, task: LiveTask) -> Settlement:
        task.started_mono = self._clock.mono()
        if task.state is State.ACCEPTED:
            self._gate.may_begin(task)
            at, boot = self._clock.now(), self._clock.boot()
            await self._journal.begin(task.id, None, at, task.log.take(), boot=boot)
            task.state = State.INTENT
            task.notes |= intent_notes(at, boot)
        task.intent_mono = self._clock.mono()  # a look redone after a crash has all its time again
        if task.record.name is TaskName.LOG:
            return await self._looks.log(task)
        if isinstance(task.params, ScanParams):
            return await self._looks.scan(task, task.params)
        raise BadParamsError(f"{task.record.name} cannot be carried out with these parameters.")

    async def _firmware(self, task: LiveTask) -> Settlement:
        """Nothing is fetched for a miner that would not take it. The file is on local disk, with its size and checksum
        checked, before a change is planned; its limit begins then: until then it waits for others.
        """
        assert isinstance(task.params, FirmwareParams)
        await self._changes.check(task, Firmware)
        async with self._files.file(task.params.firmware_url, task.params.sha256) as path:
            task.log.info("The firmware file was downloaded.")
            change = Firmware(path=str(path), target_version=task.params.target_version)
            return await self._changes.carry_out(task, change)
