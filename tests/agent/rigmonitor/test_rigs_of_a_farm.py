"""Simulated rigs, enrolled beside an ASIC and read by SSH, told to the strict server by a whole agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.config.file import Config
from simulator.farm import Farm
from tests.agent.onfarm import config_for
from tests.agent.rigmonitor.stage import agent_on, farm_of
from tests.agent.rigmonitor.strict_server import strict_server
from tests.agent.rigs import entry_of
from tests.waiting import until


def config_of(farm: Farm, rigs: list[Any], folder: Path, url: str) -> Config:
    codes = folder / "codes"
    entries = [entry_of(rig) for rig in rigs]
    lines = [f"{each.mac} code-{each.ip}" for each in farm.miners if each not in rigs]
    lines += [f"{entry['name']} code-{entry['host']}" for entry in entries]
    codes.write_text("\n".join(lines))
    codes.chmod(0o600)
    return config_for(
        farm,
        rigs=entries,
        state={"dir": str(folder)},
        telemetry={"interval_s": 1.0, "min_interval_s": 0.2, "batch_wait_s": 0.0},
        rigmonitor={
            "url": url,
            "codes_file": str(codes),
            "log_every_s": 1.0,
            "expected_every_s": 1.0,
            "default_power_w": 3300,
            "rig": [
                {"name": entry["name"], "gpu_1": {"coin_name": "Ravencoin"}} for entry in entries
            ],
        },
    )


async def test_rigs_and_asics_of_one_farm_are_told_of_each_in_its_own_half(tmp_path: Path) -> None:
    specs = "antminer/s21:1,rig/6xrtx3080-trex,rig/xmrig-cpu"
    async with farm_of(specs, time_scale=1.0) as farm, strict_server() as server:
        asic, cards, cpu = farm.miners
        machine = server.add(f"code-{asic.ip}")
        told = {rig.ip: server.rigs.add(f"code-{rig.ip}") for rig in (cards, cpu)}
        config = config_of(farm, [cards, cpu], tmp_path, server.url)
        async with agent_on(farm, config) as agent:
            await until(
                lambda: (
                    machine.logs
                    and told[cards.ip].logs
                    and "gpu_hashrate_uom_1" in told[cards.ip].logs[-1]
                    and told[cpu.ip].logs
                    and "cpu_hashrate" in told[cpu.ip].logs[-1]
                ),
                within_s=120,
            )
            assert agent.monitor.state == "ok"
        spec, log = told[cards.ip].specs[-1], told[cards.ip].logs[-1]
        assert spec["motherboard_name"] == "B250 MINING EXPERT"
        names = [spec[f"gpu_{number}_name"] for number in range(1, 7)]
        assert names == [each["name"] for each in cards.describe()["gpus"]]
        rates = [log[f"gpu_{number}_hashrate_1"] for number in range(1, 7)]
        assert all(1000 <= rate < 1_000_000 for rate in rates)
        assert log["gpu_coin_name_1"] == "Ravencoin"
        assert log["lan_ip"] == cards.ip
        assert len(log["uptime"].split(":")) == 4
        log = told[cpu.ip].logs[-1]
        assert (log["cpu_coin_name"], log["cpu_hashrate_uom"]) == ("Monero", "H/s")
        assert log["cpu_hashrate"] > 1000
        assert server.faults == []
        assert server.bulk_sizes == []  # one ASIC: the single call, and no rig in any other
