"""Two processes with one token and one journal, as a copied disk makes them: only one is given tasks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.link.client import CloudLink
from agent.ports import CloudError
from cloud.link.sessions import Session, Standing
from contract.link import ClaimedTask, ClaimReply, ClaimRequest, OpenTask
from contract.task import TaskName
from tests.cloud.conftest import AgentClient, Cloud


class Process:
    """An agent's process with the state its disk was copied with."""

    def __init__(self, cloud: Cloud, agent: AgentClient) -> None:
        self.link = CloudLink(cloud.base, agent.token)
        self.held: list[ClaimedTask] = []

    async def claim(self) -> ClaimReply:
        held = tuple(OpenTask(task_id=task.task_id, epoch=task.epoch) for task in self.held)
        reply = await self.link.claim(
            ClaimRequest(journal_id="copied", last_seq=7, open=held, wait_s=0.0)
        )
        self.held += reply.tasks
        return reply


@asynccontextmanager
async def processes(cloud: Cloud, agent: AgentClient, count: int) -> AsyncIterator[list[Process]]:
    made = [Process(cloud, agent) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            await each.link.close()


async def test_of_two_processes_with_one_journal_only_one_is_ever_given_a_task(cloud: Cloud):
    agent = await cloud.agent()
    async with processes(cloud, agent, 2) as (one, copy):
        await one.claim()
        await cloud.queue(TaskName.REBOOT, agent.agent_id, count=3)
        refused: list[tuple[bool, int | None, bool]] = []
        for _ in range(20):
            for each in (one, copy):
                try:
                    await each.claim()
                except CloudError as error:
                    refused.append((each is copy, error.status, error.retry))
            cloud.clock.move(2.0)
        assert refused == [(True, 409, False)] * 19
        assert len(one.held) == 3
        assert copy.held == []
        with pytest.raises(CloudError, match=r"copied.*enroll"):
            await copy.claim()


async def test_a_process_that_starts_anew_is_served_at_once_and_given_what_was_lost(cloud: Cloud):
    agent = await cloud.agent()
    async with processes(cloud, agent, 2) as (before, after):
        await before.claim()
        (task_id,) = await cloud.queue(TaskName.REBOOT, agent.agent_id)
        assert [task.task_id for task in (await before.claim()).tasks] == [task_id]
        await before.link.close()  # as the kernel does for a process that is killed
        reply = await after.claim()
        assert [task.task_id for task in reply.tasks] == [task_id]
        assert reply.lease_s > 0


async def test_the_copy_takes_over_once_the_other_is_gone_for_a_lease(cloud: Cloud):
    agent = await cloud.agent()
    async with processes(cloud, agent, 2) as (one, copy):
        await one.claim()
        assert (await copy.claim()).lease_s == 0.0
        await one.claim()
        await one.link.close()
        cloud.clock.move(60)
        with pytest.raises(CloudError):
            await copy.claim()
        cloud.clock.move(31)
        assert (await copy.claim()).lease_s > 0
        with pytest.raises(CloudError):  # the other comes back
            await one.claim()


class Line:
    closing = False

    def is_closing(self) -> bool:
        return self.closing


def test_a_host_that_lost_its_power_is_waited_for_no_longer_than_a_poll(cloud: Cloud):
    session = Session("a", 0.0, cloud.clock.now())

    def claim(run_id: str, mono: float, line: Line) -> Standing:
        return session.admit(run_id, line, mono, patience_s=20.0, lease_s=90.0)

    half_open = Line()
    assert claim("one", 0.0, half_open) is Standing.SERVED
    assert claim("two", 10.0, Line()) is Standing.DOUBTED
    assert claim("two", 20.5, Line()) is Standing.SERVED
    assert claim("one", 21.0, half_open) is Standing.REFUSED
    assert claim("two", 22.0, Line()) is Standing.SERVED


def test_restarts_without_end_are_not_remembered_without_end(cloud: Cloud):
    session = Session("a", 0.0, cloud.clock.now())
    for n in range(1000):
        line = Line()
        standing = session.admit(f"run {n}", line, float(n), patience_s=20.0, lease_s=90.0)
        assert standing is Standing.SERVED
        line.closing = True
    assert len(session.rivals) <= 100
