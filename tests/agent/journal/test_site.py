"""Tasks that arose on site: the cloud is told what they are, and may not want to hear it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from agent.journal import Journal
from agent.journal.states import State
from contract.clock import to_text
from contract.link import ON_SITE, Arose, SiteMiner
from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.journals import AT, PLAN, accept, acknowledge, done, found, opened, outbox, record
from tests.waiting import until


async def test_each_event_of_a_task_of_the_site_says_what_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        mine = record("t1", origin="rigmonitor", epoch=ON_SITE)
        await accept(journal, mine)
        await journal.begin("t1", PLAN, AT)
        await journal.progress("t1", AT, [])
        await journal.settle(mine, done(), AT)
        events = await outbox(journal)
        assert [each.state for each in events] == ["queuing", "pending", "pending", "succeed"]
        told = Arose(
            name=TaskName.REBOOT,
            params={"force": True},
            miner=SiteMiner(mac="02:00:00:00:00:01"),
            origin="rigmonitor",
            accepted_at=to_text(AT),
        )
        assert {each.epoch for each in events} == {ON_SITE}
        assert [each.arose for each in events] == [told] * 4
        assert "rigmonitor" in events[0].logs[0].message
        await acknowledge(journal)
        assert (await found(journal, "t1")).state is State.REPORTED


async def test_a_task_of_the_site_is_told_as_open_under_its_own_epoch(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1", origin="onsite", epoch=ON_SITE), record("t2"))
        held = {each.task_id: each.epoch for each in await journal.open_tasks()}
        assert held == {"t1": ON_SITE, "t2": 1}
        assert [each.arose is None for each in await outbox(journal)] == [False, True]


async def test_what_is_told_of_a_task_of_the_site_has_no_password(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        pool = {"url": "tcp://u:hunter2@p:1", "user": "w", "password": "hunter2"}
        mine = record(
            "t1", origin="onsite", epoch=ON_SITE, name=TaskName.POOLS, params={"pools": [pool]}
        )
        await accept(journal, mine)
        await journal.begin("t1", None, AT)
        assert (await found(journal, "t1")).params == mine.params
        for event in await outbox(journal):
            assert event.arose is not None
            shown = {"url": "tcp://u:***@p:1", "user": "w", "password": "***"}
            assert event.arose.params == {"pools": [shown]}


async def test_one_another_version_wrote_does_not_hold_up_the_outbox(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await accept(journal, record("t1", origin="onsite", epoch=ON_SITE), record("t2"))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        db.execute("UPDATE tasks SET name = 'miner.heart.stop' WHERE task_id = 't1'")
        db.commit()
    async with opened(tmp_path) as journal:
        assert [(each.task_id, each.arose) for each in await outbox(journal)] == [
            ("t1", None),
            ("t2", None),
        ]


async def test_without_a_cloud_only_the_newest_of_the_site_wait_to_be_told(tmp_path: Path) -> None:
    clock = SettableClock()
    async with opened(tmp_path, clock, keep_untold=10) as journal:
        await accept(journal, record("cloud"))
        await journal.settle(record("cloud"), done(), AT)
        for number in range(20):
            mine = record(f"t{number}", origin="onsite", epoch=ON_SITE)
            await accept(journal, mine)
            await journal.settle(mine, done(), AT)
        await accept(journal, record("open", origin="onsite", epoch=ON_SITE))
        await clock.advance(60.0)
        await until_idle(journal, lambda depth: depth <= 10)
        events = await outbox(journal)
        assert {"cloud", "open", "t19"} <= {each.task_id for each in events}
        first = await found(journal, "t0")
        assert (first.state, first.status) == (State.REPORTED, "succeed")
        assert first.untold is not None
        assert (await found(journal, "t19")).state is State.SETTLED
        assert (await found(journal, "cloud")).state is State.SETTLED


async def until_idle(journal: Journal, holds: Callable[[int], bool]) -> None:
    async def idle() -> bool:
        return holds(await journal.depth())

    await until(idle)
