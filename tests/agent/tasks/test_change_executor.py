"""What looking again may say of a change that was begun before the agent restarted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from contract.errors import (
    AuthFailedError,
    BusyError,
    MalformedError,
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
)
from contract.task import TaskName
from tests.agent.clock import SettableClock
from tests.agent.fake_cloud import code
from tests.agent.farm import FakeMiner
from tests.agent.stage import Site, crash_and_restart
from tests.waiting import until

FIRMWARE = {"firmware_url": "http://files.test/image"}


async def test_a_miner_that_became_one_that_is_only_read_is_no_proof_that_nothing_was_done(
    tmp_path: Path,
) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    task = at.task(name=TaskName.FIRMWARE, params=FIRMWARE)
    await until(lambda: "verify" in miner.trace)
    miner.verify_error = UnsupportedError("this miner is read but not written: a model unknown")
    miner.gate.clear()
    after = await crash_and_restart(at, tmp_path)
    event = await after.cloud.ended(task)
    await after.stop()
    assert miner.ledger == ["FirmwareUpdate"]
    assert (event.state, code(event)) == ("failed", "not_verified")
    assert event.result is not None and event.result["outcome"] == "unknown"
    assert "a model unknown" in event.result["error"]["message"]


async def test_a_step_of_the_clock_on_the_wall_does_not_shorten_the_watch(tmp_path: Path) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    task = at.task(name=TaskName.REBOOT, params={}, limit_s=1000.0)
    await clock.advance(1.0)
    assert miner.ledger == ["Reboot"]
    miner.unreachable = 10_000
    clock.step(timedelta(hours=6))  # the host set its clock while the agent was down
    after = await crash_and_restart(at, tmp_path)
    miner.gate.clear()
    await clock.advance(900.0)
    assert after.cloud.end(task) is None
    miner.unreachable = 0
    await clock.advance(30.0)
    event = after.cloud.end(task)
    assert event is not None and event.state == "succeed"
    after.path.stop()
    await clock.advance(10.0)


RESTARTING = [
    MalformedError("it hung up after 0 bytes"),
    BusyError("another change runs"),
    ServiceAwayError("its API refuses connections"),
    UnreachableError("port 4028 refuses connections"),
]


async def _met(
    tmp_path: Path, error: Exception, clock: SettableClock
) -> tuple[Site, FakeMiner, str]:
    """A task that has just met a miner which answers with this error."""
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    miner = at.farm.miners[0]
    miner.plan_error = error
    task = at.task()
    await clock.advance(40.0)
    assert at.cloud.end(task) is None
    assert miner.trace.count("plan") > 5
    return at, miner, task


@pytest.mark.parametrize("error", RESTARTING, ids=lambda each: type(each).__name__)
async def test_a_miner_met_while_it_restarts_is_read_again_until_it_is_back(
    tmp_path: Path, error: Exception
) -> None:
    clock = SettableClock()
    at, miner, task = await _met(tmp_path, error, clock)
    miner.plan_error = None
    await clock.advance(5.0)
    event = at.cloud.end(task)
    assert event is not None and event.state == "succeed"
    assert miner.ledger == ["Light"]
    lines = [line.message for each in at.cloud.of(task) for line in each.logs]
    assert sum(str(error) in line for line in lines) == 1
    at.path.stop()
    await clock.advance(10.0)


@pytest.mark.parametrize("error", RESTARTING, ids=lambda each: type(each).__name__)
async def test_one_that_never_comes_back_fails_by_its_error_after_a_bounded_while(
    tmp_path: Path, error: Exception
) -> None:
    clock = SettableClock()
    at, miner, task = await _met(tmp_path, error, clock)
    await clock.advance(25.0)
    event = at.cloud.end(task)
    assert event is not None and event.state == "failed"
    assert code(event) == getattr(error, "code", None)
    assert event.result is not None and event.result["outcome"] == "not_done"
    assert miner.ledger == []
    at.path.stop()
    await clock.advance(10.0)


async def test_a_miner_that_is_gone_as_a_whole_is_not_waited_for(tmp_path: Path) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    for miner in at.farm.miners:
        miner.plan_error = UnreachableError("port 4028 does not answer")
    known = at.task(0)
    await clock.advance(1.0)
    assert at.cloud.end(known) is None  # the one service is away: who is there is asked again
    for miner in at.farm.miners:
        miner.unreachable = 1000
    unknown = at.task(1)
    await clock.advance(3.0)
    for task in (known, unknown):
        event = at.cloud.end(task)
        assert event is not None and code(event) == "unreachable"
    assert at.farm.asked_age_s[-1] in (0.0, 60.0)
    assert 0.0 in at.farm.asked_age_s
    at.path.stop()
    await clock.advance(10.0)


async def test_what_waiting_cannot_mend_is_not_waited_for(tmp_path: Path) -> None:
    clock = SettableClock()
    at = Site(tmp_path, clock=clock)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10.0)
    at.farm.miners[0].plan_error = AuthFailedError("wrong password")
    task = at.task()
    await clock.advance(1.0)
    event = at.cloud.end(task)
    assert event is not None and code(event) == "auth_failed"
    assert at.farm.miners[0].trace == ["plan"]
    at.path.stop()
    await clock.advance(10.0)


async def test_an_operator_can_cancel_what_waits_for_a_miner_to_come_back(tmp_path: Path) -> None:
    clock = SettableClock()
    at, miner, task = await _met(tmp_path, RESTARTING[0], clock)
    at.cloud.cancel.add(task)
    at.cloud.poke()
    await clock.advance(5.0)
    event = at.cloud.end(task)
    assert event is not None and event.state == "cancelled"
    assert miner.ledger == []
    at.path.stop()
    await clock.advance(10.0)
