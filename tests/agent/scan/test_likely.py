from __future__ import annotations

from agent.scan.likely import likely_ports
from agent.scan.swept import Manner
from tests.agent.onfarm import simulated
from tests.agent.scan.test_scanner import scanner_over


async def test_a_known_miner_is_asked_first_at_a_port_of_its_makes_own() -> None:
    specs = "antminer:1,whatsminer/m30s:1,whatsminer/m60s:1,iceriver:1"
    async with simulated(specs) as (farm, site, config):
        ports = site.ports
        first = await scanner_over(site).scan(config.miners.ranges, manner=Manner.FAST)
        likely = likely_ports(site.fleet)
        assert [likely[each.ip] for each in farm.miners] == [
            ports.rpc_port, ports.rpc_port, ports.v3_port, ports.daemon_port,
        ]  # fmt: skip
        again = await scanner_over(site).scan(config.miners.ranges, manner=Manner.FAST)
    assert first.found == again.found == 4
