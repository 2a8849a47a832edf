"""Carries out one task, whatever its name."""

from __future__ import annotations

from agent.firmware.cache import FirmwareFiles
from agent.journal import Journal
from agent.journal.settlement import Settlement
from agent.journal.states import State
from agent.tasks.actions import (
    ACTIONS,
    ChangeAction,
    FirmwareAction,
    LookAction,
    UnsupportedAction,
    UpdateAction,
    change_of,
)
from agent.tasks.active import ActiveTask
from agent.tasks.change_executor import ChangeExecutor
from agent.tasks.gate import Gate
from agent.tasks.look_executor import LookExecutor
from agent.tasks.update_executor import UpdateExecutor
from contract.clock import Clock
from contract.errors import BadParamsError, UnsupportedError
from contract.task import FirmwareParams, Kind
from drivers.base import FirmwareUpdate, Reboot, Resume
from drivers.watch import intent_notes


class TaskExecutor:
    """`dispatcher.Executor`: by the table of `actions`, through the executor of changes or that of looks."""

    def __init__(
        self,
        *,
        changes: ChangeExecutor,
        looks: LookExecutor,
        updates: UpdateExecutor | None,
        files: FirmwareFiles,
        journal: Journal,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._changes = changes
        self._looks = looks
        self._updates = updates
        self._files = files
        self._journal = journal
        self._gate = gate
        self._clock = clock

    async def carry_out(self, task: ActiveTask) -> Settlement:
        """Do it, once. Raises MinerError when nothing was sent, LeaseShortError when it may be tried again."""
        name = task.name
        action = ACTIONS.get(name)
        if isinstance(action, UnsupportedAction):
            raise UnsupportedError(action.instead)
        if isinstance(action, UpdateAction):
            return await self._update(task)
        if task.kind is Kind.ONE_SHOT and task.state is State.INTENT:
            task.started_mono = self._clock.mono()
            return await self._changes.watch(task)
        self._gate.may_run(task)
        match action:
            case ChangeAction():
                return await self._change(task)
            case FirmwareAction():
                return await self._firmware(task)
            case LookAction():
                return await self._look(task, action)
            case None:
                raise UnsupportedError(f"An agent does not carry out {name}; the cloud does.")

    async def _change(self, task: ActiveTask) -> Settlement:
        change = change_of(task.record, task.params)
        if isinstance(change, Resume) and change.mode is None:
            change = Resume(mode=self._changes.awake_mode(task))
        if isinstance(change, Reboot) and not self._gate.policy.rules.refuse_hashing_reboot:
            # This site reboots miners that hash without being asked twice.
            change = Reboot(force=True)
        return await self._changes.carry_out(task, change)

    async def _firmware(self, task: ActiveTask) -> Settlement:
        """Nothing is fetched for a miner that would not take it. The file is on local disk, with its size and checksum
        checked, before a change is planned; its limit begins then: until then it waits for others.
        """
        assert isinstance(task.params, FirmwareParams)
        if task.params.firmware_url is None:
            raise BadParamsError(
                "params.firmware names an image of the cloud's library: order it there, or give firmware_url"
            )
        await self._changes.check(task, FirmwareUpdate)
        async with self._files.file(task.params.firmware_url, task.params.sha256) as path:
            task.log.info("The firmware file was downloaded.")
            change = FirmwareUpdate(path=str(path), target_version=task.params.target_version)
            return await self._changes.carry_out(task, change)

    async def _update(self, task: ActiveTask) -> Settlement:
        if self._updates is None:
            raise UnsupportedError("Only the agent that runs as a service updates itself.")
        if task.state is State.INTENT:
            return await self._updates.watch(task)
        self._gate.may_run(task)
        return await self._updates.carry_out(task)

    async def _look(self, task: ActiveTask, action: LookAction) -> Settlement:
        task.started_mono = self._clock.mono()
        if task.state is State.ACCEPTED:
            self._gate.may_begin(task)
            at, boot = self._clock.now(), self._clock.boot()
            await self._journal.begin(task.id, None, at, task.log.take(), boot=boot)
            task.state = State.INTENT
            task.notes |= intent_notes(at, boot)
        # A look redone after a crash has all its time again.
        task.intent_mono = self._clock.mono()
        return await action.look(self._looks, task)
