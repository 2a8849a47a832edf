"""Takes tasks from the cloud: what cannot be carried out ends here, all else is on disk before it is acknowledged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog

from agent.journal import Arrival, Journal, QueueLife, TaskRecord
from agent.journal.settlement import failed
from agent.limits.policy import LEASE_MOST_S, QUEUE_LIFE_MOST_S
from agent.link.retry import retrying
from agent.ports import CloudError, TaskSource
from agent.tasks.dispatcher import Dispatcher
from agent.tasks.gate import Gate
from contract.clock import Clock
from contract.errors import ErrorCode, StorageFullError
from contract.keys import shown_key
from contract.link import LONG_POLL_MAX_S, ON_SITE, ClaimedTask, ClaimReply, ClaimRequest
from contract.task import BY_AGENTS, SPECS, Params, TaskName, parse_params, stored_params

RETRY_MOST_S: Final = 5.0
FULL_WAIT_S: Final = 1.0  # between two claims while there is no room or no disk
DENIED_WAIT_S: Final = 30.0
ASKED_MOST: Final = 1000  # outcomes that the cloud may ask for at once
# Numbers are taken up to 2**53 on either side: one skipped to there could not be told any more, to no cloud.
HEARD_MOST: Final = 2**52
# A cloud that answers at once and brings nothing new (a cancel we wait for, a task we know) is not to be hammered.
EMPTY_S: Final = 0.2
EMPTY_WAIT_S: Final = 0.5
EMPTY_MOST: Final = 3
# Between two times that a cloud which has lost outcomes is told them again.
TOLD_AGAIN_S: Final = 10.0
_NOT_KNOWN: Final = (
    "This version of the agent knows no task {name}. Update the agent, and ask again."
)

log: Any = structlog.get_logger(__name__)


class Admission:
    """The claim loop, which also renews the lease. Every task not yet seen ended is named in each claim: what is not
    named there was not kept, and the cloud hands it out again.
    """

    def __init__(
        self,
        journal: Journal,
        source: TaskSource,
        dispatcher: Dispatcher,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._source = source
        self._dispatcher = dispatcher
        self._gate = gate
        self._clock = clock
        # As the cloud last told; whoever fetches settings looks here.
        self.settings_rev: int | None = None
        self.trouble: str | None = None  # why no tasks come in, for the operator
        self._empty_claims = 0
        self._not_known: tuple[str, ...] = ()  # of what the cloud asked for
        self._forgotten_since: int | None = None  # event number
        self._told_again_mono = float("-inf")

    async def run(self) -> None:
        """Claim until cancelled."""
        while True:
            try:
                await self.claim()
            except StorageFullError as error:
                self._dispatcher.doubt_disk()
                self.trouble = str(error)
                await self._clock.sleep(FULL_WAIT_S)
            except CloudError as error:
                # The cloud does not want us at all: only a person can change that, so it is asked seldom.
                self.trouble = str(error)
                log.error("claim.denied", error=str(error)[:300], status=error.status)
                await self._clock.sleep(DENIED_WAIT_S)

    async def claim(self) -> None:
        """Ask once, take what comes. Raises CloudError when asking again will not help, StorageFullError."""
        began_mono = self._clock.mono()
        reply: ClaimReply = await retrying(self._clock, what="claim", most_s=RETRY_MOST_S)(
            self._ask
        )
        self.trouble = None
        self._not_known = (
            await self._journal.tell_again(reply.asked[:ASKED_MOST]) if reply.asked else ()
        )
        self.settings_rev = reply.settings_rev
        fresh = 0
        if reply.tasks:
            fresh = await self._take(reply.tasks)
            for task_id in reply.cancel:  # claimed and cancelled in the same breath
                self._dispatcher.cancel(task_id)
        is_empty = not fresh and self._clock.mono() - began_mono < EMPTY_S
        self._empty_claims = self._empty_claims + 1 if is_empty else 0
        if self._empty_claims > EMPTY_MOST:
            await self._clock.sleep(EMPTY_WAIT_S)

    async def _ask(self) -> ClaimReply:
        held = await self._journal.open_tasks()
        policy = self._gate.policy
        room = 0
        if self._journal.trouble is None:
            from_cloud = sum(each.epoch != ON_SITE for each in held)
            room = max(0, min(policy.claim_room, policy.limits.open_tasks - from_cloud))
        told_seq = await self._journal.told_seq()
        asked_mono = self._clock.mono()
        reply = await self._source.claim(
            ClaimRequest(
                journal_id=self._journal.journal_id,
                last_seq=self._journal.last_seq,
                told_seq=told_seq,
                open=held,
                room=room,
                wait_s=self._wait_s(room),
                not_known=self._not_known,
                knows=BY_AGENTS,
            )
        )
        try:
            # First of all: what is called off below is told under numbers that the cloud has not heard yet.
            await self._skip_past(reply.heard_seq or 0)
        finally:
            # Before the lease, which lets begin what a journal put back from a copy takes for open.
            for task_id in reply.cancel:
                self._dispatcher.cancel(task_id)
            self._gate.lease.renew(asked_mono, min(reply.lease_s, LEASE_MOST_S))
        if reply.heard_seq is not None:
            await self._compare(reply.heard_seq, told_seq, asked_mono)
        if len(reply.tasks) > room:
            # What is not named in the next claim was not kept, and is handed out again when there is room.
            log.warning("claim.too_many", tasks=len(reply.tasks), room=room)
            reply = msgspec.structs.replace(reply, tasks=reply.tasks[:room])
        return reply

    async def _skip_past(self, heard_seq: int) -> None:
        """Where the cloud has heard more of this journal than the journal has told, it was put back from a copy: its
        next events get numbers of their own. Raises StorageFullError.
        """
        if heard_seq > self._journal.last_seq:
            log.warning("claim.journal_put_back", last=self._journal.last_seq, heard=heard_seq)
            if heard_seq <= HEARD_MOST:
                await self._journal.skip_to(heard_seq)

    async def _compare(self, heard_seq: int, told_seq: int, now_mono: float) -> None:
        """What the cloud has heard of this journal, with what it had taken before it was asked: the cloud may have been
        put back from a copy. Raises StorageFullError.
        """
        if heard_seq < told_seq:
            since = self._forgotten_since
            self._forgotten_since = heard_seq if since is None else min(heard_seq, since)
        if self._forgotten_since is None or now_mono - self._told_again_mono < TOLD_AGAIN_S:
            return
        told = await self._journal.tell_since(self._forgotten_since)
        log.warning("claim.cloud_put_back", heard=self._forgotten_since, told_again=told)
        self._told_again_mono, self._forgotten_since = now_mono, None

    def _wait_s(self, room: int) -> float:
        """How long the cloud may take for its answer, which is also what renews the lease. Without a lease, what a
        crash left half done waits for that answer, so it is wanted at once.
        """
        left_s = self._gate.lease.left_s()
        if left_s <= 0.0:
            return 0.0
        if room == 0 or left_s < self._gate.policy.limits.lease_left_s:
            return FULL_WAIT_S
        return LONG_POLL_MAX_S

    async def _take(self, tasks: tuple[ClaimedTask, ...]) -> int:
        at = self._clock.now()
        params: dict[str, Params] = {}
        arrivals: list[Arrival] = []
        for task in tasks:
            if task.miner is not None:
                self._gate.maintenance.learn(task.miner)
            if task.name not in SPECS:
                log.warning("task.not_known", task=task.task_id, name=shown_key(task.name))
                refusal = failed(
                    ErrorCode.UNSUPPORTED, _NOT_KNOWN.format(name=shown_key(task.name))
                )
                arrivals.append(Arrival(record=self._record(task, None), refusal=refusal))
                continue
            name = TaskName(task.name)
            try:
                parsed = _params(name, task)
            except ValueError as error:
                log.warning("task.refused", task=task.task_id, name=name, error=str(error)[:300])
                refusal = failed(ErrorCode.BAD_PARAMS, str(error))
                arrivals.append(Arrival(record=self._record(task, None), refusal=refusal))
                continue
            params[task.task_id] = parsed
            stored = stored_params(name, parsed)
            arrivals.append(Arrival(record=self._record(task, stored)))
        fresh = await self._journal.accept(arrivals, at)
        log.info("tasks.accepted", claimed=len(tasks), new=len(fresh))
        for record in fresh:
            self._dispatcher.enqueue(self._dispatcher.activate(record, params[record.task_id]))
        return len(fresh)

    def _record(self, task: ClaimedTask, params: dict[str, Any] | None) -> TaskRecord:
        """Its row. What was not understood of its parameters is not kept."""
        now = self._clock.now()
        life_s = min(max(0.0, task.queue_ttl_s), QUEUE_LIFE_MOST_S)
        return TaskRecord(
            task_id=task.task_id,
            epoch=task.epoch,
            name=task.name,
            params=params or {},
            miner=task.miner,
            batch_id=task.batch_id,
            accepted_at=now,
            expires_at=now + timedelta(seconds=life_s),
            queue_life=QueueLife(seconds=life_s, since=self._clock.boot()),
            limit_s=task.limit_s,
        )


def _params(name: TaskName, task: ClaimedTask) -> Params:
    params = parse_params(name, task.params)
    if SPECS[name].wants_miner and task.miner is None:
        raise ValueError(f"{name} needs a miner, and the task names none")
    return params
