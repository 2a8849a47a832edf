"""Connections that are there before the first question, and those that are kept for the next one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contract.errors import MalformedError
from contract.miner import Endpoint
from drivers.doors import Doors
from drivers.http_client import HttpClient
from drivers.protocol.cgminer import NulDecoder
from drivers.wire import Wire
from tests.drivers.servers import FAST, Behaviour, hangs, serving, wire
from tests.waiting import until


class Counted:
    """A server that counts its connections; `keeps`: how many requests it answers on one."""

    def __init__(self, keeps: int = 1000, head: bytes = b"", tail: bytes = b"") -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self._keeps, self._head, self._tail = keeps, head, tail

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for _ in range(self._keeps):
            request = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(request)
            body = b"%d" % len(self.requests)
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(body), self._head)
            writer.write(head + body + self._tail)


async def three_reads(on: Wire) -> list[bytes]:
    web = HttpClient(on)
    with on.keeping(on.endpoint.http_port):
        return [(await web.send("GET", "/")).body for _ in range(3)]


async def test_reads_follow_each_other_on_one_connection():
    server = Counted()
    async with serving(server) as endpoint:
        on = wire(endpoint)
        assert await three_reads(on) == [b"1", b"2", b"3"]
        assert server.connections == 1
        assert all(b"Connection: keep-alive\r\n" in each for each in server.requests)
        assert (await HttpClient(on).send("GET", "/")).body == b"4"
        assert server.connections == 2, "nothing is kept behind the scope"
        assert b"Connection: close\r\n" in server.requests[-1]


@pytest.mark.parametrize(
    "server",
    [
        Counted(keeps=1),  # hangs up without a word, as some old ones do
        Counted(head=b"Connection: close\r\n"),
        Counted(tail=b"\r\n\r\n"),  # what follows is no answer to the next question
    ],
    ids=["hangs up", "says that it closes", "sends more"],
)
async def test_a_server_that_keeps_none_is_asked_on_new_ones(server: Counted):
    async with serving(server) as endpoint:
        assert await three_reads(wire(endpoint)) == [b"1", b"2", b"3"]
        assert server.connections == 3


async def test_a_hang_on_a_kept_connection_is_not_asked_again():
    asked: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await asyncio.Event().wait()

    async with serving(once) as endpoint:
        on = wire(endpoint)
        web = HttpClient(on)
        with on.keeping(endpoint.http_port):
            await web.send("GET", "/")
            with pytest.raises(MalformedError, match="hangs"):
                await web.send("GET", "/", deadline_s=0.2)
        assert len(asked) == 2


@asynccontextmanager
async def doors_to(behave: Behaviour) -> AsyncIterator[tuple[Endpoint, Doors]]:
    """A server, and a connection to it that a sweep made."""
    async with serving(behave) as endpoint:
        sock = socket.create_connection((endpoint.host, endpoint.rpc_port))
        sock.setblocking(False)
        port = endpoint.rpc_port
        yield endpoint, Doors(open=frozenset({port}), sockets={port: sock})


def ask(on: Wire, deadline_s: float = 2.0) -> asyncio.Future[bytes]:
    return asyncio.ensure_future(
        on.exchange(
            on.endpoint.rpc_port,
            b"?\r\n\r\n",
            NulDecoder(),
            deadline_s=deadline_s,
            cap_bytes=1000,
        )
    )


async def test_the_swept_connection_carries_the_first_question_and_no_other():
    server = Counted()
    async with doors_to(server) as (endpoint, doors):
        on = wire(endpoint)
        with on.entering(doors) as heard:
            web = HttpClient(on)
            assert (await web.send("GET", "/")).body == b"1"
            assert server.connections == 1
            assert (await web.send("GET", "/")).body == b"2"
            assert server.connections == 2
        assert heard == {endpoint.http_port: heard[endpoint.http_port]}
        assert heard[endpoint.http_port].startswith(b"HTTP/1.1 200 OK")
        assert doors.sockets == {}


async def test_a_swept_connection_that_is_dead_is_replaced_by_one_new_one():
    connections = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections > 1:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"here\0")

    async with doors_to(behave) as (endpoint, doors):
        on = wire(endpoint)
        await until(lambda: connections)
        with on.entering(doors):
            assert await ask(on) == b"here"
    assert connections == 2


async def test_a_swept_connection_to_a_silent_host_is_not_tried_again():
    async with doors_to(hangs) as (endpoint, doors):
        on = wire(endpoint, FAST)
        with on.entering(doors), pytest.raises(MalformedError, match="hangs"):
            await ask(on, 0.2)
        assert doors.sockets == {}


async def test_doors_that_nobody_took_are_closed():
    async with doors_to(hangs) as (endpoint, doors):
        (sock,) = doors.sockets.values()
        with wire(endpoint).entering(doors):
            pass
        assert sock.fileno() == -1
