"""A playbook starts and stops XMRig: the simulated one as a process, and the real one where MINER_AGENT_XMRIG names it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contract.rigmonitor.playbook import MiningWish
from simulator.farm import Farm
from tests.agent.rig.stage import RigStage, entry, is_alive
from tests.waiting import until
from tests.xmrig import XMRIG, needs_xmrig

pytestmark = pytest.mark.real_time
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_PORT = 18_100 + _WORKER
_POOL = "127.0.0.1:9"  # nobody is there: it tries again and again, and its API answers meanwhile


@pytest.fixture(params=["simulated", pytest.param("real", marks=needs_xmrig)])
async def xmrig(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Path, str]]:
    """Its executable, and where its API is to be found."""
    if request.param == "real":
        assert XMRIG is not None
        yield XMRIG, "127.0.0.1"
        return
    farm = await Farm.start("rig/idle", base=f"127.{190 + _WORKER % 40}.7.1")
    (rig,) = farm.miners
    yield rig.folder / "bin" / "xmrig", rig.ip
    await farm.stop()


async def test_a_playbook_starts_and_stops_it(stage: RigStage, xmrig: tuple[Path, str]) -> None:
    path, host = xmrig
    stage.program = path
    stage.write_config(
        program=f'arguments = ["--http-host", "127.0.0.1", "--http-port", "{_PORT}", "--http-access-token", "T"]'
    )
    mining = entry(
        "--no-color --url $POOL_ADDRESS --algo rx/0 --user w --pass $WORKER_NAME --randomx-mode=light --threads 1",
        cpu_pool_address=_POOL,
    )
    async with stage.running():
        (verdict,) = await stage.apply(mining)
        assert verdict.accepted, verdict
        assert verdict.pid is not None, verdict
        await until(lambda: _summary(host), within_s=60)
        assert (await _summary(host))["worker_id"] is not None
    async with stage.running():  # the service came back
        assert (await stage.only()).pid == verdict.pid
        assert (await _summary(host))["uptime"] >= 0
        (stopped,) = await stage.apply(entry(wish=MiningWish.STOP))
        assert (stopped.accepted, stopped.pid) == (True, None)
        assert not is_alive(verdict.pid)
        assert await _summary(host) is None
    assert stage.log.stat().st_size > 0


async def _summary(host: str) -> Any:
    try:
        reader, writer = await asyncio.open_connection(host, _PORT)
        writer.write(
            f"GET /2/summary HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer T\r\nConnection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    return json.loads(body)
