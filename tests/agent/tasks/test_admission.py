from __future__ import annotations

import asyncio
from pathlib import Path

from agent.ports import CloudError
from contract.link import MinerRef
from contract.task import BY_AGENTS, SPECS, TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import NO_CLOUD, code
from tests.agent.policies import policy_with
from tests.agent.stage import Site, site
from tests.waiting import until

POOLS = {"pools": [{"url": "stratum+tcp://p:1", "user": "w"}]}


async def test_bad_parameters_end_a_task_before_anything_happens(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        for name, params in (
            (TaskName.LIGHT, {"action": "blink"}),
            (TaskName.POWER_MODE, {"mode": "turbo"}),
            (TaskName.POOLS, {"pools": []}),
            (TaskName.REBOOT, {"force": "yes"}),
        ):
            event = await at.cloud.ended(at.task(name=name, params=params))
            assert (event.state, code(event)) == ("failed", "bad_params")
            assert event.result is not None and "params" in event.result["error"]["message"]
        event = await at.cloud.ended(at.cloud.create())
        assert code(event) == "bad_params"
        assert at.farm.asked_age_s == []


async def test_a_parameter_that_is_not_known_ends_a_task_with_the_one_that_is_meant(
    tmp_path: Path,
) -> None:
    firmware = {"firmware_url": "https://files.example/a.bmu", "sha265": "0a" * 32}
    pool = {"url": "stratum+tcp://p:1", "user": "w", "pasword": "hunter2"}
    async with site(tmp_path) as at:
        for name, params, words in (
            (TaskName.FIRMWARE, firmware, "params.sha265: unknown key; did you mean sha256?"),
            (TaskName.POOLS, {"pools": [pool]}, "params.pools.0.pasword: unknown key"),
            (TaskName.REBOOT, {"after_s": 60}, "params.after_s: unknown key; known here: "),
        ):
            event = await at.cloud.ended(at.task(name=name, params=params))
            assert (event.state, code(event)) == ("failed", "bad_params")
            assert event.result is not None
            assert event.result["outcome"] == "not_done"
            assert event.result["error"]["message"].startswith(words)
        assert at.farm.asked_age_s == []
        assert "hunter2" not in str(at.cloud.events)


async def test_a_task_of_a_newer_cloud_ends_as_unsupported_and_holds_up_no_other(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        newer = at.cloud.create("miner.fan.update", {"speed": 3}, limit_s=60.0)
        known = at.task()
        event = await at.cloud.ended(newer)
        assert (event.state, code(event)) == ("failed", "unsupported")
        assert event.result is not None
        assert event.result["outcome"] == "not_done"
        assert (
            "knows no task miner.fan.update. Update the agent" in event.result["error"]["message"]
        )
        assert (await at.cloud.ended(known)).state == "succeed"
        assert at.cloud.claims[0].knows == BY_AGENTS


async def test_what_is_held_is_named_in_every_claim_until_it_ended(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        task = at.task()
        await until(lambda: any(each.open for each in at.cloud.claims))
        held = next(each for each in at.cloud.claims if each.open)
        assert [(each.task_id, each.epoch) for each in held.open] == [(task, 1)]
        assert held.journal_id == at.journal.journal_id
        assert held.last_seq >= 1
        at.farm.miners[0].gate["plan"].set()
        await at.cloud.ended(task)
        await until(lambda: not at.cloud.claims[-1].open)


async def test_a_task_that_comes_twice_runs_once(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.task(task_id="t1", name=TaskName.REBOOT, params={})
        at.task(task_id="t1", name=TaskName.REBOOT, params={})
        await at.cloud.ended("t1")
        at.task(task_id="t1", name=TaskName.REBOOT, params={})
        at.task(task_id="t1", name=TaskName.REBOOT, params={}, epoch=2)
        marker = at.task(1)
        await at.cloud.ended(marker)
        await until(lambda: [e.epoch for e in at.cloud.of("t1") if e.state == "succeed"] == [1, 2])
        assert at.farm.miners[0].ledger == ["Reboot"]


async def test_no_more_is_asked_for_than_there_is_room(tmp_path: Path) -> None:
    policy = policy_with(open_tasks=3, claim_room=2, stop_within_s=0.1)
    async with site(tmp_path, policy=policy) as at:
        at.farm.miners[0].gate["plan"] = asyncio.Event()
        tasks = [at.task() for _ in range(6)]
        await until(lambda: bool(at.cloud.claims) and at.cloud.claims[-1].room == 0)
        assert max(each.room for each in at.cloud.claims) == 2
        assert max(len(each.open) for each in at.cloud.claims) == 3
        at.farm.miners[0].gate["plan"].set()
        for task in tasks:
            await at.cloud.ended(task)


async def test_an_absent_cloud_is_asked_again_ever_more_seldom(tmp_path: Path) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.away = NO_CLOUD
        await clock.advance(600.0)
        asked = len(at.cloud.claims)
        assert 600 / 5 <= asked <= 600
        at.cloud.away = None
        task = at.task()
        await clock.advance(10.0)
        assert at.cloud.end(task) is not None
        at.path.stop()
        await clock.advance(10.0)


async def test_a_cloud_that_does_not_want_us_is_asked_seldom_and_said_to_the_operator(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.cloud.away = CloudError("the token was revoked", retry=False, status=401)
        await clock.advance(300.0)
        asked = len(at.cloud.claims)
        assert asked <= 12
        assert at.path.notices == ("the token was revoked",)
        at.cloud.away = None
        task = at.task()
        await clock.advance(40.0)
        assert at.cloud.end(task) is not None
        assert at.path.notices == ()
        at.path.stop()
        await clock.advance(10.0)


async def test_a_cloud_that_answers_at_once_with_nothing_new_is_not_hammered(
    tmp_path: Path,
) -> None:
    clock = SettableClock()
    async with site(tmp_path, clock=clock) as at:
        at.farm.miners[0].gate["verify"] = asyncio.Event()
        task = at.task(limit_s=1000.0)
        await clock.advance(1.0)
        at.cloud.cancel.add(task)
        at.cloud.poke()
        before = len(at.cloud.claims)
        await clock.advance(60.0)
        assert len(at.cloud.claims) - before < 150
        at.farm.miners[0].gate["verify"].set()
        await clock.advance(2.0)
        event = at.cloud.end(task)
        assert event is not None and event.state == "succeed"
        at.path.stop()
        await clock.advance(10.0)


async def test_a_claim_whose_answer_was_lost_is_handed_out_again(tmp_path: Path) -> None:
    at = Site(tmp_path)
    task = at.task()
    # The cloud gave it out, and the answer never came: it is in no list of what is held.
    at.cloud.given[task] = at.cloud.queued.pop()
    at.start()
    assert (await at.cloud.ended(task)).state == "succeed"
    await at.stop()


async def test_no_number_of_the_clouds_reaches_beyond_what_is_sane(tmp_path: Path) -> None:
    clock = SettableClock()
    policy = policy_with(task_s={TaskName.POOLS: 5000.0}, stop_within_s=0.1)
    async with site(tmp_path, clock=clock, policy=policy) as at:
        at.cloud.lease_s = 1e9
        for miner in at.farm.miners:
            miner.gate["plan"] = asyncio.Event()
        huge = {"queue_ttl_s": 1e9, "limit_s": 1e9}
        light = at.task(0, **huge)
        pools = at.task(1, name=TaskName.POOLS, params=POOLS, **huge)
        late = at.task(0, **huge)
        await clock.advance(1.0)
        live = at.path.dispatcher._tasks
        assert live[light].limit_s == 4 * SPECS[TaskName.LIGHT].limit_s
        assert live[pools].limit_s == 5000.0  # this site's own word
        assert live[late].expires_mono <= clock.mono() + 7 * 86_400.0
        assert at.path._lease.left_s() <= 120.0
        at.path.stop()
        await clock.advance(10.0)


async def test_a_task_of_an_unknown_miner_is_not_written_to_another(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        event = await at.cloud.ended(at.cloud.create(miner=MinerRef(id="somebody else")))
        assert code(event) == "wrong_device"
        assert all(each.ledger == [] for each in at.farm.miners)


async def test_the_first_claim_wants_its_answer_at_once_and_later_ones_may_wait(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        await until(lambda: len(at.cloud.claims) >= 2)
        # What a crash left half done waits for the lease, and the lease for this answer.
        assert at.cloud.claims[0].wait_s == 0.0
        assert at.cloud.claims[1].wait_s > 5.0
