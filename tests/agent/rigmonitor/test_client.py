"""The monitor's client over real sockets: simulated miners on one side, the strict server on the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.sinks.rigmonitor import reports as reports_module
from tests.agent.onfarm import until
from tests.agent.rigmonitor.stage import (
    agent_on,
    codes_for,
    farm_of,
    monitor_config,
    switched,
)
from tests.agent.rigmonitor.strict_server import strict_server

MIX = "antminer/s21:1,whatsminer:2"


async def test_each_miner_is_told_of_as_the_strict_server_wants_it(tmp_path: Path) -> None:
    async with farm_of("antminer:6,whatsminer:5") as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = {ip: server.add(code) for ip, code in codes.items()}
        config = monitor_config(farm, tmp_path, server.url + "/api/v1/")
        async with agent_on(farm, config) as agent:
            await until(
                lambda: all(len(each.logs) > 1 for each in machines.values()), within_s=40
            )
            for ip, machine in machines.items():
                device = farm[ip]
                identity = agent.site.fleet.at(ip).identity
                assert machine.activated
                assert len(machine.specs) == 1, machine.specs
                assert machine.specs[0]["firmware_version"] == identity.firmware_version
                assert identity.model in machine.specs[0]["model"]
                last = machine.logs[-1]
                assert last["lan_ip"] == device.ip
                assert last["coin_name"]
                assert last["power"] > 0
                assert last["hashrate_uom"] == "GH/s"
            assert agent.monitor.state == "ok"
            assert agent.monitor.sent >= 2 * len(machines)
        assert server.faults == []
        assert set(server.replies) == {
            ("specs", 200),
            ("logs", 200),
            ("expected_status_bulk", 200),
        }
        assert max(server.most_at_once[code] for code in codes.values()) == 1
        assert server.header_names == {"API_CODE"}


async def test_light_and_mining_follow_the_monitor_and_come_back_to_the_mode_before(
    tmp_path: Path,
) -> None:
    async with farm_of(MIX) as farm, strict_server() as server:
        _, codes = codes_for(farm, tmp_path)
        machines = [server.add(code) for code in codes.values()]
        config = monitor_config(farm, tmp_path, server.url)
        async with agent_on(farm, config) as agent:
            await until(lambda: all(each.logs for each in machines), within_s=40)
            for each in machines:
                each.asic, each.light = "off", "on"
            await until(lambda: all(device.state == "sleeping" for device in farm), within_s=60)
            await until(lambda: all(device.light for device in farm), within_s=60)
            await _quiet(agent)
            told = [len(each.logs) for each in machines]
            for each in machines:
                each.asic, each.light = "on", "off"
            await until(lambda: all(device.state == "mining" for device in farm), within_s=60)
            await until(lambda: not any(device.light for device in farm), within_s=60)
            await _quiet(agent)
            await until(
                lambda: all(len(each.logs) > n for each, n in zip(machines, told, strict=True)),
                within_s=40,
            )
            assert agent.monitor.state == "ok"
            for task in agent.tasks:
                assert task["origin"] == "rigmonitor"
                assert task["status"] == "succeed", task
                assert task["state"] in ("settled", "reported")
        for device in farm:
            done = switched(farm, device.ip)
            assert len(done) == 4, done
        assert server.faults == []


async def _quiet(agent: Any) -> None:
    """Until every task of the monitor has ended."""
    await until(lambda: not agent.path.dispatcher.tasks, within_s=60)
