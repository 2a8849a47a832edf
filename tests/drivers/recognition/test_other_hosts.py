"""Hosts that are no miners, met as a scan meets them: over the connections that a sweep left open. None is a miner, none
is sent a password or an order, and each is left within bounds.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import pytest

from contract.clock import SystemClock
from contract.errors import MinerError, UnreachableError, WrongDeviceError
from contract.miner import Endpoint, Identity
from drivers import registry
from drivers.base import Credentials, Driver
from drivers.doors import Doors
from drivers.driver import MinerDriver
from drivers.stranger import Stranger
from simulator.farm import Farm
from simulator.hosts.catalogue import EVERYTHING, MINERS_PORTS, MIX
from tests.drivers.antminer.stage import next_base, timing
from tests.judges.pure_reads import SECRET, check_only_read
from tests.waiting import until

HANGING: Final = ("silent", "queue", "echo")
"""Hosts that leave a question without an end: told as broken, for a miner may be so for a while."""


async def swept(host: Any, farm: Farm) -> Doors:
    """As a sweep leaves it."""
    doors = Doors(sockets={})
    for kind in MINERS_PORTS:
        port = farm.ports[kind]
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (host.ip, port))
        except ConnectionRefusedError:
            sock.close()
            doors.refused |= {port}
        else:
            doors.open |= {port}
            doors.sockets[port] = sock
    return doors


async def met(host: Any, farm: Farm, doors: Doors) -> Driver | Stranger:
    def credentials(_: Identity) -> Credentials:
        return Credentials("root", SECRET)

    endpoint = Endpoint(host=host.ip, **{f"{kind}_port": farm.ports[kind] for kind in MINERS_PORTS})
    return await registry.recognise(
        endpoint, clock=SystemClock(), timing=timing(), credentials=credentials, doors=doors
    )


@pytest.mark.parametrize("key", MIX)
async def test_no_other_host_is_taken_for_a_miner_or_sent_more_than_a_read(key: str):
    async with await Farm.start(f"host/{key}", base=next_base()) as farm:
        host: Any = farm.miners[0]
        doors = await swept(host, farm)
        if key == "banner":
            await until(doors.unasked, within_s=5, every_s=0.01)
        if key == "ssh":
            with pytest.raises(UnreachableError):
                await met(host, farm, doors)
        elif key == EVERYTHING:
            with pytest.raises(WrongDeviceError, match="whatsminer and antminer and iceriver"):
                await met(host, farm, doors)
        elif key in HANGING:
            with pytest.raises(MinerError, match="no reply within"):
                await met(host, farm, doors)
        else:
            found = await met(host, farm, doors)
            assert isinstance(found, Stranger)
            assert found.banner
            assert found.ports == tuple(sorted(doors.open))
        check_only_read(host.wire_log)
        assert host.wire_log or key in {"ssh", "banner"}
        assert farm.ledger.of(phase="applied") == []
        assert doors.sockets == {}


async def test_what_speaks_before_it_is_asked_is_asked_nothing():
    async with await Farm.start("host/banner", base=next_base()) as farm:
        host: Any = farm.miners[0]
        doors = await swept(host, farm)
        await until(doors.unasked, within_s=5, every_s=0.01)
        found = await met(host, farm, doors)
        assert isinstance(found, Stranger)
        assert str(found.banner).startswith('{"STATUS":[{"STATUS":"S"')
        assert host.wire_log == []


async def test_one_with_the_ports_of_two_makes_is_none_and_is_sent_no_login():
    async with await Farm.start("antminer/s19pro", base=next_base()) as farm:
        farm.tap()
        miner: Any = farm.miners[0]
        doors = Doors(open=frozenset(farm.ports[kind] for kind in ("http", "rpc", "daemon")))
        with pytest.raises(WrongDeviceError, match="ports of two makes"):
            await met(miner, farm, doors)
        assert miner.wire_log
        check_only_read(miner.wire_log)


async def test_one_with_the_ports_of_two_makes_is_a_miner_if_it_tells_its_mac_to_anybody():
    async with await Farm.start("iceriver/ks5l", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        doors = Doors(open=frozenset(farm.ports[kind] for kind in ("http", "rpc", "daemon")))
        found = await met(miner, farm, doors)
        assert isinstance(found, MinerDriver)
        assert found.identity.mac == miner.mac
