"""The leave to send: what policy forbids, and a lease that must have time left."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.policies import policy_with
from tests.agent.stage import site


async def test_read_only_and_maintenance_keep_hands_off(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.path.set_read_only(True)
        event = await at.cloud.ended(at.task())
        assert (code(event), at.farm.miners[0].ledger) == ("policy_refused", [])
        log = await at.cloud.ended(at.task(name=TaskName.LOG, params={}))
        assert log.state == "succeed"
        at.path.set_read_only(False)
        resting = replace(at.farm.miners[0].ref, maintenance=True)
        event = await at.cloud.ended(at.cloud.create(miner=resting))
        assert code(event) == "policy_refused"
        allowed = at.cloud.create(params={"action": "on", "allow_maintenance": True}, miner=resting)
        assert (await at.cloud.ended(allowed)).state == "succeed"


async def test_forbidden_names_are_refused(tmp_path: Path) -> None:
    policy = policy_with(forbidden_tasks=(TaskName.REBOOT,))
    async with site(tmp_path, policy=policy) as at:
        event = await at.cloud.ended(at.task(name=TaskName.REBOOT, params={}))
        assert (code(event), at.farm.miners[0].trace) == ("policy_refused", [])


async def test_a_task_waits_for_its_lease_and_nothing_is_sent_without(tmp_path: Path) -> None:
    clock = SettableClock()
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
    clock = SettableClock()
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


async def test_what_the_cloud_told_of_maintenance_holds_for_every_task_and_without_it(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        miner = at.farm.miners[0]
        assert miner.ref.mac is not None
        at.path.maintenance.follow((miner.ref.mac,))
        at.cloud.away = NO_CLOUD
        await clock.advance(3600.0)
        light = {"action": "on"}
        for origin in ("onsite", "rigmonitor"):
            asked = asyncio.ensure_future(
                at.path.submit_local(TaskName.LIGHT, light, miner.ref, origin)
            )
            await clock.advance(1.0)
            assert (await asked)["error"]["code"] == "policy_refused"
        assert miner.ledger == []
        allowed = asyncio.ensure_future(
            at.path.submit_local(
                TaskName.LIGHT, light | {"allow_maintenance": True}, miner.ref, "onsite"
            )
        )
        await clock.advance(5.0)
        assert (await allowed)["status"] == "succeed"
        at.cloud.away = None
        at.path.stop()
        await clock.advance(10.0)


async def test_a_task_that_is_handed_out_tells_of_its_miner_what_is_newer_than_the_list(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        ref = at.farm.miners[0].ref
        assert ref.mac is not None
        at.path.maintenance.follow((ref.mac,))
        assert (await at.cloud.ended(at.task())).state == "succeed"  # it has ended by now
        assert at.path.maintenance.keys == frozenset()
        await at.cloud.ended(at.cloud.create(miner=replace(ref, maintenance=True)))
        assert at.path.maintenance.keys == {ref.mac}
