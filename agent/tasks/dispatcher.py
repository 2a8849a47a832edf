"""Who runs when: one task per miner at a time, miners side by side; limits, cancellation, and what a crash left."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from agent.journal import Journal, TaskRecord
from agent.journal.settlement import Settlement, failed, from_error
from agent.journal.states import State
from agent.limits.addresses import Addresses
from agent.tasks.active import ActiveTask, Phase
from agent.tasks.gate import Gate, LeaseShortError
from agent.tasks.tasklog import TaskLog
from contract.clock import Clock
from contract.errors import (
    CancelledTaskError,
    ErrorCode,
    ExpiredError,
    MinerError,
    StorageFullError,
)
from contract.outcome import Outcome
from contract.task import Kind, Params, TaskName, parse_params
from drivers.watch import intent_age_s

TICK_S: Final = 0.25
ALIVE_S: Final = 10.0  # without a tick for so long, the supervision of slots itself is frozen
STOP_POLL_S: Final = 0.05
STORAGE_WAIT_S: Final = 1.0
ABANDON_S: Final = 2.0  # a slot that does not end this long after it was cancelled is left behind

log: Any = structlog.get_logger(__name__)


class Executor(Protocol):
    """What carries out a task; `executor.TaskExecutor`."""

    async def carry_out(self, task: ActiveTask) -> Settlement: ...


@dataclass(slots=True, eq=False)
class _Lane:
    """The tasks of one miner, in the order they came."""

    waiting: deque[ActiveTask] = field(default_factory=deque)
    running: ActiveTask | None = None
    slot: asyncio.Task[None] | None = None
    cancelled_mono: float | None = None


class Dispatcher:
    """Every task given to it is settled in the journal, unless the process ends first: then the next one does."""

    def __init__(
        self,
        journal: Journal,
        executor: Executor,
        gate: Gate,
        addresses: Addresses,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._executor = executor
        self._gate = gate
        self._addresses = addresses
        self._clock = clock
        self._lanes: dict[str, _Lane] = {}
        self._tasks: dict[str, ActiveTask] = {}
        self._left_behind: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._in_doubt = False  # whether the journal may hold what does not live here
        self._adopting: asyncio.Task[None] | None = None
        self.heartbeat_mono = clock.mono()
        self.settled = 0  # tasks that ended in this process

    @property
    def slots_alive(self) -> bool:
        """Whether slots are supervised. A frozen slot does not make it false: that one is settled and left behind."""
        return self._clock.mono() - self.heartbeat_mono < ALIVE_S

    @property
    def held(self) -> tuple[ActiveTask, ...]:
        """The tasks themselves, whatever their state."""
        return tuple(self._tasks.values())

    @property
    def tasks(self) -> int:
        """How many live."""
        return len(self._tasks)

    def is_busy(self, lane: str) -> bool:
        """Whether a task of that lane (`ActiveTask.lane`) runs or waits."""
        return lane in self._lanes

    def before(self, task: ActiveTask) -> ActiveTask | None:
        """The task that the miner of this one is busy with while this one waits."""
        lane = self._lanes.get(task.lane)
        return None if lane is None or lane.running is task else lane.running

    def activate(self, record: TaskRecord, params: Params) -> ActiveTask:
        """Begin to work on a task, whether it is new or was found in the journal."""
        task = ActiveTask(
            record=record,
            params=params,
            log=TaskLog(self._clock),
            limit_s=self._gate.policy.limit_s(TaskName(record.name), record.limit_s),
            expires_mono=self._clock.mono() + self._life_left_s(record),
            state=record.state,
            notes=dict(record.notes),
        )
        if record.state is State.INTENT:
            self._find_again(task)
        return task

    def enqueue(self, task: ActiveTask) -> None:
        """Let it run when its miner is free. One that lives here already goes on as it is."""
        if task.id in self._tasks:
            log.warning("task.lives_already", task=task.id)
            return
        self._tasks[task.id] = task
        lane = self._lanes.setdefault(task.lane, _Lane())
        lane.waiting.append(task)
        self._next(task.lane, lane)

    async def recover(self) -> None:
        """Take up what the journal holds unfinished: looks are redone, settings read and redone, one-shots watched."""
        for record in await self._found():
            await self._take_up(record)

    def doubt_disk(self) -> None:
        """The journal refused to take something. A disk that failed may have kept it all the same, which is seen once
        the disk is well again: whatever then stands in the journal is taken up.
        """
        self._in_doubt = True

    def cancel(self, task_id: str) -> None:
        """Ask for its end. It ends as what truly happens: what was sent is seen through."""
        task = self._tasks.get(task_id)
        if task is None or task.cancel_requested or task.phase is Phase.SETTLING:
            return
        task.cancel_requested = True
        log.info("task.cancel_requested", task=task_id, state=task.state)
        lane = self._lanes.get(task.lane)
        if lane is None:
            return
        if task in lane.waiting:
            if task.state is State.ACCEPTED:  # what a crash left half done is looked at first
                self._drop(lane, task, CancelledTaskError("Cancelled before anything was sent."))
        elif lane.running is task and task.kind is Kind.LOOK and lane.slot is not None:
            lane.slot.cancel()  # it changes nothing, so it can stop anywhere

    def pinned(self, task_id: str) -> None:
        """The cloud acknowledged its intent: nobody else will ever be given it."""
        task = self._tasks.get(task_id)
        if task is not None:
            task.pinned = True

    async def run(self) -> None:
        """Supervise until cancelled."""
        while True:
            self.heartbeat_mono = self._clock.mono()
            self._supervise(self.heartbeat_mono)
            self._look_after_disk()
            await self._clock.sleep(TICK_S)

    async def stop(self, grace_s: float) -> None:
        """Begin nothing more; let exchanges that change a miner end within `grace_s`; leave the rest to the next start,
        which takes it up from the journal.
        """
        self._stopping = True
        until_mono = self._clock.mono() + grace_s
        while self._sending() and self._clock.mono() < until_mono:
            await self._clock.sleep(STOP_POLL_S)
        slots = {lane.slot for lane in self._lanes.values() if lane.slot is not None}
        for slot in slots:
            slot.cancel()
        pending = slots | self._left_behind
        if pending:
            await asyncio.wait(pending, timeout=ABANDON_S)

    def _sending(self) -> bool:
        return any(task.phase is Phase.SENDING for task in self._tasks.values())

    async def _take_up(self, record: TaskRecord) -> None:
        try:
            params = parse_params(TaskName(record.name), record.params)
        except ValueError as error:  # an older version took what this one refuses
            begun = record.state is State.INTENT
            refusal = failed(
                ErrorCode.BAD_PARAMS,
                f"{error}. An earlier version began it: look at the miner."
                if begun
                else str(error),
                outcome=Outcome.UNKNOWN if begun else Outcome.NOT_DONE,
            )
            await self._journal.settle(record, refusal, self._clock.now())
            return
        log.info("task.recovered", task=record.task_id, name=record.name, state=record.state)
        self.enqueue(self.activate(record, params))

    async def _adopt(self) -> None:
        """Take up what stands in the journal and does not live here."""
        self._in_doubt = False
        known = set(self._tasks)  # one of these may end while the journal is read
        try:
            found = await self._journal.unfinished()
        except StorageFullError:
            self._in_doubt = True
            return
        # All of them before anything is awaited: what came in meanwhile lives here by now.
        missing = [each for each in found if each.task_id not in known | self._tasks.keys()]
        for record in missing:
            if record.from_cloud or record.state is State.INTENT:
                await self._take_up(record)
            else:  # whoever wished for it on site was told no, and may have asked again
                refusal = StorageFullError(
                    "The disk failed while it was written down; nothing was sent."
                )
                await self._journal.settle(record, from_error(refusal), self._clock.now())

    async def _found(self) -> tuple[TaskRecord, ...]:
        while True:
            try:
                return await self._journal.unfinished()
            except StorageFullError:
                await self._clock.sleep(STORAGE_WAIT_S)

    # --- lanes ---

    def _next(self, key: str, lane: _Lane) -> None:
        if lane.running is not None or self._stopping:
            return
        if not lane.waiting:
            self._lanes.pop(key, None)
            return
        task = lane.waiting.popleft()
        lane.running, lane.cancelled_mono = task, None
        slot = asyncio.create_task(self._slot(task), name=f"slot {task.lane}")
        lane.slot = slot
        slot.add_done_callback(lambda ended: self._ended(key, lane, task, ended))

    def _ended(self, key: str, lane: _Lane, task: ActiveTask, slot: asyncio.Task[None]) -> None:
        self._left_behind.discard(slot)
        if not slot.cancelled() and (error := slot.exception()) is not None:
            log.error("slot.failed", task=task.id, exc_info=error)
        if lane.running is task and lane.slot is slot:
            lane.running = lane.slot = None
            self._next(key, lane)

    async def _slot(self, task: ActiveTask) -> None:
        try:
            await self._settle(task, await self._end_of(task))
        finally:
            self._addresses.give_back(task.id)

    async def _end_of(self, task: ActiveTask) -> Settlement:
        try:
            return await self._outcome(task)
        except asyncio.CancelledError:
            if task.phase is Phase.REVOKED:
                return self._over(task)
            if task.cancel_requested and task.kind is Kind.LOOK:
                return from_error(CancelledTaskError("Cancelled while it was looking."))
            raise  # the process ends: the next one takes it up from the journal

    async def _outcome(self, task: ActiveTask) -> Settlement:
        while True:
            try:
                if task.record.from_cloud and not (
                    task.state is State.INTENT and task.kind is Kind.ONE_SHOT
                ):
                    await self._lease(task)
                return await self._executor.carry_out(task)
            except LeaseShortError as error:
                if task.writes or (task.state is State.INTENT and task.kind is Kind.ONE_SHOT):
                    return from_error(error, outcome=_not_known(task))
                # Not begun; or a setting a crash left half done, which is read again before it is sent again.
                task.started_mono = None
                self._addresses.give_back(task.id)
                task.log.info("Waiting for the cloud before anything is sent.")
            except MinerError as error:
                task.log.error(str(error))
                return from_error(error, outcome=_not_known(task))
            except Exception:
                log.exception("task.internal", task=task.id, name=task.record.name)
                return self._bug(task)

    async def _lease(self, task: ActiveTask) -> None:
        """Wait until enough of the lease is left to begin; queue life and cancellation go on meanwhile."""
        if self._gate.lease.left_s() >= self._gate.policy.limits.lease_left_s:
            return
        log.info("task.waits_for_lease", task=task.id)
        with task.waiting(self._clock):
            await self._gate.lease.at_least(self._gate.policy.limits.lease_left_s)

    async def _settle(
        self, task: ActiveTask, settlement: Settlement, *, left_behind: bool = False
    ) -> None:
        if task.phase is Phase.SETTLING:
            return
        task.enter(Phase.SETTLING)
        began = task.state is State.ACCEPTED and settlement.outcome is Outcome.DONE
        at = self._clock.now()
        error = settlement.result.get("error")
        if error is not None:
            task.log.error(f"{error['code']}: {error['message']}")
        try:
            await self._journal.settle(
                task.record, settlement, at, task.log.take(), intent_at=at if began else None
            )
        except StorageFullError:
            # The process ends with the disk still away: the next one finds the task as it stands.
            log.warning("task.left_unsettled", task=task.id)
            return
        self._tasks.pop(task.id, None)
        self.settled += 1
        log.info(
            "task.settled",
            task=task.id,
            name=task.record.name,
            miner=task.record.miner.id if task.record.miner else None,
            status=settlement.status,
            outcome=settlement.outcome,
            code=error["code"] if error else None,
            left_behind=left_behind,
        )
        if task.ended is not None and not task.ended.done():
            task.ended.set_result(settlement)

    def _drop(self, lane: _Lane, task: ActiveTask, error: MinerError) -> None:
        """Settle a task that waits."""
        lane.waiting.remove(task)
        self._in_background(self._settle(task, from_error(error)))

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        job: asyncio.Task[None] = asyncio.create_task(work)
        self._left_behind.add(job)
        job.add_done_callback(self._left_behind.discard)
        return job

    # --- supervision ---

    def _look_after_disk(self) -> None:
        if self._journal.trouble is not None:
            self._in_doubt = True
        elif self._in_doubt and (self._adopting is None or self._adopting.done()):
            self._adopting = self._in_background(self._adopt())

    def _supervise(self, now: float) -> None:
        for key, lane in list(self._lanes.items()):
            for task in [each for each in lane.waiting if now > each.expires_mono]:
                if task.state is State.ACCEPTED:
                    self._drop(lane, task, _expired())
            running = lane.running
            if running is None or lane.slot is None or running.phase is Phase.SETTLING:
                continue  # a slot that writes the end of its task is let do it
            if lane.cancelled_mono is None:
                if running.over(now) or self._waited_too_long(running, now):
                    log.warning("task.over_limit", task=running.id, state=running.state)
                    running.enter(Phase.REVOKED)
                    lane.cancelled_mono = now
                    lane.slot.cancel()
            elif now - lane.cancelled_mono > ABANDON_S:
                self._leave_behind(key, lane, running)

    def _waited_too_long(self, task: ActiveTask, now: float) -> bool:
        """Still waiting for the lease, its grant or its turn when its queue life ended, or when the operator cancelled
        it.
        """
        is_unbegun = task.state is State.ACCEPTED and task.started_mono is None
        is_waiting = task.phase is Phase.WAITING and not task.may_have_sent
        return (is_unbegun or is_waiting) and (now > task.expires_mono or task.cancel_requested)

    def _leave_behind(self, key: str, lane: _Lane, task: ActiveTask) -> None:
        """A slot that does not even end when cancelled: its task is settled without it, its lane goes on."""
        slot = lane.slot
        assert slot is not None
        log.error("slot.frozen", task=task.id, name=task.record.name)
        self._left_behind.add(slot)
        lane.running = lane.slot = None
        if task.turn is not None:
            task.turn.give_back()
        self._addresses.give_back(task.id)
        self._in_background(self._settle(task, self._over(task), left_behind=True))
        self._next(key, lane)

    def _over(self, task: ActiveTask) -> Settlement:
        """Its limit or its queue life is past."""
        if not task.may_have_sent:
            if task.cancel_requested:
                return from_error(CancelledTaskError("Cancelled before anything was sent."))
            is_late = self._clock.mono() > task.expires_mono
            if is_late or (task.state is State.ACCEPTED and task.started_mono is None):
                return from_error(_expired())
            return from_error(
                ExpiredError(
                    f"Not finished within its limit of {task.limit_s:.0f} s; nothing was changed."
                )
            )
        plan = task.record.plan
        return failed(
            ErrorCode.NOT_VERIFIED,
            f"Begun, but not proven within its limit of {task.limit_s:.0f} s. Look at the miner before trying again.",
            outcome=Outcome.UNKNOWN,
            before=plan.before if plan else None,
        )

    def _bug(self, task: ActiveTask) -> Settlement:
        sent = task.may_have_sent
        return failed(
            ErrorCode.INTERNAL,
            "The agent made a mistake; its log holds the trace. "
            + ("Look at the miner before trying again." if sent else "Nothing was sent."),
            outcome=Outcome.UNKNOWN if sent else Outcome.NOT_DONE,
        )

    def _life_left_s(self, record: TaskRecord) -> float:
        """How much of its queue life is left: as the host counted it, through any restart of the agent.

        Where the host was restarted since, only the clock on the wall could say for how long, and it may be anything.
        So what the cloud handed out has all its life again: it waits for an answer of the cloud anyway, which calls off
        what is over by a time of its own. What arose on site nobody else calls off: it goes by the wall, for a wish
        that may be old is better made again.
        """
        life = record.queue_life
        if life is None:
            whole_s = (record.expires_at - record.accepted_at).total_seconds()
        else:
            whole_s = life.seconds
            passed_s = self._clock.boot().since(life.since)
            if passed_s is not None:
                return whole_s - passed_s
        if record.from_cloud:
            return whole_s
        return min(whole_s, (record.expires_at - self._clock.now()).total_seconds())

    def _find_again(self, task: ActiveTask) -> None:
        """How much of its limit a task begun before a restart has left; always enough for one good look. Where the host
        was restarted since, nobody knows how much of it has passed: it is watched for all of it.
        """
        elapsed = intent_age_s(task.notes, self._clock) or 0.0
        task.intent_mono = self._clock.mono() - elapsed
        task.limit_s = max(task.limit_s, elapsed + self._gate.policy.recovery_look_s)


def _not_known(task: ActiveTask) -> Outcome:
    """What became of a miner that was not looked at afterwards."""
    return Outcome.UNKNOWN if task.may_have_sent else Outcome.NOT_DONE


def _expired() -> ExpiredError:
    return ExpiredError(
        "Nobody could begin it during its queue life; nothing was sent. Create it again."
    )
