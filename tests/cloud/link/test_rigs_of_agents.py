"""A rig that an agent reads, in the lists of a real cloud: a miner of the farm, and tasks reach it by its MAC."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agent.config.file import parse
from agent.daemon import Daemon
from contract.clock import SystemClock
from contract.task import TaskName
from service.notify import Notifier
from simulator.farm import Farm
from tests.agent.onfarm import free_base
from tests.agent.rigs import entry_of
from tests.cloud.conftest import Cloud
from tests.waiting import until


async def miners_of(cloud: Cloud) -> list[dict[str, Any]]:
    url = f"{cloud.base}/private-api/v1/{cloud.workspace_id}/farms/{cloud.farm_id}/miner/latest"
    async with cloud.http.get(url, headers={"x-api-key": cloud.key}) as answer:
        found: list[dict[str, Any]] = (await answer.json())["data"]
        return found


async def test_a_rig_is_a_miner_of_the_farm(cloud: Cloud, tmp_path: Path) -> None:
    client = await cloud.agent()
    (tmp_path / "token").write_text(client.token)
    (tmp_path / "token").chmod(0o600)
    async with await Farm.start("rig/mixed-lolminer-dual", base=free_base()) as farm:
        rig: Any = farm.miners[0]
        config = parse(
            {
                "cloud": {"url": cloud.base},
                "state": {"dir": str(tmp_path)},
                "telemetry": {"interval_s": 1.0, "min_interval_s": 0.2, "batch_wait_s": 0.0},
                "rigs": [entry_of(rig)],
            }
        )
        daemon = Daemon(config, SystemClock(), Notifier({}))
        life = asyncio.create_task(daemon.run())
        try:

            async def is_listed() -> bool:
                return any(each["hashboards"] for each in await miners_of(cloud))

            await until(is_listed, within_s=30)
            (item,) = await miners_of(cloud)
            (task,) = await cloud.queue(
                TaskName.LIGHT, client.agent_id, miner_id=item["id"], params={"action": "on"}
            )

            async def has_ended() -> bool:
                return (await cloud.task(task))["status"] in ("failed", "succeed")

            await until(has_ended, within_s=30)
        finally:
            daemon.stop()
            await life
        assert (item["make"], item["model"], item["mac"], item["ip"]) == (
            "rig",
            "RTX 3070 x2, RX 6700 XT x2",
            rig.mac,
            rig.ip,
        )
        assert [each["bus_id"] for each in item["hashboards"]] == [gpu.bus for gpu in rig.cards]
        assert item["serial_number"] == rig.describe()["machine_id"]
        assert item["is_mining"]
    settled = await cloud.task(task)
    assert settled["status"] == "failed"
    assert settled["result"]["error"]["code"] == "unsupported"
