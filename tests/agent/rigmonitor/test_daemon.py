"""The whole daemon with a monitor, while its cloud is away."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.config.file import ConfigError
from agent.daemon import Daemon
from service.notify import Notifier
from tests.agent.rigmonitor.stage import codes_for, farm_of, monitor_config
from tests.agent.rigmonitor.strict_server import strict_server
from tests.virtual_time import loop_clock
from tests.waiting import until


def with_cloud(config, folder: Path):
    """A cloud nobody listens for, and a token for it."""
    (folder / "token").write_text("t")
    (folder / "token").chmod(0o600)
    cloud = config.cloud.model_copy(update={"url": "http://127.0.0.1:9"})
    return config.model_copy(update={"cloud": cloud})


async def test_the_monitor_is_served_although_the_cloud_is_away(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:1,whatsminer:1") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code, light="on") for code in codes.values()]
        config = with_cloud(monitor_config(farm, tmp_path, server.url), tmp_path)
        daemon = Daemon(config, loop_clock(), Notifier({}))
        running = asyncio.create_task(daemon.run())
        try:
            await until(lambda: all(len(each.logs) > 1 for each in machines), within_s=60)
            await until(lambda: all(device.light for device in farm), within_s=60)
            assert set(daemon._beat({}).sinks) == {"cloud", "rigmonitor"}
            await until(lambda: daemon._beat({}).sinks["rigmonitor"] == "ok")
            server.mood = "away"
            await until(lambda: "503" in daemon._beat({}).sinks["rigmonitor"], within_s=20)
        finally:
            daemon.stop()
            await running
        assert server.faults == []


async def test_a_missing_file_of_codes_keeps_the_agent_from_starting(tmp_path: Path) -> None:
    async with farm_of("antminer/s21:1") as farm:
        config = with_cloud(monitor_config(farm, tmp_path, "http://127.0.0.1:9"), tmp_path)
        (tmp_path / "codes").unlink()
        with pytest.raises(ConfigError, match="codes"):
            Daemon(config, loop_clock(), Notifier({}))
