"""A simulated farm with the agent's rooms built over it, for tests of the parts that know miners."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agent.config.file import Config, parse
from agent.miners.inventory import Inventory
from agent.miners.site import Site, open_site
from contract.link import MinerKey, ReadingsReply, ReadingsRequest
from simulator.farm import Farm
from tests.virtual_time import loop_clock

_serial = itertools.count(1)


def free_base() -> str:
    """A first address no other test of this kind uses, in this worker or another."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    return f"127.{190 + worker % 20}.{1 + next(_serial) % 250}.1"


@asynccontextmanager
async def simulated(specs: str, **more: Any) -> AsyncIterator[tuple[Farm, Site, Config]]:
    """Miners, and a site (nothing known yet) that may touch them."""
    base = free_base()
    farm = await Farm.start(specs, base=base, time_scale=100.0, **more)
    try:
        config = config_for(farm)
        yield farm, open_site(config, loop_clock(), Inventory(None)), config
    finally:
        await farm.stop()


def config_for(farm: Farm, **sections: Any) -> Config:
    first = next(iter(farm.miners))
    net = first.ip.rpartition(".")[0]
    return parse(
        {
            "miners": {
                "ranges": [f"{net}.1-{farm.miners[-1].ip}"],
                "allowed": ["127.0.0.0/8"],
                "http_port": first.http_port,
                "rpc_port": first.rpc_port,
                "v3_port": farm.ports["v3"],
                "daemon_port": farm.ports["daemon"],
                "device_pace": 100.0,
                "connect_timeout_s": 1.0,
                "read_timeout_s": 2.0,
            },
            **sections,
        }
    )


class MemorySink:
    """Where readings go in tests; can be told to fail."""

    def __init__(self) -> None:
        self.requests: list[ReadingsRequest] = []
        self.error: Exception | None = None
        self.asked = 0
        self.arrived = asyncio.Event()

    async def push(self, request: ReadingsRequest) -> ReadingsReply:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        self.arrived.set()
        keys = tuple(
            MinerKey(id=f"id-{each.mac or each.ip}", mac=each.mac, ip=each.ip)
            for each in request.readings
        )
        return ReadingsReply(state="ok", miners=keys)

    @property
    def readings(self) -> list[Any]:
        return [each for request in self.requests for each in request.readings]
