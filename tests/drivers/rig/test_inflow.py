"""A connection that brings more than it was asked for, on the loop of the tests and on that of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
import uvloop

from drivers.rig.reach.inflow import SENDS_ON, Inflow


class _End(asyncio.Protocol):
    """Keeps how the connection ended."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


class _SendsOn(asyncio.Protocol):
    """The other side."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).write(b"x" * 100_000)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_is_cut_off(loop_factory: Callable[[], Any]) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_SendsOn, "127.0.0.1", 0)
        async with server, asyncio.timeout(10):
            port = server.sockets[0].getsockname()[1]
            transport, protocol = await Inflow(1000).create_connection(_End, "127.0.0.1", port)
            assert isinstance(protocol, _End)
            try:
                assert str(await protocol.ended) == SENDS_ON
            finally:
                transport.abort()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(play())
