from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.ports import CloudError
from contract.link import Ack, Event, ReportReply, ReportRequest
from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, FakeCloud
from tests.agent.farm import FakeFarm
from tests.agent.journals import found
from tests.agent.policies import policy_with
from tests.agent.stage import Site, site
from tests.virtual_time import VirtualClock
from tests.waiting import until


async def test_an_outcome_waits_for_the_cloud_and_is_told_once(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.farm.miners[0].gate["verify"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={}, limit_s=10_000.0)
        await clock.advance(1.0)
        at.cloud.away = NO_CLOUD
        at.farm.miners[0].gate["verify"].set()
        await clock.advance(3600.0)
        assert at.cloud.end(task) is None
        tries = at.cloud.reports
        assert 3600 / 30 / 2 < tries < 1000
        at.cloud.away = None
        await clock.advance(40.0)
        assert [each.state for each in at.cloud.of(task)] == ["queuing", "pending", "succeed"]
        assert await asyncio.wait_for(at.journal.depth(), 5) == 0
        at.path.stop()
        await clock.advance(10.0)


class Lossy(FakeCloud):
    """Takes every report; its first two answers do not arrive."""

    lost = 0

    async def report(self, request: ReportRequest) -> ReportReply:
        reply = await super().report(request)
        if self.lost < 2:
            self.lost += 1
            raise NO_CLOUD
        return reply


class Elsewhere(FakeCloud):
    """Acknowledges, again and again, what it was not told."""

    async def report(self, request: ReportRequest) -> ReportReply:
        self.reports += 1
        await asyncio.sleep(0)
        return ReportReply(acks=(Ack(task_id="another", epoch=1, seq=10**6, state="ok"),))


async def test_a_cloud_that_acknowledges_something_else_is_asked_seldom(tmp_path: Path) -> None:
    cloud = Elsewhere()
    async with site(tmp_path, cloud=cloud) as at:
        at.task()
        await asyncio.sleep(60.0)
        assert 3 < cloud.reports < 60


async def test_an_answer_that_was_lost_costs_only_a_duplicate(tmp_path: Path) -> None:
    cloud = Lossy()
    async with site(tmp_path, cloud=cloud) as at:
        task = at.task()
        await until(lambda: not at.path.dispatcher.tasks and cloud.lost == 2, within_s=20)
        await at.cloud.ended(task)
        assert [each.state for each in at.cloud.of(task)] == ["queuing", "pending", "succeed"]


async def test_events_that_come_together_travel_together(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        tasks = [at.task(number % 3) for number in range(60)]
        for task in tasks:
            await at.cloud.ended(task)
        assert len(at.cloud.events) >= 120
        assert at.cloud.reports < len(at.cloud.events) / 2


async def test_late_and_conflicting_reports_end_the_telling(tmp_path: Path) -> None:
    def answering(state: str) -> Callable[[Event], str]:
        return lambda _: state

    async with site(tmp_path) as at:
        for number, state in enumerate(("late", "conflict", "unknown_task")):
            at.cloud.ack_state = answering(state)
            task = at.task(number)
            await at.cloud.ended(task)
            await until(lambda: not at.cloud.claims[-1].open)
        assert await at.journal.depth() == 0


async def test_one_report_the_cloud_refuses_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        poison = at.cloud.create(miner=at.farm.miners[0].ref, task_id="poison")

        def refuse(request: ReportRequest) -> CloudError | None:
            if any(each.task_id == poison for each in request.events):
                return CloudError("bad event", retry=False, status=400)
            return None

        at.cloud.report_error = refuse
        others = [at.task(1), at.task(2)]
        for task in others:
            assert (await at.cloud.ended(task)).state == "succeed"
        await until(lambda: not at.path.dispatcher.tasks)
        await until(lambda: [each.task_id for each in at.cloud.claims[-1].open] == [poison])
        assert at.cloud.of(poison) == []


REFUSED = CloudError("400: state is not known", retry=False, status=400)


async def test_an_outcome_the_cloud_refuses_is_offered_ever_more_seldom_until_it_takes_it(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.report_error = lambda _: REFUSED
        task = at.task()
        await clock.advance(10.0)
        tries = at.cloud.reports
        assert len(at.path.notices) == 1
        assert task in at.path.notices[0]
        assert "state is not known" in at.path.notices[0]
        await clock.advance(40.0)
        assert at.cloud.reports == tries  # not at once
        await clock.advance(2000.0)
        assert tries + 3 <= at.cloud.reports <= tries + 8
        assert at.farm.miners[0].ledger == ["Light"]
        # The steps on its way are told no more.
        assert await asyncio.wait_for(at.journal.depth(), 5) == 1
        at.cloud.report_error = lambda _: None
        await clock.advance(2000.0)
        assert [each.state for each in at.cloud.of(task)] == ["succeed"]
        assert not at.path.notices
        at.path.stop()
        await clock.advance(10.0)


async def test_what_the_cloud_refuses_is_found_by_halves_and_all_else_is_told(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, farm=FakeFarm(40)) as at:
        at.cloud.report_error = lambda _: NO_CLOUD
        tasks = [at.task(number) for number in range(40)]
        await until(lambda: sum(len(each.ledger) for each in at.farm.miners) == 40)
        await until(lambda: not at.path.dispatcher.tasks)
        poison = {tasks[3], tasks[30]}
        seen = at.cloud.reports

        def refuse(request: ReportRequest) -> CloudError | None:
            return REFUSED if any(each.task_id in poison for each in request.events) else None

        at.cloud.report_error = refuse
        for task in set(tasks) - poison:
            await at.cloud.ended(task, within_s=40.0)
        assert at.cloud.reports - seen < 80  # of 120 events
        assert await at.journal.depth() == 2
        assert "2 tasks" in at.path.notices[0]


async def test_a_refused_outcome_that_is_given_up_stands_in_the_journal_and_is_said(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    policy = policy_with(results_kept_s=600.0, stop_within_s=0.1)
    at = Site(tmp_path, clock=clock, policy=policy)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    at.cloud.report_error = lambda _: REFUSED
    task = at.task()
    await clock.advance(300.0)
    at.cloud.given.clear()  # the cloud does not ask again
    await clock.advance(900.0)
    ended = await asyncio.wait_for(found(at.journal, task), 5)
    assert (ended.state, ended.status) == ("reported", "succeed")
    assert ended.untold is not None and "in time" in ended.untold
    assert ended.result is not None and ended.result["outcome"] == "done"
    assert ["never taken" in each for each in at.path.notices] == [True]
    await at.die()
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm, clock=clock, policy=policy)
    after.start()
    await asyncio.wait_for(after.path.ready(), 10.0)
    await clock.advance(1.0)
    assert ["never taken" in each for each in after.path.notices] == [True]
    after.path.stop()
    await clock.advance(10.0)


@pytest.mark.parametrize("by_ack", [True, False])
async def test_a_cloud_that_holds_another_outcome_is_told_once_and_the_operator_too(
    tmp_path: Path, by_ack: bool
) -> None:
    async with site(tmp_path) as at:
        if by_ack:
            at.cloud.ack_state = lambda each: "conflict" if each.result else "ok"
        else:
            conflict = CloudError("409: it ended otherwise", retry=False, status=409)
            at.cloud.report_error = lambda request: (
                conflict if any(each.result for each in request.events) else None
            )
        task = at.task()
        await until(lambda: bool(at.path.notices))
        ended = await found(at.journal, task)
        assert ended.untold is not None
        assert "another outcome" in ended.untold
        assert "1 task " in at.path.notices[0]
        at.cloud.given.clear()
        await until(lambda: not at.cloud.claims[-1].open)


async def test_a_refused_outcome_is_offered_again_by_the_next_run(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    at.cloud.report_error = lambda _: REFUSED
    task = at.task()
    await until(lambda: bool(at.path.notices))
    await at.die()
    at.cloud.report_error = lambda _: None
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm)
    after.start()
    assert (await at.cloud.ended(task)).state == "succeed"
    assert not after.path.notices
    await after.stop()


async def test_a_revoked_token_keeps_outcomes_until_it_is_repaired(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.report_error = lambda _: CloudError("revoked", retry=False, status=401)
        task = at.task()
        await clock.advance(3600.0)
        assert at.cloud.of(task) == []
        at.cloud.report_error = lambda _: None
        await clock.advance(60.0)
        assert at.cloud.end(task) is not None
        at.path.stop()
        await clock.advance(10.0)


async def test_an_outcome_nobody_took_for_a_week_is_given_up(tmp_path: Path) -> None:
    clock = SettableClock()
    policy = policy_with(results_kept_s=3600.0, stop_within_s=0.1)
    async with site(tmp_path, clock=clock, policy=policy) as at:
        refusal = CloudError("what is this", retry=False, status=404)
        at.cloud.report_error = lambda _: refusal
        task = at.task()
        await clock.advance(3500.0)
        assert await asyncio.wait_for(at.journal.depth(), 5) == 3
        at.cloud.given.clear()
        await clock.advance(200.0)
        assert await asyncio.wait_for(at.journal.depth(), 5) == 0
        ended = await asyncio.wait_for(found(at.journal, task), 5)
        assert ended.state == "reported"
        at.path.stop()
        await clock.advance(10.0)


@pytest.mark.parametrize("step", [timedelta(days=-20_000), timedelta(days=8)])
async def test_no_step_of_the_wall_clock_throws_an_outcome_away(
    tmp_path: Path, step: timedelta
) -> None:
    """A host without a battery dates an outcome 1970, or a week before its clock is set."""

    class Wall(VirtualClock):
        off = timedelta(0)

        def now(self) -> datetime:
            return super().now() + self.off

    clock = Wall()
    if step < timedelta(0):
        clock.off = step
    at = Site(tmp_path, clock=clock)
    at.start()
    at.cloud.report_error = lambda _: NO_CLOUD
    task = at.task()
    await until(lambda: bool(at.farm.miners[0].ledger) and not at.path.dispatcher.tasks)
    await at.die()
    at.cloud.given.clear()  # it does not ask again
    clock.off += abs(step)
    at.cloud.report_error = lambda _: None
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm, clock=clock)
    after.start()
    assert (await at.cloud.ended(task)).state == "succeed"
    await after.stop()


async def test_outcomes_left_by_the_last_run_are_reported_by_the_next(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    at.cloud.report_error = lambda _: NO_CLOUD
    task = at.task()
    await until(lambda: bool(at.farm.miners[0].ledger) and not at.path.dispatcher.tasks)
    await at.die()
    at.cloud.report_error = lambda _: None
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm)
    after.start()
    assert (await at.cloud.ended(task)).state == "succeed"
    await after.stop()
    assert at.farm.miners[0].ledger == ["Light"]
