"""A link that is cut at any point, delays what it carries and delivers it in another order: no task is lost, none is done
twice, and none ends as unknown while the agent lives.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from contract import begin
from contract.begin import Held, Shown
from contract.link import (
    Ack,
    ClaimedTask,
    ClaimReply,
    ClaimRequest,
    Event,
    ReportReply,
    ReportRequest,
)
from contract.outcome import Outcome
from contract.task import TERMINAL, TaskName, TaskStatus
from tests.agent.fake_cloud import NO_CLOUD, FakeCloud
from tests.agent.policies import policy_with
from tests.agent.stage import Site
from tests.waiting import until

AT_ONCE = 25  # seeds in one test
BAD_S = 150.0  # how long the link is bad
_ASK_EVERY_S = 10.0


class Books(FakeCloud):
    """A cloud that keeps books as the real one does, by the rules of `contract.begin`."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Held] = {}
        self.held_id: dict[str, str | None] = {}
        self.outcome: dict[str, Outcome] = {}
        self.asked_mono: dict[str, float] = {}

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        for task_id in request.not_known:
            if self.held.get(task_id) is Held.BEGUN:
                self.held[task_id], self.outcome[task_id] = Held.ENDED, Outcome.UNKNOWN
        named = {each.task_id for each in request.open}
        wanted = {key: begin.shown(held) for key, held in self.held.items() if key not in named}
        again = [self.given[key] for key, show in wanted.items() if show is Shown.AGAIN]
        now = self.clock.mono()
        asked = [
            key
            for key, show in wanted.items()
            if show is Shown.OUTCOME and now - self.asked_mono.get(key, -1e9) > _ASK_EVERY_S
        ]
        self.asked_mono.update(dict.fromkeys(asked, now))
        fresh: list[ClaimedTask] = self.queued[: request.room]
        self.queued = self.queued[request.room :]
        for task in fresh:
            self.given[task.task_id], self.held[task.task_id] = task, Held.HANDED
        if not (again or asked or fresh):
            await self.clock.sleep(min(request.wait_s, 1.0))
        return ClaimReply(tasks=(*again, *fresh), asked=tuple(asked), lease_s=self.lease_s)

    async def report(self, request: ReportRequest) -> ReportReply:
        return ReportReply(
            acks=tuple(
                Ack(task_id=each.task_id, epoch=each.epoch, seq=each.seq, state=self._take(each))
                for each in request.events
            )
        )

    def _take(self, event: Event) -> str:
        key, status = event.task_id, TaskStatus(event.state)
        held, held_id = self.held[key], self.held_id.get(key)
        if held is Held.ENDED:
            return "late"
        if status is TaskStatus.PENDING:
            if not begin.is_granted(held, held_id, event.begin_id):
                return "begun"
            self.held[key], self.held_id[key] = Held.BEGUN, event.begin_id
        elif status in TERMINAL:
            assert event.result is not None
            told = Outcome(event.result["outcome"])
            outcome = begin.ends_as(held, held_id, event.begin_id, told)
            assert outcome is not None
            self.held[key], self.outcome[key] = Held.ENDED, outcome
        return "ok"


class BadLink:
    """Between the agent and its cloud: loses requests, loses answers, and may deliver once more what it has lost."""

    def __init__(self, books: Books, seed: int) -> None:
        self._books = books
        self._random = random.Random(seed)
        self._until_mono = books.clock.mono() + BAD_S
        self._late: set[asyncio.Task[object]] = set()

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        return await self._carry(self._books.claim, request)

    async def report(self, request: ReportRequest) -> ReportReply:
        return await self._carry(self._books.report, request)

    async def _carry(self, call, request):
        if self._books.clock.mono() > self._until_mono:
            return await call(request)
        fate = self._random.random()
        await self._books.clock.sleep(self._random.choice((0.0, 0.0, 0.1, 3.0, 20.0)))
        if fate < 0.25:
            if self._random.random() < 0.5:
                self._later(call, request)
            raise NO_CLOUD
        answer = await call(request)
        await self._books.clock.sleep(self._random.choice((0.0, 0.0, 0.1, 3.0)))
        if fate < 0.5:
            raise NO_CLOUD
        return answer

    def _later(self, call, request) -> None:
        """It reaches the cloud after all, when nobody waits for the answer any more."""

        async def deliver() -> None:
            await self._books.clock.sleep(self._random.uniform(0.0, 30.0))
            await call(request)

        job = asyncio.create_task(deliver())
        self._late.add(job)
        job.add_done_callback(self._late.discard)


async def play(folder: Path, seed: int) -> None:
    """Two reboots and a light for each of two miners, over a bad link."""
    books = Books()
    at = Site(folder, cloud=books, policy=policy_with(stop_within_s=0.1))
    link = BadLink(books, seed)
    at.path.admission._source = link  # type: ignore[assignment]
    at.path._reporter._source = link  # type: ignore[assignment]
    at.start()
    tasks = {}
    for number in (0, 1):
        for name in (TaskName.REBOOT, TaskName.LIGHT, TaskName.REBOOT):
            tasks[at.task(number, name=name, params={"action": "on"} if name is TaskName.LIGHT else {})] = (
                number, name,
            )  # fmt: skip
    await until(lambda: len(books.outcome) == len(tasks), within_s=3600.0, every_s=1.0)
    await at.stop()
    assert set(books.outcome.values()) <= {Outcome.DONE, Outcome.NOT_DONE}, (seed, books.outcome)
    for number in (0, 1):
        done = [
            key
            for key, (miner, name) in tasks.items()
            if miner == number and name is TaskName.REBOOT and books.outcome[key] is Outcome.DONE
        ]
        assert at.farm.miners[number].ledger.count("Reboot") == len(done), seed


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=[pytest.mark.slow] if first >= 2 * AT_ONCE else [])
        for first in range(0, 1000, AT_ONCE)
    ],
)
async def test_whatever_the_link_does_nothing_is_lost_twice_or_falsely_unknown(
    tmp_path: Path, first: int
) -> None:
    for seed in range(first, first + AT_ONCE):
        folder = tmp_path / str(seed)
        folder.mkdir()
        await play(folder, seed)
