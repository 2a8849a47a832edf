"""One exchange at a time, bounded in time and size."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from contract.errors import (
    MalformedError,
    UnreachableError,
)
from contract.miner import Endpoint
from drivers.base import Timing
from tests.drivers import servers
from tests.drivers.exchange import ToEnd, read
from tests.drivers.servers import FAST, serving, wire
from tests.virtual_time import VirtualClock


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_reply_is_what_the_decoder_makes_of_the_bytes():
    async with serving(servers.answers(b"hello")) as endpoint:
        assert await read(endpoint) == b"hello"


async def test_a_refused_connection_is_unreachable_and_says_so():
    endpoint = Endpoint(host=servers.address(), http_port=9)
    with pytest.raises(UnreachableError, match="refuses"):
        await read(endpoint)


async def test_a_hanging_miner_is_named_by_the_deadline():
    async with serving(servers.hangs) as endpoint:
        began = asyncio.get_running_loop().time()
        with pytest.raises(MalformedError, match="hangs"):
            await read(endpoint, deadline_s=0.3)
        assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_dripping_miner_does_not_prolong_its_deadline():
    async with serving(servers.drips) as endpoint:
        began = asyncio.get_running_loop().time()
        with pytest.raises(MalformedError, match="did not end"):
            await read(endpoint, deadline_s=0.4)
        assert asyncio.get_running_loop().time() - began < 1.5


async def test_endless_bytes_end_at_the_cap():
    async with serving(servers.endless) as endpoint:
        with pytest.raises(MalformedError, match="more than 100000 bytes"):
            await read(endpoint)


async def test_a_reset_in_a_read_is_malformed_not_unreachable():
    async with serving(servers.resets) as endpoint:
        decoder = ToEnd()
        with pytest.raises(MalformedError):
            # An EOF would end this decoder with success; a reset must not.
            await wire(endpoint).exchange(
                endpoint.http_port, b"x", decoder, deadline_s=2, cap_bytes=100
            )


async def test_exchanges_with_one_miner_never_overlap():
    running = peak = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await reader.read(10)
        await asyncio.sleep(0.02)
        running -= 1
        writer.write(b"ok")

    async with serving(behave) as endpoint:
        line = wire(endpoint)

        async def one() -> bytes:
            return await line.exchange(
                endpoint.http_port, b"x", ToEnd(), deadline_s=5, cap_bytes=100
            )

        assert await asyncio.gather(*(one() for _ in range(5))) == [b"ok"] * 5
    assert peak == 1


async def test_waiting_for_the_turn_does_not_count():
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        await asyncio.sleep(0.3)
        writer.write(b"ok")

    async with serving(behave) as endpoint:
        line = wire(endpoint)
        both = [
            line.exchange(endpoint.http_port, b"x", ToEnd(), deadline_s=0.5, cap_bytes=100)
            for _ in range(3)
        ]
        assert await asyncio.gather(*both) == [b"ok"] * 3


async def test_a_quiet_window_delays_exchanges_and_probes():
    async with serving(servers.answers(b"ok")) as endpoint:
        line = wire(endpoint)
        line.quiet_for(0.3)
        began = asyncio.get_running_loop().time()
        assert await line.probe(endpoint.http_port)
        assert asyncio.get_running_loop().time() - began >= 0.29


async def test_a_probe_says_whether_somebody_listens():
    async with serving(servers.hangs) as endpoint:
        assert await wire(endpoint).probe(endpoint.http_port)
        assert not await wire(endpoint).probe(9)


@pytest.mark.real_time  # a loop that is held up: virtual time would not pass meanwhile
async def test_a_busy_moment_of_our_own_host_is_no_outage():
    async with serving(servers.hangs) as endpoint:
        line = wire(endpoint)
        asyncio.get_running_loop().call_soon(time.sleep, servers.FAST.connect_s + 0.05)
        assert await line.probe(endpoint.http_port)


async def test_no_file_descriptor_outlives_its_exchange():
    async with serving(servers.hangs) as hanging, serving(servers.endless) as flooding:
        before = open_files()
        for endpoint in (hanging, flooding) * 5:
            with pytest.raises(MalformedError):
                await read(endpoint, deadline_s=0.05)
        for _ in range(200):
            if open_files() <= before:
                break
            await asyncio.sleep(0.01)
        # The far side of each connection lives in this process too, until it notices.
        assert open_files() <= before + 10


async def test_a_cancelled_exchange_frees_the_turn():
    async with serving(servers.hangs) as endpoint:
        line = wire(endpoint)
        task = asyncio.create_task(
            line.exchange(endpoint.http_port, b"x", ToEnd(), deadline_s=30, cap_bytes=10)
        )
        while not line.is_busy:  # noqa: ASYNC110 - the next turn of the loop
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await line.probe(endpoint.http_port)


async def test_a_silent_address_costs_the_connect_patience_only():
    timing = Timing(connect_s=0.2)
    # 192.0.2.0/24 is for documentation; where it is answered at once by a router, that is unreachable as well.
    line = servers.Wire(Endpoint(host="192.0.2.1"), VirtualClock(), timing)
    began = asyncio.get_running_loop().time()
    with pytest.raises(UnreachableError):
        await line.exchange(80, b"x", ToEnd(), deadline_s=10, cap_bytes=10)
    assert asyncio.get_running_loop().time() - began < 3
    assert FAST.connect_s > timing.connect_s
