"""A whole agent between its cloud, a monitor and a miner: maintenance is told, kept, and outlives cloud and process."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from cloud.store.engine import sqlite_url
from cloud.store.schema.migrate import migrate
from tests.agent.rigmonitor.stage import codes_for, farm_of, monitor_config, switched
from tests.agent.rigmonitor.strict_server import StrictServer, strict_server
from tests.cloud.on_site import enrolled, running, serving
from tests.waiting import until


async def asked_again(server: StrictServer) -> None:
    """Until the monitor has told its wishes a few times more."""
    before = server.replies["expected_status", 200]
    await until(lambda: server.replies["expected_status", 200] > before + 4)


async def test_wishes_wait_through_a_cloud_that_is_away_and_a_restart_of_the_agent(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "cloud", tmp_path / "agent"
    folder.mkdir()
    state.mkdir()
    migrate(sqlite_url(folder))
    async with (
        farm_of("antminer/s21:1") as farm,
        strict_server() as server,
        aiohttp.ClientSession() as http,
    ):
        (device,) = farm.miners
        (code,) = codes_for(farm, state)[1].values()
        machine = server.add(code)
        config = monitor_config(farm, state, server.url)
        async with serving(folder) as (store, base):
            desk = await enrolled(store, base, http, state)
            cloud = config.cloud.model_copy(update={"url": base})
            health = config.health.model_copy(update={"heartbeat_s": 1.0})
            config = config.model_copy(update={"cloud": cloud, "health": health})
            async with running(config) as daemon:
                miner_id = await desk.miner_id()
                await desk.put(miner_id, "maintenance")
                await until(lambda: daemon._path.maintenance.keys == {device.mac})
        machine.asic, machine.light = "off", "on"  # the cloud is gone by now
        async with running(config):
            await asked_again(server)
            assert switched(farm, device.ip) == []
            async with serving(folder, int(base.rpartition(":")[2])):
                await desk.put(miner_id, "on_rack")
                await until(lambda: device.state == "sleeping" and device.light)
        assert len(switched(farm, device.ip)) == 2
        assert server.faults == []
