"""A real XMRig, where MINER_AGENT_XMRIG names its executable: read, paused, resumed. Its pool is one on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from drivers.base import Plan, Resume, Suspend, Timing
from drivers.rig.driver import RigDriver
from drivers.rig.entry import RIG
from drivers.rig.spec import EnrolledRig, LocalSpec, MiningProgram, ProgramSpec
from tests.drivers.effects import MemoryEffect
from tests.drivers.rig import tree
from tests.drivers.rig.stratum import pool
from tests.virtual_time import loop_clock
from tests.waiting import until
from tests.xmrig import XMRIG, needs_xmrig

pytestmark = [pytest.mark.real_time, needs_xmrig]


@asynccontextmanager
async def a_rig_with_xmrig(folder: Path) -> AsyncIterator[RigDriver]:
    tree.plant(folder, tree.HOST)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    async with pool() as pool_port:
        assert XMRIG is not None
        process = await asyncio.create_subprocess_exec(
            XMRIG, "--no-color", f"--url=127.0.0.1:{pool_port}", "--user=x", "--threads=1", "--randomx-mode=light",
            "--http-host=127.0.0.1", f"--http-port={port}", "--http-access-token=T", "--http-no-restricted",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
        )  # fmt: skip
        try:
            program = ProgramSpec(kind=MiningProgram.XMRIG, port=port, token="T")
            spec = EnrolledRig(name="rig-7", reach=LocalSpec(root=str(folder)), programs=(program,))
            driver = RIG.enrolled(spec, clock=loop_clock(), timing=Timing())
            await driver.identify()
            await until(lambda: _hashes(driver), within_s=120, every_s=1.0)
            yield driver
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _hashes(driver: RigDriver) -> bool:
    return bool((await driver.read()).moving.hashrate_hs)


async def test_it_is_read_paused_and_resumed(tmp_path: Path) -> None:
    async with a_rig_with_xmrig(tmp_path) as driver:
        (work,) = (await driver.read()).moving.works
        assert (work.program, work.algorithm, work.paused) == ("XMRig", "rx/0", False)
        for change in (Suspend(), Resume()):
            plan, permit = await driver.plan(change), MemoryEffect(driver.clock)
            assert isinstance(plan, Plan)
            await driver.apply(plan, permit)
            evidence = await driver.verify(plan, permit)
            assert (evidence.outcome, evidence.verified) == ("done", True), evidence
            assert evidence.after["mining"] is isinstance(change, Resume)
