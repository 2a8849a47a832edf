"""The task path as one thing: from the cloud's queue to a miner, and back with proof."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from agent.firmware.cache import FirmwareFiles
from agent.journal import Arrival, Journal, QueueLife, TaskRecord
from agent.journal.settlement import Settlement
from agent.limits.addresses import Addresses
from agent.limits.grants import Grants
from agent.limits.lease import Lease
from agent.limits.maintenance import Maintenance
from agent.limits.policy import Policy
from agent.limits.slots import Slots
from agent.ports import Downloader, Miners, Scanner, TaskSource
from agent.tasks.active import ActiveTask, lane_of
from agent.tasks.admission import Admission
from agent.tasks.change_executor import ChangeExecutor
from agent.tasks.dispatcher import Dispatcher
from agent.tasks.executor import TaskExecutor
from agent.tasks.gate import Gate
from agent.tasks.look_executor import LookExecutor
from agent.tasks.reporter import Reporter
from agent.tasks.update_executor import UpdateExecutor
from agent.update.updates import Updates
from contract.clock import Clock
from contract.errors import PolicyRefusedError, StorageFullError
from contract.link import ON_SITE, Event, MinerRef
from contract.task import QUEUE_TTL_S, SPECS, TaskName, parse_params, stored_params

FLUSH_S = 3.0  # for the last reports once stopping

log: Any = structlog.get_logger(__name__)


class TaskPath:
    """Built once per process. The journal is opened and closed by it."""

    def __init__(
        self,
        journal: Journal,
        source: TaskSource,
        miners: Miners,
        scanner: Scanner,
        downloader: Downloader,
        policy: Policy,
        clock: Clock,
        state_dir: Path,
        *,
        updates: Updates | None = None,
    ) -> None:
        """`updates`: of the agent itself; `None` where it is no service."""
        self.journal = journal
        self._clock = clock
        self._work = state_dir / "work"
        self._lease = Lease(clock)
        self.maintenance = Maintenance(miners.hidden_mac)
        self._gate = Gate(self._lease, policy, self.maintenance, clock)
        self._grants = Grants()
        journal.on_new_file = self._grants.forget
        slots = Slots(policy, clock, miners_known=lambda: len(miners))
        looks = LookExecutor(
            journal=journal,
            miners=miners,
            scanner=scanner,
            source=source,
            slots=slots,
            gate=self._gate,
            clock=clock,
            work=self._work,
        )
        addresses = Addresses()
        self._firmware = FirmwareFiles(
            downloader, lambda: self._gate.policy, self._work, state_dir / "firmware"
        )
        updating = None
        if updates is not None:
            updating = UpdateExecutor(
                updates,
                journal=journal,
                slots=slots,
                gate=self._gate,
                grants=self._grants,
                clock=clock,
            )
        executor = TaskExecutor(
            changes=ChangeExecutor(
                journal, miners, slots, self._gate, self._grants, addresses, clock
            ),
            looks=looks,
            updates=updating,
            files=self._firmware,
            journal=journal,
            gate=self._gate,
            clock=clock,
        )
        self.dispatcher = Dispatcher(journal, executor, self._gate, addresses, clock)
        self.admission = Admission(journal, source, self.dispatcher, self._gate, clock)
        self._reporter = Reporter(journal, source, policy, clock, on_pending=self._pending_answered)
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()

    @property
    def policy(self) -> Policy:
        """What is allowed now."""
        return self._gate.policy

    @property
    def slots_alive(self) -> bool:
        """Whether task slots are supervised; a frozen slot alone does not make it false."""
        return not self._ready.is_set() or self.dispatcher.slots_alive

    @property
    def lease_left_s(self) -> float:
        """How long the cloud surely still holds our tasks to be ours."""
        return self._lease.left_s()

    def set_read_only(self, read_only: bool) -> None:
        """Whether anything is written to miners, from now on."""
        self.set_policy(
            dataclasses.replace(
                self.policy, rules=self.policy.rules.model_copy(update={"read_only": read_only})
            )
        )

    def set_policy(self, policy: Policy) -> None:
        """Take other rules at once, for what is not begun yet. Sizes of slots stay as they were at the start."""
        self._gate.policy = policy

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the operator: what keeps tasks from being carried out."""
        found = (
            self.journal.trouble,
            self.journal.mishap,
            self.admission.trouble,
            *self._reporter.notices,
        )
        return tuple(dict.fromkeys(each for each in found if each))

    async def ready(self) -> None:
        """Wait until the journal is open and what a crash left is taken up."""
        await self._ready.wait()

    async def run(self) -> None:
        """Carry out tasks until `stop`. Raises FolderLockedError or JournalVersionError."""
        await self.journal.open()
        try:
            await asyncio.to_thread(self._clear_work)
            await self._firmware.load()
            await self.dispatcher.recover()
            self._ready.set()
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self.dispatcher.run()),
                    group.create_task(self._reporter.run()),
                ]
                claims = group.create_task(self.admission.run())
                await self._stop.wait()
                claims.cancel()
                await self.dispatcher.stop(self.policy.limits.stop_within_s)
                for each in loops:
                    each.cancel()
            await self._last_reports()
        finally:
            # Also when a loop above broke: no slot outlives the path.
            await self.dispatcher.stop(0.0)
            await self.journal.close()

    def stop(self) -> None:
        """Ask `run` to end: no more tasks, running exchanges end within the policy's grace, reports, journal closed."""
        self._stop.set()

    def is_busy(self, miner: MinerRef) -> bool:
        """Whether a task of that miner runs or waits, whoever wished for it."""
        return self.dispatcher.is_busy(lane_of(miner))

    def in_maintenance(self, miner: MinerRef) -> bool:
        """Whether that miner is not to be written to, as the cloud told last."""
        return self.maintenance.holds(miner)

    def withdraw(self, miner: MinerRef, origin: str) -> None:
        """`origin` no longer wishes for what it wished of this miner: that is not begun, if it has not been yet."""
        for task in self.dispatcher.held:
            if task.record.origin == origin and task.lane == lane_of(miner):
                self.dispatcher.cancel(task.id)

    async def submit_local(
        self, name: TaskName, params: dict[str, Any], miner: MinerRef | None, origin: str
    ) -> dict[str, Any]:
        """Carry out a task wished for on site; gives its `result` with its `status`. Raises what `begin_local` does."""
        return await ended(await self.begin_local(name, params, miner, origin))

    async def begin_local(
        self, name: TaskName, params: dict[str, Any], miner: MinerRef | None, origin: str
    ) -> ActiveTask:
        """Take on a task wished for on site, by `origin` (as `contract.link.Origin` has it). Its steps are reported
        like those of any other task.

        Raises ValueError for bad parameters, PolicyRefusedError while stopping, StorageFullError.
        """
        if self._stop.is_set():
            raise PolicyRefusedError("The agent is stopping.")
        checked = parse_params(name, params)
        if SPECS[name].wants_miner and miner is None:
            raise ValueError(f"{name} needs a miner")
        await self.ready()
        now = self._clock.now()
        record = TaskRecord(
            task_id=str(uuid.uuid4()),
            epoch=ON_SITE,
            name=name,
            params=stored_params(name, checked) or {},
            miner=miner,
            origin=origin,
            accepted_at=now,
            expires_at=now + timedelta(seconds=QUEUE_TTL_S),
            queue_life=QueueLife(seconds=QUEUE_TTL_S, since=self._clock.boot()),
            limit_s=SPECS[name].limit_s,
        )
        try:
            await self.journal.accept([Arrival(record=record)], now)
        except StorageFullError:
            self.dispatcher.doubt_disk()
            raise
        task = self.dispatcher.activate(record, checked)
        task.ended = asyncio.get_running_loop().create_future()
        self.dispatcher.enqueue(task)
        return task

    def _pending_answered(self, event: Event, refusal: str | None) -> None:
        if refusal is None:
            self.dispatcher.pinned(event.task_id)
        if event.begin_id is not None:
            self._grants.answer(event.begin_id, refusal)

    def _clear_work(self) -> None:
        """Files of tasks that a crash cut off; looks and downloads start over."""
        shutil.rmtree(self._work, ignore_errors=True)

    async def _last_reports(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_S):
                while await self._reporter.flush():
                    pass
        except TimeoutError:
            log.info("report.left_for_next_start")


async def ended(task: ActiveTask) -> dict[str, Any]:
    """Wait for the end of a task wished for on site, which goes on whoever stops waiting; gives its `result` with its
    `status`.
    """
    assert task.ended is not None
    return result_of(task, await asyncio.shield(task.ended))


def result_of(task: ActiveTask, settlement: Settlement) -> dict[str, Any]:
    """What whoever wished for a task on site is told of its end."""
    return {"status": settlement.status.value, "task_id": task.id, **settlement.result}
