"""What a task ends as: done, not done or unknown, and what proves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    RefusedError,
    UnreachableError,
    UnsupportedModeError,
)
from contract.task import TaskName
from drivers.base import AnyChange
from tests.agent.fake_cloud import code
from tests.agent.farm import LOST, FakeFarm, FakeMiner
from tests.agent.policies import policy_with
from tests.agent.stage import site


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
    policy = policy_with(restart_wait_s=0.1, stop_within_s=1.0)
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
    class SecondRefused(FakeMiner):
        def _change(self, change: AnyChange) -> None:
            super()._change(change)
            self.apply_error = RefusedError("no") if len(self.ledger) == 2 else None

    async with site(tmp_path, farm=FakeFarm(1, kind=SecondRefused)) as at:
        miner = at.farm.miners[0]
        miner.writes_needed = 2
        event = await at.cloud.ended(at.task())
        assert event.state == "succeed"
        assert miner.ledger == ["Light", "Light"]
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
