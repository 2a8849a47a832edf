"""What looking again may say of a change that was begun before the agent restarted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from contract.errors import UnsupportedError
from contract.task import TaskName
from tests.agent.farm import HandClock, Site, code, until
from tests.agent.test_dispatcher import crash_and_restart

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
    assert miner.ledger == ["Firmware"]
    assert (event.state, code(event)) == ("failed", "not_verified")
    assert event.result is not None and event.result["outcome"] == "unknown"
    assert "a model unknown" in event.result["error"]["message"]


async def test_a_step_of_the_clock_on_the_wall_does_not_shorten_the_watch(tmp_path: Path) -> None:
    clock = HandClock()
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
