"""Brings events from the outbox to the cloud until it has acknowledged them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog

from agent.journal import Journal, StepAck
from agent.policy import Policy
from agent.ports import CloudError, TaskSource
from agent.retry import retrying
from contract.clock import Clock
from contract.errors import StorageFullError
from contract.link import Ack, Event, ReportRequest
from contract.task import TaskStatus

COALESCE_S: Final = 0.02  # a moment for company; well below the 50 ms the cloud may be behind
RETRY_MOST_S: Final = 30.0
STORAGE_WAIT_S: Final = 1.0
_REFUSED_FOR_GOOD: Final = frozenset({400, 409, 413, 422})

log: Any = structlog.get_logger(__name__)


class Reporter:
    """One request at a time, oldest events first, so that the cloud sees each task's steps in order."""

    def __init__(
        self,
        journal: Journal,
        source: TaskSource,
        policy: Policy,
        clock: Clock,
        *,
        on_pending: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._source = source
        self._policy = policy
        self._clock = clock
        self._on_pending = on_pending
        self._first_seen_mono: dict[int, float] = {}  # by number of the event

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            self._journal.outbox_grew.clear()
            try:
                if await self.flush():
                    continue
            except StorageFullError:
                await self._clock.sleep(STORAGE_WAIT_S)
                continue
            await self._journal.outbox_grew.wait()
            await self._clock.sleep(COALESCE_S)

    async def flush(self) -> bool:
        """Report one batch; whether there was any. Waits out an absent cloud. Raises StorageFullError."""
        events = await self._journal.outbox(self._policy.report_events, self._policy.report_bytes)
        if not events:
            return False
        acks = await self._report(events)
        await self._journal.acknowledge(acks)
        for ack in acks:
            self._first_seen_mono.pop(ack.seq, None)
        return True

    async def _report(self, events: tuple[Event, ...]) -> list[StepAck]:
        """Bring them over. Gives what needs to be said no more."""
        given_up = [event for event in events if self._too_old(event)]
        if given_up:
            return [_done(event) for event in given_up]
        try:
            acks: tuple[Ack, ...] = await retrying(
                self._clock, what="report", most_s=RETRY_MOST_S, denied_too=True
            )(self._ask, events)
        except CloudError as error:
            if error.status not in _REFUSED_FOR_GOOD:
                log.error("report.failed", error=str(error)[:300], status=error.status)
                await self._clock.sleep(RETRY_MOST_S)
                return []
            if len(events) == 1:
                # One event the cloud will never take must not hold up all the others.
                log.error(
                    "report.refused",
                    task=events[0].task_id,
                    seq=events[0].seq,
                    error=str(error)[:300],
                )
                return [_done(events[0])]
            return [ack for event in events for ack in await self._report((event,))]
        return self._read(events, acks)

    async def _ask(self, events: tuple[Event, ...]) -> tuple[Ack, ...]:
        request = ReportRequest(journal_id=self._journal.journal_id, events=events)
        acks = (await self._source.report(request)).acks
        if not acks:
            raise CloudError("the cloud acknowledged none of the reported events", retry=True)
        return acks

    def _read(self, events: tuple[Event, ...], acks: tuple[Ack, ...]) -> list[StepAck]:
        sent = {event.seq: event for event in events}
        done: list[StepAck] = []
        for ack in acks:
            event = sent.get(ack.seq)
            if event is None or event.task_id != ack.task_id:
                log.warning("report.odd_ack", task=ack.task_id, seq=ack.seq)
                continue
            if ack.state == "conflict":
                log.error("report.conflict", task=ack.task_id, seq=ack.seq, state=event.state)
            elif ack.state in ("late", "unknown_task"):
                log.warning("report.not_counted", task=ack.task_id, seq=ack.seq, why=ack.state)
            elif event.state == TaskStatus.PENDING:
                self._on_pending(event.task_id)
            done.append(_done(event))
        return done

    def _too_old(self, event: Event) -> bool:
        """How long this process has offered it in vain. The clock on the wall, by which it is dated, may be anything:
        on a host without a battery it begins in 1970 and is set once there is a network.
        """
        now = self._clock.mono()
        age_s = now - self._first_seen_mono.setdefault(event.seq, now)
        if age_s <= self._policy.report_keep_s:
            return False
        log.error("report.given_up", task=event.task_id, seq=event.seq, age_s=round(age_s))
        return True


def _done(event: Event) -> StepAck:
    return StepAck(seq=event.seq, epoch=event.epoch)
