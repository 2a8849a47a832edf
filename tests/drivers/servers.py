"""Tiny far sides on real sockets, each with one way of behaving."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from contract.miner import Endpoint
from drivers.base import Timing
from drivers.wire import Wire
from tests.virtual_time import loop_clock

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_counter = itertools.count(1)
FAST = Timing(connect_s=2.0, read_s=5.0, write_s=5.0, log_s=5.0, upload_s=10.0)


def address() -> str:
    """A loopback address that no other test of this run uses: by worker and by call."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 30
    number = next(_counter)
    return f"127.{30 + worker}.{number // 250 % 250}.{number % 250 + 1}"


def block() -> str:
    """The first of 250 addresses that nobody else uses, for a farm."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 30
    return f"127.{60 + worker}.{next(_counter) % 250}.1"


@asynccontextmanager
async def serving(behave: Behaviour, host: str | None = None) -> AsyncIterator[Endpoint]:
    """A server that behaves so for every connection, at an address of its own unless one is given; both ports of the
    endpoint are its port.
    """
    host = host or address()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await behave(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, host, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Endpoint(host=host, http_port=port, rpc_port=port)
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        while tasks:  # noqa: ASYNC110 - they end within a few turns of the loop
            await asyncio.sleep(0)
        await server.wait_closed()


def answers(*replies: bytes) -> Behaviour:
    """Reads one request and gives the next reply, the last one for ever."""
    left = list(replies)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return behave


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(65536)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def wire(endpoint: Endpoint, timing: Timing = FAST) -> Wire:
    return Wire(endpoint, loop_clock(), timing)
