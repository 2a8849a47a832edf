"""Changes that raise power wait for their turn: what that costs them, and whom it does not touch. In virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.journal.states import State
from agent.limits.policy import Policy
from contract.errors import BusyError, PolicyRefusedError
from contract.task import TaskName
from drivers.base import Permit, Plan
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.farm import FakeFarm, FakeMiner
from tests.agent.journals import found
from tests.agent.policies import policy_with
from tests.agent.stage import Site, crash_and_restart
from tests.waiting import until

ONE = policy_with(power_ons_per_10_s=1, stop_within_s=0.1)
REBOOT: dict[str, Any] = {"name": TaskName.REBOOT, "params": {}}
WAKE: dict[str, Any] = {"name": TaskName.POWER_MODE, "params": {"mode": "high"}}
SLEEP: dict[str, Any] = {"name": TaskName.POWER_MODE, "params": {"mode": "sleep"}}
POOLS: dict[str, Any] = {
    "name": TaskName.POOLS,
    "params": {"pools": [{"url": "stratum+tcp://a:1", "user": "u"}]},
}


async def begun(
    folder: Path, clock: SettableClock, *, policy: Policy = ONE, farm: FakeFarm | None = None
) -> Site:
    """A site whose pace has just been used up by the reboot of its miner 0."""
    at = Site(folder, clock=clock, policy=policy, farm=farm or FakeFarm(8))
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    first = at.task(0, **REBOOT)
    await clock.advance(1.0)
    event = at.cloud.end(first)
    assert event is not None and event.state == "succeed"
    return at


async def end(at: Site, clock: SettableClock) -> None:
    at.path.stop()
    await clock.advance(10.0)


def state_of(at: Site, task: str) -> str | None:
    event = at.cloud.end(task)
    return None if event is None else event.state


async def test_who_waits_has_not_begun_and_the_limit_does_not_run(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    tasks = [at.task(n, **REBOOT, limit_s=3.0) for n in range(1, 5)]
    await clock.advance(5.0)
    assert [miner.trace for miner in at.farm.miners[1:5]] == [["plan"]] * 4
    for task in tasks:
        record = await found(at.journal, task)
        assert (record.state, record.intent_at) == ("accepted", None)
    await clock.advance(40.0)
    assert [state_of(at, task) for task in tasks] == ["succeed"] * 4
    await end(at, clock)


async def test_what_raises_no_power_passes_at_once(tmp_path: Path) -> None:
    clock = SettableClock()
    policy = policy_with(power_ons_per_10_s=1, power_effects=1, stop_within_s=0.1)
    at = await begun(tmp_path, clock, policy=policy)
    waiting = [at.task(n, **REBOOT) for n in range(1, 4)]
    await clock.advance(1.0)
    at_once = [at.task(4, **SLEEP), at.task(5, **SLEEP), at.task(6), at.task(7, **POOLS)]
    await clock.advance(1.0)
    assert [state_of(at, task) for task in at_once] == ["succeed"] * 4
    assert [state_of(at, task) for task in waiting] == [None] * 3
    await end(at, clock)


@pytest.mark.parametrize("order", [REBOOT, WAKE], ids=["reboot", "mode"])
async def test_an_operator_cancels_what_waits_and_its_place_is_the_next_ones(
    tmp_path: Path, order: dict[str, Any]
) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    cancelled, next_one = at.task(1, **order), at.task(2, **order)
    await clock.advance(2.0)
    at.cloud.cancel.add(cancelled)
    at.cloud.poke()
    await clock.advance(1.0)
    assert state_of(at, cancelled) == "cancelled"
    await clock.advance(8.0)
    assert state_of(at, next_one) == "succeed"
    assert at.farm.miners[1].ledger == []
    await end(at, clock)


async def test_a_queue_life_ends_while_it_waits(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    task = at.task(1, **REBOOT, queue_ttl_s=4.0)
    await clock.advance(6.0)
    event = at.cloud.end(task)
    assert event is not None and code(event) == "expired"
    assert event.result is not None and event.result["outcome"] == "not_done"
    assert at.farm.miners[1].ledger == []
    await end(at, clock)


async def test_a_crash_while_it_waits_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    tasks = [at.task(n, **order) for n, order in enumerate((REBOOT, WAKE, REBOOT), 1)]
    await clock.advance(3.0)
    assert [state_of(at, task) for task in tasks] == [None] * 3
    after = await crash_and_restart(at, tmp_path)
    await clock.advance(60.0)
    assert [state_of(after, task) for task in tasks] == ["succeed"] * 3
    assert [miner.ledger for miner in at.farm.miners[:4]] == [
        ["Reboot"],
        ["Reboot"],
        ["Mode"],
        ["Reboot"],
    ]
    await end(after, clock)


async def test_an_agent_that_stops_leaves_what_waits_to_the_next_start(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    task = at.task(1, **REBOOT)
    await clock.advance(2.0)
    await end(at, clock)
    assert at.farm.miners[1].ledger == []
    after = Site(tmp_path, cloud=at.cloud, farm=at.farm, clock=clock)
    after.start()
    await clock.advance(20.0)
    assert state_of(after, task) == "succeed"
    await end(after, clock)


async def test_evidence_that_grew_old_is_read_again(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    tasks = [at.task(n, **REBOOT) for n in range(1, 8)]
    await clock.advance(5.0)
    for miner in at.farm.miners:
        miner.state["boot"] += 10  # somebody rebooted it by hand: proof must not come from that
    await clock.advance(85.0)
    plans = [miner.trace.count("plan") for miner in at.farm.miners[1:]]
    # The last waited for 69 s; the one before for 59 and what the disk took, which may be one more.
    assert (plans[:5], plans[6]) == ([1] * 5, 2)
    for task, times in zip(tasks, plans, strict=True):
        event = at.cloud.end(task)
        assert event is not None and event.result is not None
        assert event.state == "succeed"
        assert event.result["evidence"]["before"]["boot"] == (1 if times == 1 else 11)
    assert all(miner.ledger == ["Reboot"] for miner in at.farm.miners)
    await end(at, clock)


async def test_what_became_as_wished_meanwhile_ends_so_and_keeps_nobody_waiting(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock, farm=FakeFarm(12))
    for n in range(1, 8):
        at.task(n, **REBOOT)
    tasks = [at.task(n, **WAKE) for n in range(8, 11)]
    last = at.task(11, **REBOOT)
    await clock.advance(30.0)
    for miner in at.farm.miners[8:11]:
        miner.state["mode"] = "high"
    await clock.advance(120.0)
    for task in tasks:
        event = at.cloud.end(task)
        assert event is not None and event.result is not None
        assert (event.state, event.result["outcome"]) == ("succeed", "done")
    assert [miner.ledger for miner in at.farm.miners[8:11]] == [[]] * 3
    assert state_of(at, last) == "succeed"
    await end(at, clock)


async def test_one_that_restarts_when_its_turn_comes_keeps_nobody_waiting(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock, farm=FakeFarm(9))
    tasks = [at.task(n, **REBOOT) for n in range(1, 9)]
    await clock.advance(5.0)
    restarting = at.farm.miners[7]
    restarting.plan_error = BusyError("another change runs")
    await clock.advance(76.0)  # its turn came, its plan had grown old
    assert restarting.trace.count("plan") > 2
    assert (state_of(at, tasks[6]), state_of(at, tasks[7])) == (None, "succeed")
    restarting.plan_error = None
    await clock.advance(15.0)
    assert state_of(at, tasks[6]) == "succeed"
    assert restarting.ledger == ["Reboot"]
    await end(at, clock)


async def test_a_miner_that_another_took_the_place_of_is_not_written_to(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    for n in range(1, 7):
        at.task(n, **REBOOT)
    task = at.task(7, **REBOOT)
    await clock.advance(5.0)
    moved = at.farm.miners.pop(7)
    await clock.advance(85.0)
    event = at.cloud.end(task)
    assert event is not None and code(event) == "wrong_device"
    assert moved.ledger == []
    await end(at, clock)


class TwoOrders(FakeMiner):
    """Is changed by two orders, some seconds apart."""

    async def apply(self, plan: Plan, permit: Permit) -> None:
        for word in ("first", "second"):
            async with permit.sending():
                self.ledger.append(word)
                self.at.append(self.clock.mono())
            self._change(plan.change)
            await self.clock.sleep(2.0)

    clock: Any = None

    @property
    def at(self) -> list[float]:
        return self.state.setdefault("at", [])


async def test_every_order_of_a_change_is_paced_and_one_that_has_begun_is_not_kept_behind_others(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    farm = FakeFarm(8, kind=TwoOrders)
    times: list[float] = []
    for miner in farm.miners:
        miner.clock = clock  # type: ignore[attr-defined]
        miner.state["at"] = times
    at = Site(tmp_path, clock=clock, policy=ONE, farm=farm)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    tasks = [at.task(n, **REBOOT) for n in range(8)]
    await clock.advance(12.0 * 16)
    assert [state_of(at, task) for task in tasks] == ["succeed"] * 8
    times.sort()
    assert len(times) == 16
    assert all(late - early >= 10.0 - 1e-6 for early, late in pairwise(times))
    await end(at, clock)


async def test_a_cloud_that_is_away_keeps_its_tasks_waiting_and_nobody_elses(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    lent = at.task(1, **REBOOT)
    await clock.advance(1.0)
    at.cloud.away = NO_CLOUD
    await clock.advance(120.0)
    ref = at.farm.miners[2].ref
    here = asyncio.create_task(at.path.submit_local(TaskName.REBOOT, {}, ref, "onsite"))
    await clock.advance(12.0)
    assert (await here)["status"] == "succeed"
    at.cloud.away = None
    await clock.advance(60.0)
    assert state_of(at, lent) == "succeed"
    await end(at, clock)


async def test_a_refusal_before_the_order_gives_the_leave_to_the_next(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    refused, next_one = at.task(1, **REBOOT), at.task(2, **REBOOT)
    await clock.advance(1.0)

    async def apply(plan: Plan, permit: Permit) -> None:
        raise PolicyRefusedError("not this one")

    at.farm.miners[1].apply = apply  # type: ignore[method-assign]
    await clock.advance(20.5)
    assert state_of(at, refused) == "failed"
    assert state_of(at, next_one) == "succeed"
    await end(at, clock)


async def test_long_uploads_keep_no_reboot_waiting(tmp_path: Path) -> None:
    clock = SettableClock()
    policy = policy_with(power_ons_per_10_s=5, firmware_effects=2, stop_within_s=0.1)
    at = Site(tmp_path, clock=clock, policy=policy, farm=FakeFarm(20))
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    for miner in at.farm.miners[:15]:
        miner.gate["write"] = asyncio.Event()
    url = {"firmware_url": "http://files.test/image"}
    updates = [at.task(n, name=TaskName.FIRMWARE, params=url) for n in range(15)]
    await until(lambda: sum(miner.at_once for miner in at.farm.miners) == 2)
    reboots = [at.task(n, **REBOOT) for n in range(15, 20)]
    await clock.advance(21.0)
    assert [state_of(at, task) for task in reboots] == ["succeed"] * 5
    assert sum(miner.at_once for miner in at.farm.miners) == 2
    for miner in at.farm.miners[:15]:
        miner.gate["write"].set()
    await clock.advance(60.0)
    assert [state_of(at, task) for task in updates] == ["succeed"] * 15
    await end(at, clock)


async def test_a_wish_that_is_withdrawn_while_it_waits_is_not_carried_out(tmp_path: Path) -> None:
    clock = SettableClock()
    at = await begun(tmp_path, clock)
    ref = at.farm.miners[1].ref
    at.farm.miners[1].state["mode"] = "sleep"
    wish = asyncio.create_task(
        at.path.submit_local(TaskName.MINING, {"action": "on"}, ref, "rigmonitor")
    )
    other = at.task(1, **REBOOT)  # of the cloud, for the same miner
    await clock.advance(2.0)
    at.path.withdraw(ref, "rigmonitor")
    await clock.advance(1.0)
    result = await wish
    assert (result["status"], result["error"]["code"]) == ("cancelled", "cancelled")
    await clock.advance(15.0)
    assert at.farm.miners[1].ledger == ["Reboot"]
    assert state_of(at, other) == "succeed"
    await end(at, clock)


@pytest.mark.parametrize(
    "order",
    [REBOOT, {"name": TaskName.FIRMWARE, "params": {"firmware_url": "http://files.test/image"}}],
    ids=["reboot", "firmware"],
)
async def test_while_no_answer_comes_few_begin_and_they_keep_nobody_on_site_waiting(
    tmp_path: Path, order: dict[str, Any]
) -> None:
    clock = SettableClock()
    policy = policy_with(
        power_ons_per_10_s=5, power_effects=3, firmware_effects=2, stop_within_s=0.1
    )
    at = Site(tmp_path, clock=clock, policy=policy, farm=FakeFarm(21))
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    at.cloud.report_error = lambda _: NO_CLOUD  # its claims are answered: the lease goes on
    tasks = [at.task(n, **order) for n in range(20)]
    await clock.advance(300.0)
    states = [(await found(at.journal, task)).state for task in tasks]
    assert states.count(State.INTENT) <= 3
    ref = at.farm.miners[20].ref
    here = asyncio.create_task(at.path.submit_local(order["name"], order["params"], ref, "onsite"))
    await clock.advance(5.0)
    assert (await here)["status"] == "succeed"
    at.cloud.report_error = lambda _: None
    await clock.advance(120.0)
    assert [state_of(at, task) for task in tasks] == ["succeed"] * 20
    await end(at, clock)


async def test_a_slot_that_is_left_behind_keeps_no_leave(tmp_path: Path) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock, policy=ONE, farm=FakeFarm(2))
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    frozen = at.farm.miners[0]
    frozen.stubborn, frozen.gate["connect"] = True, asyncio.Event()
    left, next_one = at.task(0, **REBOOT, limit_s=5.0), at.task(1, **REBOOT)
    await clock.advance(30.0)
    assert state_of(at, left) == "timed_out"
    assert state_of(at, next_one) == "succeed"
    frozen.gate["connect"].set()
    await clock.advance(5.0)
    assert frozen.ledger == []
    await end(at, clock)
