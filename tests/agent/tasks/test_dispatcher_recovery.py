"""What becomes of tasks that a crash or a stop cut off."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.journals import AT, accept, found, opened, record
from tests.agent.policies import policy_with
from tests.agent.stage import Site, crash_and_restart
from tests.virtual_time import VirtualClock
from tests.waiting import until


async def test_a_one_shot_is_never_repeated_after_a_crash(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    gate = miner.gate["verify"] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={})
    await until(lambda: "verify" in miner.trace)
    miner.unreachable = 2  # it still boots when the agent is back
    after = await crash_and_restart(at, tmp_path)
    gate.set()
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "succeed"
    assert miner.ledger == ["Reboot"]
    assert miner.trace == ["plan", "apply", "verify", "verify"]


async def test_a_one_shot_that_was_not_sent_is_found_not_done(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["write"] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={})
    await until(lambda: miner.at_once == 1)
    after = await crash_and_restart(at, tmp_path)
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "failed"
    assert event.result is not None and event.result["outcome"] == "not_done"
    assert miner.ledger == []


async def test_a_one_shot_is_watched_only_as_long_as_its_limit(tmp_path: Path) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={}, limit_s=100.0)
    await clock.advance(1.0)
    assert miner.ledger == ["Reboot"]
    miner.unreachable = 10_000
    after = await crash_and_restart(at, tmp_path)
    await clock.advance(90.0)
    assert after.cloud.end(task) is None
    await clock.advance(20.0)
    event = after.cloud.end(task)
    assert event is not None and event.state == "failed"
    assert event.result is not None and event.result["outcome"] == "unknown"
    assert "outage_at" in (await found(after.journal, task)).notes
    after.path.stop()
    await clock.advance(10.0)
    await after.stop()


async def test_a_setting_is_read_again_after_a_crash_and_not_sent_twice(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    task = at.task()
    await until(lambda: "verify" in miner.trace)
    miner.gate.clear()
    after = await crash_and_restart(at, tmp_path)
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "succeed"
    assert event.result is not None
    assert event.result["evidence"]["before"]["light"] is False
    assert event.result["evidence"]["after"]["light"] is True
    assert miner.ledger == ["Light"]
    # As wished is not yet proven: the plan of before the crash is.
    assert miner.trace == ["plan", "apply", "verify", "plan", "verify"]


async def test_a_setting_that_did_not_arrive_is_sent_again_after_reading(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    gate = miner.gate["write"] = asyncio.Event()
    task = at.task()
    await until(lambda: miner.at_once == 1)
    miner.unreachable = 1  # and is not to be reached at once
    after = await crash_and_restart(at, tmp_path)
    gate.set()
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "succeed"
    assert miner.ledger == ["Light"]


async def test_a_look_is_redone_after_a_crash(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    at.farm.scan_gate = asyncio.Event()
    task = at.cloud.create(TaskName.SCAN, {"ip_range": "10.0.0.0/24"})
    await until(lambda: len(at.farm.scanned) == 1)
    after = await crash_and_restart(at, tmp_path)
    at.farm.scan_gate.set()
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "succeed"
    assert len(at.farm.scanned) == 2
    assert [each.state for each in at.cloud.of(task)].count("succeed") == 1


class Stepped(VirtualClock):
    """Somebody sets the clock on the wall."""

    off = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.off


async def test_what_was_begun_goes_first_after_a_crash_and_a_cancel_does_not_deny_it(
    tmp_path: Path,
) -> None:
    clock = Stepped()
    at = Site(tmp_path, clock=clock)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    begun = at.task(name=TaskName.REBOOT, params={"force": True})
    await until(lambda: "verify" in miner.trace)
    clock.off = timedelta(hours=-1)
    later = at.task()  # by the clock on the wall it came an hour before the other
    await until(lambda: at.path.dispatcher.tasks == 2)
    await at.die()
    miner.gate = {"plan": asyncio.Event()}
    at.cloud.cancel.add(begun)
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm, clock=clock)
    after.start()
    event = await at.cloud.ended(begun)
    assert event.state == "succeed"
    assert event.result is not None and event.result["outcome"] == "done"
    miner.gate["plan"].set()
    assert (await at.cloud.ended(later)).state == "succeed"
    await after.stop()
    assert miner.ledger == ["Reboot", "Light"]


async def test_a_setting_half_done_waits_for_the_lease_before_it_is_sent_again(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    miner = at.farm.miners[0]
    miner.ignores = True
    miner.gate["verify"] = asyncio.Event()
    task = at.task(limit_s=80.0)
    await clock.advance(1.0)
    assert miner.ledger == ["Light"]
    await at.die()
    miner.gate = {"plan": asyncio.Event()}
    miner.ignores = False
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm, clock=clock)
    after.start()
    await asyncio.wait_for(after.path.ready(), 10.0)
    await clock.advance(1.0)
    assert miner.trace.count("plan") == 2
    at.cloud.away = NO_CLOUD
    await clock.advance(50.0)  # less than 20 s of 60 are left
    miner.gate["plan"].set()
    await clock.advance(5.0)
    assert after.cloud.end(task) is None
    assert miner.ledger == ["Light"]
    at.cloud.away = None
    await clock.advance(10.0)
    event = after.cloud.end(task)
    assert event is not None and event.state == "succeed"
    assert miner.ledger == ["Light", "Light"]
    after.path.stop()
    await clock.advance(10.0)
    await after.stop()


async def test_a_cancelled_setting_a_crash_left_half_done_ends_as_what_is_there(
    tmp_path: Path,
) -> None:
    at = Site(tmp_path)
    at.start()
    arrived, ignored = at.farm.miners[:2]
    ignored.ignores = True
    tasks = []
    for number, miner in enumerate((arrived, ignored)):
        miner.gate["verify"] = asyncio.Event()
        tasks.append(at.task(number))
    await until(lambda: "verify" in arrived.trace and "verify" in ignored.trace)
    await at.die()
    for miner in (arrived, ignored):
        miner.gate = {"plan": asyncio.Event()}
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm)
    after.start()
    await until(lambda: arrived.trace.count("plan") == ignored.trace.count("plan") == 2)
    at.cloud.cancel.update(tasks)
    at.cloud.poke()
    live = after.path.dispatcher._tasks
    await until(lambda: all(live[each].cancel_requested for each in tasks))
    for miner in (arrived, ignored):
        miner.gate["plan"].set()
    assert (await at.cloud.ended(tasks[0])).state == "succeed"
    event = await at.cloud.ended(tasks[1])
    assert (event.state, code(event)) == ("failed", "cancelled")
    assert event.result is not None and event.result["outcome"] == "unknown"
    assert "before anything was sent" not in event.result["error"]["message"]
    await after.stop()
    assert arrived.ledger == ignored.ledger == ["Light"]


async def test_what_was_only_accepted_runs_after_a_crash(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    gate = miner.gate["plan"] = asyncio.Event()
    tasks = [at.task(params={"action": word}) for word in ("on", "off", "on")]
    await until(lambda: len(at.path.dispatcher._tasks) == 3)
    after = await crash_and_restart(at, tmp_path)
    gate.set()
    for task in tasks:
        assert (await after.cloud.ended(task)).state == "succeed"
    await after.stop()
    assert miner.ledger == ["Light"] * 3


async def test_what_an_older_version_took_and_this_one_refuses_is_unknown_once_it_was_begun(
    tmp_path: Path,
) -> None:
    at = Site(tmp_path)
    params = {"pools": [{"url": "javascript://x", "user": ""}]}
    lent = {"name": TaskName.POOLS, "params": params, "miner": at.farm.miners[0].ref}
    async with opened(tmp_path) as journal:
        await accept(journal, record("begun", **lent), record("waiting", **lent))
        await journal.begin("begun", None, AT)
    at.start()
    for task, outcome in (("begun", "unknown"), ("waiting", "not_done")):
        event = await at.cloud.ended(task)
        assert (event.state, code(event)) == ("failed", "bad_params")
        assert event.result is not None
        assert event.result["outcome"] == outcome
        assert "params.pools.0.url" in event.result["error"]["message"]
    await at.stop()
    assert at.farm.miners[0].trace == []


async def test_stopping_lets_a_write_end_and_leaves_its_proof_to_the_next_start(
    tmp_path: Path,
) -> None:
    at = Site(tmp_path, policy=policy_with(stop_within_s=5.0))
    at.start()
    writing, proving = at.farm.miners[:2]
    writing.gate["write"], proving.gate["verify"] = asyncio.Event(), asyncio.Event()
    tasks = [at.task(each, name=TaskName.REBOOT, params={}) for each in (0, 1)]
    await until(lambda: writing.at_once == 1 and "verify" in proving.trace)
    stopping = asyncio.create_task(at.stop())
    await until(lambda: at.path.dispatcher._stopping)
    writing.gate["write"].set()
    await stopping
    assert writing.ledger == ["Reboot"]
    proving.gate.clear()
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm)
    after.start()
    for task in tasks:
        assert (await after.cloud.ended(task)).state == "succeed"
    await after.stop()
    assert [len(each.ledger) for each in (writing, proving)] == [1, 1]
