"""Brings events from the outbox to the cloud until it has acknowledged them. No outcome is dropped in silence."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from agent.journal import Journal, StepAck
from agent.limits.policy import QUEUE_LIFE_MOST_S, Policy
from agent.link.retry import retrying
from agent.ports import CloudError, TaskSource
from contract.clock import Clock
from contract.errors import StorageFullError
from contract.link import Ack, Event, ReportRequest
from contract.task import TERMINAL, TaskStatus

COALESCE_S: Final = 0.02  # a moment for company; well below the 50 ms the cloud may be behind
RETRY_MOST_S: Final = 30.0
STORAGE_WAIT_S: Final = 1.0
REFUSED_WAIT_S: Final = 60.0  # before a refused outcome is offered again; then twice as long
REFUSED_WAIT_MOST_S: Final = 3600.0
_CONFLICT: Final = 409
GRANTING: Final = frozenset({"ok", "duplicate"})  # of a `pending`: it may go ahead
_UNKNOWN_MOST: Final = 10_000  # tasks that the cloud does not know
_REFUSED: Final = frozenset({400, _CONFLICT, 413, 422})
_WHY_CHARS: Final = 300
_BEGUN: Final = (
    "for the cloud this task is over, or another life of this agent (its disk was put back from a copy) has begun it. "
    "Look at the miner before asking again."
)

log: Any = structlog.get_logger(__name__)


class OnPending(Protocol):
    """Told what the cloud answers to each `pending`: whether the task may go ahead, else why not."""

    def __call__(self, event: Event, refusal: str | None) -> None: ...


def _nobody(event: Event, refusal: str | None) -> None:
    del event, refusal


@dataclass(slots=True)
class _Refused:
    """An outcome the cloud refused, and when it is offered again."""

    task_id: str
    why: str
    pause_s: float
    next_mono: float


class Reporter:
    """One request at a time, oldest events first, so that the cloud sees each task's steps in order.

    What the cloud refuses holds up nothing else. An outcome it refuses is offered again, ever more seldom, for as long
    as any other (a cloud can be mended); then it stands in the journal as untold. Both are said in `notices`.
    """

    def __init__(
        self,
        journal: Journal,
        source: TaskSource,
        policy: Policy,
        clock: Clock,
        *,
        on_pending: OnPending = _nobody,
    ) -> None:
        self._journal = journal
        self._source = source
        self._policy = policy
        self._clock = clock
        self._on_pending = on_pending
        self._journal_id = ""
        # By number of the event, which only means something within one journal.
        self._first_seen_mono: dict[int, float] = {}
        self._refused: dict[int, _Refused] = {}
        self._unknown: set[str] = set()  # tasks that the cloud has forgotten
        # Those among them of which it is told what they are.
        self._explained: frozenset[str] = frozenset()
        self._unreported = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences for the operator: outcomes the cloud does not know."""
        found = []
        if self._refused:
            first = next(iter(self._refused.values()))
            found.append(
                f"The cloud refuses the outcome of {_tasks(len(self._refused))} ({first.task_id}: {first.why}). "
                "It is kept and offered again; look at the cloud's log."
            )
        if self._unreported:
            found.append(
                f"The outcome of {_tasks(self._unreported)} was never taken by the cloud. It stands in this agent's "
                "log and journal only."
            )
        return tuple(found)

    async def run(self) -> None:
        """Report until cancelled."""
        await self._count_unreported()
        while True:
            self._journal.outbox_grew.clear()
            try:
                if await self.flush():
                    continue
            except StorageFullError:
                await self._clock.sleep(STORAGE_WAIT_S)
                continue
            await self._wait()

    async def flush(self) -> bool:
        """Report one batch; whether there was any. Waits out an absent cloud. Raises StorageFullError."""
        if self._journal.journal_id != self._journal_id:
            self._journal_id = self._journal.journal_id
            self._first_seen_mono.clear()
            self._refused.clear()
        now = self._clock.mono()
        waiting = [seq for seq, each in self._refused.items() if each.next_mono > now]
        self._explained = frozenset(self._unknown)
        events = await self._journal.outbox(
            self._policy.report_events,
            self._policy.report_bytes,
            besides=waiting,
            explained=self._explained,
        )
        if not events:
            self._refused = {seq: self._refused[seq] for seq in waiting}  # the others are gone
            return False
        acks = await self._report(events)
        await self._journal.acknowledge(acks)
        self._unknown -= {each.task_id for each in events if each.arose and each.state in TERMINAL}
        if len(self._unknown) > _UNKNOWN_MOST:
            self._unknown.clear()  # what is still to be told of them will be answered so again
        for ack in acks:
            self._first_seen_mono.pop(ack.seq, None)
            self._refused.pop(ack.seq, None)
        if self._unreported or any(ack.untold for ack in acks):
            await self._count_unreported()
        return True

    # --- private ---------------------------------------------------------------------------------

    async def _wait(self) -> None:
        """Until there is something new, or something refused is to be offered again."""
        grew = asyncio.ensure_future(self._journal.outbox_grew.wait())
        waits: set[asyncio.Future[Any]] = {grew}
        if self._refused:
            due_mono = min(each.next_mono for each in self._refused.values())
            waits.add(asyncio.ensure_future(self._clock.sleep(due_mono - self._clock.mono())))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        await self._clock.sleep(COALESCE_S)

    async def _count_unreported(self) -> None:
        try:
            self._unreported = await self._journal.unreported()
        except StorageFullError:
            # The journal says itself what is wrong with it.
            log.warning("report.unreported_not_counted")

    async def _report(self, events: tuple[Event, ...]) -> list[StepAck]:
        """Bring them over. Gives what needs to be said no more."""
        given_up = [event for event in events if self._too_old(event)]
        if given_up:
            return [self._give_up(event, "the cloud did not take it in time") for event in given_up]
        try:
            acks: tuple[Ack, ...] = await retrying(
                self._clock, what="report", most_s=RETRY_MOST_S, denied_too=True
            )(self._ask, events)
        except CloudError as error:
            if error.status not in _REFUSED:
                log.error("report.failed", error=str(error)[:_WHY_CHARS], status=error.status)
                await self._clock.sleep(RETRY_MOST_S)
                return []
            if len(events) == 1:
                return self._refuse(events[0], error)
            # One event the cloud does not take must not hold up all the others: it is found by halves.
            half = len(events) // 2
            return [*await self._report(events[:half]), *await self._report(events[half:])]
        return self._read(events, acks)

    async def _ask(self, events: tuple[Event, ...]) -> tuple[Ack, ...]:
        request = ReportRequest(
            journal_id=self._journal.journal_id,
            events=events,
            told_seq=await self._journal.told_seq(),
        )
        acks = (await self._source.report(request)).acks
        told = {(event.seq, event.task_id) for event in events}
        if not any((ack.seq, ack.task_id) in told for ack in acks):
            raise CloudError("the cloud acknowledged none of the reported events", retry=True)
        return acks

    def _refuse(self, event: Event, error: CloudError) -> list[StepAck]:
        """The cloud refused this one. Of a step on the way the log is enough; an outcome is kept."""
        why = str(error)[:_WHY_CHARS]
        log.error("report.refused", task=event.task_id, seq=event.seq, state=event.state, error=why)
        if event.state not in TERMINAL:
            if event.state == TaskStatus.PENDING:
                self._on_pending(event, f"the cloud refused what it was told: {why}")
            return [_done(event)]
        if error.status == _CONFLICT:
            return [self._give_up(event, f"the cloud holds another outcome: {why}")]
        before = self._refused.get(event.seq)
        pause_s = min(REFUSED_WAIT_MOST_S, 2 * before.pause_s) if before else REFUSED_WAIT_S
        self._refused[event.seq] = _Refused(
            event.task_id, why, pause_s, self._clock.mono() + pause_s
        )
        return []

    def _read(self, events: tuple[Event, ...], acks: tuple[Ack, ...]) -> list[StepAck]:
        sent = {event.seq: event for event in events}
        done: list[StepAck] = []
        for ack in acks:
            event = sent.get(ack.seq)
            if event is None or event.task_id != ack.task_id:
                log.warning("report.odd_ack", task=ack.task_id, seq=ack.seq)
                continue
            if ack.state == "unknown_task" and event.task_id not in self._explained:
                self._unknown.add(event.task_id)  # it is told again, together with what it is
                continue
            if event.state == TaskStatus.PENDING:
                self._on_pending(event, None if ack.state in GRANTING else _BEGUN)
            elif ack.state == "conflict":
                done.append(self._give_up(event, "the cloud holds another outcome"))
                continue
            if ack.state not in GRANTING:
                log.warning("report.not_counted", task=ack.task_id, seq=ack.seq, why=ack.state)
            done.append(_done(event))
        return done

    def _give_up(self, event: Event, why: str) -> StepAck:
        log.error("report.given_up", task=event.task_id, seq=event.seq, state=event.state, why=why)
        return StepAck(seq=event.seq, epoch=event.epoch, untold=why)

    def _too_old(self, event: Event) -> bool:
        """How long this process has offered it in vain. The clock on the wall, by which it is dated, may be anything:
        on a host without a battery it begins in 1970 and is set once there is a network. A task that asks for leave to
        begin waits for the answer until its queue life is over, so it is asked for as long.
        """
        now = self._clock.mono()
        age_s = now - self._first_seen_mono.setdefault(event.seq, now)
        keep_s = self._policy.limits.results_kept_s
        if event.begin_id is not None and event.state not in TERMINAL:
            keep_s = max(keep_s, QUEUE_LIFE_MOST_S)
        return age_s > keep_s


def _done(event: Event) -> StepAck:
    return StepAck(seq=event.seq, epoch=event.epoch)


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
