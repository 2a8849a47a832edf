"""A real XMRig, where MINER_AGENT_XMRIG names its executable: read, paused, resumed. It mines for nobody: its pool is a
port that answers nothing, so that it hashes no work of anyone's.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from drivers.base import Plan, Resume, Suspend, Timing
from drivers.rig.changes.mining import NO_POOL
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.programs import ask
from drivers.rig.spec import EnrolledRig, LocalSpec, MiningProgram, ProgramSpec
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig import tree
from tests.virtual_time import loop_clock
from tests.waiting import until

_XMRIG = os.environ.get("MINER_AGENT_XMRIG", "")
pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not _XMRIG, reason="MINER_AGENT_XMRIG names no XMRig"),
]


@asynccontextmanager
async def a_rig_with_xmrig(folder: Path) -> AsyncIterator[RigDriver]:
    tree.plant(folder, tree.HOST)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = await asyncio.create_subprocess_exec(
        _XMRIG, "--no-color", "--url=127.0.0.1:9", "--user=x", "--threads=1", "--randomx-mode=light",
        "--http-host=127.0.0.1", f"--http-port={port}", "--http-access-token=T", "--http-no-restricted",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
    )  # fmt: skip
    try:
        spec = EnrolledRig(
            name="rig-7",
            reach=LocalSpec(root=str(folder)),
            programs=(ProgramSpec(kind=MiningProgram.XMRIG, port=port, token="T"),),
        )
        driver = RIG.enrolled(spec, clock=loop_clock(), timing=Timing())
        await driver.identify()
        await until(lambda: _answers(driver), every_s=0.2)
        yield driver
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _answers(driver: RigDriver) -> bool:
    with suppress(Exception):
        await ask(driver.rig_wire, driver.rig_wire.spec.programs[0])
        return True
    return False


async def test_it_is_read_paused_and_resumed(tmp_path: Path) -> None:
    async with a_rig_with_xmrig(tmp_path) as driver:
        (work,) = (await driver.read()).moving.works
        assert (work.program, work.paused) == ("XMRig", False)
        plan, permit = await driver.plan(Suspend()), MemoryEffect(driver.clock)
        assert isinstance(plan, Plan)
        await driver.apply(plan, permit)
        evidence = await driver.verify(plan, permit)
        assert (evidence.outcome, evidence.verified) == ("done", True), evidence
        assert evidence.after["programs"][0]["paused"] is True
        plan, permit = await driver.plan(Resume()), MemoryEffect(driver.clock)
        assert isinstance(plan, Plan)
        await driver.apply(plan, permit)
        report = await ask(driver.rig_wire, driver.rig_wire.spec.programs[0])
        # Without a pool there is nothing to hash: that it is told so takes the whole of its window.
        assert (report.paused, report.pool_lost) == (False, True)
        assert NO_POOL
