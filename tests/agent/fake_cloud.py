"""A cloud in memory: a queue, a lease, and an exact memory of what was reported to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.ports import CloudError
from contract.clock import Clock
from contract.link import (
    LEASE_S,
    Ack,
    ClaimedTask,
    ClaimReply,
    ClaimRequest,
    Event,
    MinerRef,
    ReportReply,
    ReportRequest,
)
from contract.task import SPECS, TERMINAL, TaskName
from drivers.base import LogFile
from tests.virtual_time import loop_clock
from tests.waiting import until

ENDS = {status.value for status in TERMINAL}
NO_CLOUD = CloudError("no route to the cloud", retry=True)


class FakeCloud:
    """Implements `agent.ports.TaskSource`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or loop_clock()
        self.queued: list[ClaimedTask] = []
        self.given: dict[str, ClaimedTask] = {}
        self.cancel: set[str] = set()
        self.cancels_ended = False  # it also tells of those whose end it was told
        self.events: list[Event] = []
        self.claims: list[ClaimRequest] = []
        self.files: dict[str, tuple[LogFile, bytes]] = {}
        self.reports = 0
        self.lease_s = LEASE_S
        self.away: CloudError | None = None
        self.report_error: Callable[[ReportRequest], CloudError | None] = lambda _: None
        self.ack_state: Callable[[Event], str] = lambda _: "ok"
        self.upload_errors: list[CloudError] = []
        self.asks: list[str] = []  # tasks whose outcome is asked for, once
        self.heard_seq: int | None = None
        self._seen: dict[tuple[str, int, int], Event] = {}
        self._numbers = itertools.count(1)
        self._changed = asyncio.Event()

    def create(
        self,
        name: str = TaskName.LIGHT,
        params: dict[str, Any] | None = None,
        miner: MinerRef | None = None,
        *,
        task_id: str | None = None,
        epoch: int = 1,
        queue_ttl_s: float = 86_400.0,
        limit_s: float | None = None,
    ) -> str:
        """Queue a task; gives its id."""
        given = task_id or f"task-{next(self._numbers)}"
        self.queued.append(
            ClaimedTask(
                task_id=given,
                batch_id="batch-1",
                epoch=epoch,
                name=name,
                params=params if params is not None else {"action": "on"},
                miner=miner,
                queue_ttl_s=queue_ttl_s,
                limit_s=SPECS[TaskName(name)].limit_s if limit_s is None else limit_s,
            )
        )
        self.poke()
        return given

    def poke(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def of(self, task_id: str) -> list[Event]:
        return [event for event in self.events if event.task_id == task_id]

    def end(self, task_id: str) -> Event | None:
        return next((event for event in self.of(task_id) if event.state in ENDS), None)

    async def ended(self, task_id: str, *, within_s: float = 10.0) -> Event:
        await until(lambda: self.end(task_id) is not None, within_s=within_s)
        event = self.end(task_id)
        assert event is not None
        return event

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        self.claims.append(request)
        if self.away is not None:
            await asyncio.sleep(0)
            raise self.away
        held = {(each.task_id, each.epoch) for each in request.open}
        lost = [
            task
            for key, task in self.given.items()
            if (key, task.epoch) not in held and self.end(key) is None
        ]
        if not lost and not (self.queued and request.room) and not self.cancel and not self.asks:
            waits = {
                asyncio.ensure_future(self._changed.wait()),
                asyncio.ensure_future(self.clock.sleep(request.wait_s)),
            }
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
        if self.away is not None:
            raise self.away
        if self.cancel:
            # It tells of them with every answer, at once: without a pause the two would spin.
            await self.clock.sleep(0.01)
        fresh = self.queued[: request.room]
        self.queued = self.queued[request.room :]
        self.given.update({task.task_id: task for task in fresh})
        open_cancels = tuple(
            each for each in self.cancel if self.cancels_ended or self.end(each) is None
        )
        asked, self.asks = tuple(self.asks), []
        return ClaimReply(
            tasks=(*lost, *fresh),
            cancel=open_cancels,
            asked=asked,
            heard_seq=self.heard_seq,
            lease_s=self.lease_s,
        )

    async def report(self, request: ReportRequest) -> ReportReply:
        self.reports += 1
        if self.away is not None:
            await asyncio.sleep(0)
            raise self.away
        error = self.report_error(request)
        if error is not None:
            raise error
        acks = []
        for event in request.events:
            key = (event.task_id, event.epoch, event.seq)
            if key not in self._seen:
                state = self.ack_state(event)
                self._seen[key] = event
                self.events.append(event)
            else:
                before = self._seen[key]
                said = (event.state, event.result, event.begin_id)
                is_same = said == (before.state, before.result, before.begin_id)
                state = "duplicate" if is_same else "conflict"
            acks.append(Ack(task_id=event.task_id, epoch=event.epoch, seq=event.seq, state=state))
        return ReportReply(acks=tuple(acks))

    async def upload(self, task_id: str, file: LogFile) -> None:
        if self.upload_errors:
            raise self.upload_errors.pop()
        self.files[task_id] = (file, await asyncio.to_thread(Path(file.path).read_bytes))


def code(event: Event) -> str | None:
    assert event.result is not None
    error = event.result.get("error")
    return None if error is None else str(error["code"])
