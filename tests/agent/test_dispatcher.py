"""Order, limits, cancellation and recovery of tasks."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.policy import Policy
from contract.clock import SystemClock
from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    RefusedError,
    UnreachableError,
    UnsupportedModeError,
)
from contract.task import SPECS, TaskName
from tests.agent.clock import HandClock, until
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.farm import LOST, FakeFarm
from tests.agent.stage import Site, site


async def test_a_light_task_ends_with_proof(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        task = at.task()
        event = await at.cloud.ended(task)
        assert [each.state for each in at.cloud.of(task)] == ["queuing", "pending", "succeed"]
        assert event.result is not None
        assert event.result["outcome"] == "done"
        assert event.result["verified"] is True
        assert event.result["evidence"]["before"]["light"] is False
        assert event.result["evidence"]["after"]["light"] is True
        assert at.farm.miners[0].ledger == ["Light"]
        assert at.farm.asked_age_s == [60.0]


async def test_nothing_is_sent_when_the_miner_already_is_as_wished(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].state["light"] = True
        task = at.task()
        event = await at.cloud.ended(task)
        assert event.state == "succeed"
        assert event.result is not None and event.result["verified"] is True
        assert at.farm.miners[0].ledger == []
        assert [each.state for each in at.cloud.of(task)] == ["queuing", "pending", "succeed"]


async def test_the_intent_is_on_disk_before_the_first_byte(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["write"] = asyncio.Event()
        task = at.task(name=TaskName.REBOOT, params={})
        await until(lambda: miner.at_once == 1)
        record = await at.journal.find(task)
        assert record is not None
        assert record.state == "intent"
        assert record.intent_at is not None
        assert record.plan is not None and record.plan.before["boot"] == 1
        assert record.notes["intent_at"]
        miner.gate["write"].set()
        assert (await at.cloud.ended(task)).state == "succeed"


async def test_one_miner_has_one_task_at_a_time_in_order(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        tasks = [
            at.task(params={"action": "on" if number % 2 == 0 else "off"}) for number in range(10)
        ]
        for task in tasks:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert miner.most_at_once == 1
        assert miner.trace == ["plan", "apply", "verify"] * 10
        assert [event.task_id for event in at.cloud.events if event.state == "succeed"] == tasks


async def test_a_miner_that_does_not_answer_delays_no_other(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        stuck = at.task(0)
        behind = at.task(0)
        others = [at.task(1), at.task(2)]
        for task in others:
            assert (await at.cloud.ended(task)).state == "succeed"
        assert at.cloud.end(stuck) is None
        assert at.cloud.end(behind) is None
        at.farm.miners[0].gate["plan"].set()
        await at.cloud.ended(behind)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnreachableError("silent"), "unreachable"),
        (AuthFailedError("wrong password"), "auth_failed"),
        (MalformedError("not JSON"), "malformed_reply"),
    ],
)
async def test_what_fails_before_anything_is_sent_is_not_done(
    tmp_path: Path, error: Exception, expected: str
) -> None:
    policy = Policy(restart_wait_s=0.1, stop_grace_s=1.0)
    async with site(tmp_path, policy=policy) as at:
        at.farm.miners[0].plan_error = error
        event = await at.cloud.ended(at.task())
        assert event.state == "failed"
        assert event.result is not None and event.result["outcome"] == "not_done"
        assert code(event) == expected
        assert at.farm.miners[0].ledger == []


async def test_a_lost_answer_is_settled_by_looking_again(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].apply_error = LOST
        event = await at.cloud.ended(at.task())
        assert event.state == "succeed"
        at.farm.miners[1].apply_error = LOST
        at.farm.miners[1].ignores = True
        event = await at.cloud.ended(at.task(1))
        assert (event.state, code(event)) == ("failed", "not_verified")
        assert event.result is not None and event.result["outcome"] == "not_done"


async def test_a_failed_connect_after_a_write_is_no_proof_of_anything(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.apply_error = UnreachableError("the second connect failed")
        assert (await at.cloud.ended(at.task())).state == "succeed"


async def test_a_miner_that_says_ok_and_does_nothing_is_found_out(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].ignores = True
        event = await at.cloud.ended(at.task())
        assert (event.state, code(event)) == ("failed", "not_verified")


async def test_a_refusal_proves_that_nothing_was_done(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.ignores, miner.apply_error = True, BusyError("another change runs")
        event = await at.cloud.ended(at.task())
        assert (event.state, code(event)) == ("failed", "busy")
        assert event.result is not None and event.result["outcome"] == "not_done"
        assert miner.trace == ["plan", "apply"]


async def test_a_refusal_of_a_later_write_is_not_proof_for_the_first(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.writes_needed = 2

        class SecondRefused(RefusedError):
            pass

        sent = 0
        change = miner._change

        def count(wish: object) -> None:
            nonlocal sent
            sent += 1
            change(wish)  # type: ignore[arg-type]
            miner.apply_error = SecondRefused("no") if sent == 2 else None

        miner._change = count  # type: ignore[method-assign]
        event = await at.cloud.ended(at.task())
        assert event.state == "succeed"
        assert miner.trace == ["plan", "apply", "verify"]


async def test_a_verdict_of_looking_again_names_the_failure(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].verify_error = UnsupportedModeError("it has no such mode")
        event = await at.cloud.ended(at.task(name=TaskName.POWER_MODE, params={"mode": "low"}))
        assert code(event) == "unsupported_mode"
        assert event.result is not None and event.result["outcome"] == "not_done"


async def test_a_look_that_fails_after_a_write_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].verify_error = AuthFailedError("the password was changed meanwhile")
        event = await at.cloud.ended(at.task())
        assert event.state == "failed"
        assert event.result is not None and event.result["outcome"] == "unknown"
        assert code(event) == "not_verified"


async def test_a_mistake_of_ours_is_internal_and_never_retried(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.plan_error = ZeroDivisionError("oops")
        event = await at.cloud.ended(at.task())
        assert (code(event), miner.trace) == ("internal", ["plan"])
        assert event.result is not None and event.result["outcome"] == "not_done"
        other = at.farm.miners[1]
        other.apply_error = ZeroDivisionError("oops")
        event = await at.cloud.ended(at.task(1))
        assert (code(event), other.ledger) == ("internal", ["Light"])
        assert event.result is not None and event.result["outcome"] == "unknown"


# --- limits ---


async def test_a_slot_frozen_before_anything_was_sent_times_out(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        event = await at.cloud.ended(at.task(limit_s=0.3))
        assert (event.state, code(event)) == ("timed_out", "expired")
        at.farm.miners[0].gate.clear()
        assert (await at.cloud.ended(at.task())).state == "succeed"


async def test_a_slot_frozen_after_a_write_is_unknown(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["verify"] = asyncio.Event()
        event = await at.cloud.ended(at.task(limit_s=0.3))
        assert event.state == "failed"
        assert event.result is not None and event.result["outcome"] == "unknown"


async def test_a_slot_that_will_not_die_is_left_behind_and_may_send_nothing_more(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.stubborn = True
        gate = miner.gate["connect"] = asyncio.Event()
        task = at.task(limit_s=0.3)
        event = await at.cloud.ended(task)
        assert (event.state, code(event)) == ("timed_out", "expired")
        assert at.path.slots_alive
        miner.gate.clear()
        second = at.task(params={"action": "off"})
        assert (await at.cloud.ended(second)).state == "succeed"
        gate.set()  # the frozen one wakes at last
        await until(lambda: not at.path.dispatcher._left_behind)
        assert miner.ledger == []
        assert at.cloud.end(task) is event


async def test_the_limit_is_counted_from_intent(tmp_path: Path) -> None:
    clock = HandClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        task = at.task(limit_s=100.0)
        await clock.advance(99.0)
        assert at.cloud.end(task) is None
        await clock.advance(3.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "failed"
        at.path.stop()
        await clock.advance(10.0)


async def test_a_local_ceiling_cuts_the_limit_of_a_task(tmp_path: Path) -> None:
    policy = Policy(limits_s={TaskName.LIGHT: 0.3})
    async with site(tmp_path, policy=policy) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        assert (await at.cloud.ended(at.task(limit_s=3600.0))).state == "timed_out"


async def test_a_task_that_nobody_could_begin_expires(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        first = at.task()
        task = at.task(queue_ttl_s=0.3)
        event = await at.cloud.ended(task)
        assert (event.state, code(event)) == ("timed_out", "expired")
        assert event.result is not None and event.result["outcome"] == "not_done"
        at.farm.miners[0].gate["plan"].set()
        await at.cloud.ended(first)


# --- cancel ---


async def test_a_waiting_task_is_cancelled_at_once(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        first, second = at.task(), at.task()
        await until(lambda: at.farm.miners[0].trace == ["plan"])
        at.cloud.cancel.add(second)
        at.cloud.poke()
        event = await at.cloud.ended(second)
        assert (event.state, code(event)) == ("cancelled", "cancelled")
        at.farm.miners[0].gate["plan"].set()
        assert (await at.cloud.ended(first)).state == "succeed"


async def test_a_cancel_before_the_first_byte_keeps_it_from_being_sent(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["connect"] = asyncio.Event()
        task = at.task()
        await until(lambda: "apply" in miner.trace)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await until(lambda: at.path.dispatcher._tasks[task].cancel_requested)
        miner.gate["connect"].set()
        event = await at.cloud.ended(task)
        assert event.state == "cancelled"
        assert miner.ledger == []


async def test_a_cancel_after_the_first_byte_changes_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        miner = at.farm.miners[0]
        miner.gate["verify"] = asyncio.Event()
        task = at.task()
        await until(lambda: "verify" in miner.trace)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        await until(lambda: at.path.dispatcher._tasks[task].cancel_requested)
        miner.gate["verify"].set()
        assert (await at.cloud.ended(task)).state == "succeed"


async def test_a_look_is_cancelled_where_it_stands(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.scan_gate = asyncio.Event()
        task = at.cloud.create(TaskName.SCAN, {"ip_range": "10.0.0.0/24"})
        await until(lambda: bool(at.farm.scanned))
        at.cloud.cancel.add(task)
        at.cloud.poke()
        assert (await at.cloud.ended(task)).state == "cancelled"


# --- policy and lease ---


async def test_read_only_and_maintenance_keep_hands_off(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.path.set_read_only(True)
        event = await at.cloud.ended(at.task())
        assert (code(event), at.farm.miners[0].ledger) == ("policy_refused", [])
        log = await at.cloud.ended(at.task(name=TaskName.LOG, params={}))
        assert log.state == "succeed"
        at.path.set_read_only(False)
        from msgspec.structs import replace

        resting = replace(at.farm.miners[0].ref, maintenance=True)
        event = await at.cloud.ended(at.cloud.create(miner=resting))
        assert code(event) == "policy_refused"
        allowed = at.cloud.create(params={"action": "on", "allow_maintenance": True}, miner=resting)
        assert (await at.cloud.ended(allowed)).state == "succeed"


async def test_forbidden_names_are_refused(tmp_path: Path) -> None:
    policy = Policy(forbidden=frozenset({TaskName.REBOOT}))
    async with site(tmp_path, policy=policy) as at:
        event = await at.cloud.ended(at.task(name=TaskName.REBOOT, params={}))
        assert (code(event), at.farm.miners[0].trace) == ("policy_refused", [])


async def test_a_task_waits_for_its_lease_and_nothing_is_sent_without(tmp_path: Path) -> None:
    clock = HandClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        miner.gate["connect"] = asyncio.Event()
        task = at.task()
        await clock.advance(1.0)
        assert miner.trace == ["plan", "apply"]
        at.cloud.away = NO_CLOUD
        await clock.advance(50.0)  # less than 20 s of 60 are left
        miner.gate["connect"].set()
        await clock.advance(5.0)
        assert miner.ledger == []
        assert at.cloud.end(task) is None
        at.cloud.away = None
        await clock.advance(40.0)
        assert miner.ledger == ["Light"]
        event = at.cloud.end(task)
        assert event is not None and event.state == "succeed"
        at.path.stop()
        await clock.advance(10.0)


async def test_a_task_waiting_for_its_lease_expires_and_can_be_cancelled(tmp_path: Path) -> None:
    clock = HandClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.lease_s = 10.0
        expires, cancelled = at.task(0, queue_ttl_s=30.0), at.task(1)
        await clock.advance(1.0)
        at.cloud.cancel.add(cancelled)
        await clock.advance(5.0)
        event = at.cloud.end(cancelled)
        assert event is not None and event.state == "cancelled"
        await clock.advance(40.0)
        event = at.cloud.end(expires)
        assert event is not None and (event.state, code(event)) == ("timed_out", "expired")
        assert at.farm.miners[0].trace == []
        at.path.stop()
        await clock.advance(10.0)


async def test_neither_cancel_nor_limit_cuts_the_writing_of_an_end(tmp_path: Path) -> None:
    clock = HandClock()
    async with site(tmp_path, clock=clock) as at:
        settle, writing, go_on = at.journal.settle, asyncio.Event(), asyncio.Event()

        async def slow(*given: Any, **more: Any) -> None:
            writing.set()
            await go_on.wait()
            await settle(*given, **more)

        at.journal.settle = slow  # type: ignore[method-assign]
        ref = at.farm.miners[0].ref
        here = asyncio.create_task(at.path.submit_local(TaskName.LOG, {}, ref, "act"))
        await asyncio.wait_for(writing.wait(), 10)
        (task_id,) = at.path.dispatcher._tasks
        at.path.dispatcher.cancel(task_id)
        await clock.advance(SPECS[TaskName.LOG].limit_s + 10.0)
        go_on.set()
        await clock.advance(1.0)
        assert (await asyncio.wait_for(here, 10))["status"] == "succeed"
        assert at.path.dispatcher.tasks == 0
        at.path.stop()
        await clock.advance(10.0)


# --- after a crash ---


async def crash_and_restart(before: Site, folder: Path) -> Site:
    await before.die()
    after = Site(folder, cloud=before.cloud, farm=before.farm, clock=before.clock)
    after.start()
    await asyncio.wait_for(after.path.ready(), 10.0)
    return after


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
    clock = HandClock()
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
    assert "outage_at" in (await after.journal.find(task)).notes  # type: ignore[union-attr]
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
    after = await crash_and_restart(at, tmp_path)
    event = await after.cloud.ended(task)
    await after.stop()
    assert event.state == "succeed"
    assert event.result is not None
    assert event.result["evidence"]["before"]["light"] is False
    assert event.result["evidence"]["after"]["light"] is True
    assert miner.ledger == ["Light"]
    assert miner.trace == ["plan", "apply", "verify", "plan"]


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


class Stepped(SystemClock):
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
    clock = HandClock()
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


async def test_stopping_lets_a_write_end_and_leaves_its_proof_to_the_next_start(
    tmp_path: Path,
) -> None:
    at = Site(tmp_path, policy=Policy(stop_grace_s=5.0))
    at.start()
    writing, proving = at.farm.miners[:2]
    writing.gate["write"], proving.gate["verify"] = asyncio.Event(), asyncio.Event()
    tasks = [at.task(each, name=TaskName.REBOOT, params={}) for each in (0, 1)]
    await until(lambda: writing.at_once == 1 and "verify" in proving.trace)
    stopping = asyncio.create_task(at.stop())
    await asyncio.sleep(0)
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


async def test_a_thousand_tasks_on_a_thousand_miners_all_end(tmp_path: Path) -> None:
    async with site(tmp_path, farm=FakeFarm(1000)) as at:
        tasks = [at.task(number) for number in range(1000)]
        await until(lambda: sum(e.state == "succeed" for e in at.cloud.events) == 1000, within_s=60)
        assert {event.task_id for event in at.cloud.events} == set(tasks)
        assert all(len(miner.ledger) == 1 for miner in at.farm.miners)
