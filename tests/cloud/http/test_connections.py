"""Many connections that say nothing, or say it slowly: nobody else waits for them."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cloud.config import CloudSettings
from cloud.context import SETTINGS
from cloud.http.auth import AGENT
from cloud.http.bodies import AWAITED_SINCE, read_body
from cloud.http.listener import CloudListener, connections_within
from cloud.server import create_runner
from tests.cloud.conftest import Cloud
from tests.cloud.test_cli import ask, certificate, serving
from tests.waiting import until

# Both limits at once, so that the process cannot lift them.
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))"
LIMITED = (sys.executable, "-c", f"{LIMIT}; from cloud.cli import main; main()")
IDLE = 2000
ENOUGH = web.AppKey("enough", asyncio.Event)
LONG = b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def many_files():
    """This process holds the far ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 500:
        pytest.skip(f"a process may have {hard} open files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_two_thousand_idle_connections_and_1024_files_hold_up_no_operator(
    tmp_path: Path, many_files
):
    made = await asyncio.to_thread(ask, tmp_path, "workspace", "create", "--name", "W")
    words = ("key", "create", "--name", "K", "--workspace", made["id"])
    headers = {"x-api-key": (await asyncio.to_thread(ask, tmp_path, *words))["key"]}
    silent: list[socket.socket] = []
    try:
        async with serving(tmp_path, program=LIMITED) as (url, _):
            port = int(url.rpartition(":")[2])
            silent += (socket.create_connection(("127.0.0.1", port)) for _ in range(IDLE))
            took_s = []
            # Three operators: this host may be busy with something else while one of them asks.
            for _ in range(3):
                began = time.perf_counter()
                async with (
                    aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
                    http.get(
                        f"{url}/private-api/v1/{made['id']}/farms", headers=headers
                    ) as response,
                ):
                    assert response.status == 200
                took_s.append(time.perf_counter() - began)
            assert min(took_s) < 1
    finally:
        for each in silent:
            each.close()


@asynccontextmanager
async def listening(
    cloud: Cloud, most: int, **options: Any
) -> AsyncIterator[tuple[CloudListener, web.AppRunner]]:
    """A second door of the same cloud's application."""
    app = web.Application(handler_args=cloud.app._handler_args)
    app[ENOUGH] = asyncio.Event()
    app.router.add_get("/long", _long)
    app.router.add_get("/health", _short)
    app[SETTINGS] = cloud.settings
    app.router.add_post("/said", _read)
    app.router.add_post("/known", _read)
    app.router.add_get("/large", _large)
    runner = create_runner(app)
    await runner.setup()
    listener = CloudListener(runner, "127.0.0.1", 0, cloud.settings, most=most, **options)
    await listener.start()
    try:
        yield listener, runner
    finally:
        await runner.cleanup()


async def _long(request: web.Request) -> web.Response:
    await request.app[ENOUGH].wait()
    return web.Response(text="at last")


async def _read(request: web.Request) -> web.Response:
    if request.path == "/known":
        request[AGENT] = {}
    await read_body(request, 100)
    return web.Response(text="read")


async def _large(request: web.Request) -> web.Response:
    assert request.transport is not None
    # What is unread fills the kernel's buffer; of our own, a little or as much as there is.
    request.transport.set_write_buffer_limits(2**30 if "whole" in request.query else 2**16)
    return web.Response(body=bytes(8 * 2**20))


async def _short(_request: web.Request) -> web.Response:
    return web.Response(text="well")


async def answered(port: int, tls: ssl.SSLContext | None = None) -> bool:
    """Whether a new client gets its answer."""
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            with closing(writer):
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return b"well" in await reader.read()
    except ConnectionError:
        return False


async def gone(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(10):
            return await reader.read() == b""
    except ConnectionError:
        return True


async def test_who_waits_longest_makes_room_and_who_is_being_answered_stays(cloud: Cloud):
    async with listening(cloud, most=3) as (door, runner):
        busy_reader, busy = await asyncio.open_connection("127.0.0.1", door.port)
        busy.write(LONG)
        await until(lambda: _busy(runner) == 1)
        first, first_writer = await asyncio.open_connection("127.0.0.1", door.port)
        await until(lambda: len(runner.server.connections) == 2)
        second, second_writer = await asyncio.open_connection("127.0.0.1", door.port)
        await until(lambda: len(runner.server.connections) == 3)
        assert await answered(door.port)
        assert await gone(first)
        assert not second.at_eof()
        assert _busy(runner) == 1
        assert not busy_reader.at_eof()
        runner.app[ENOUGH].set()
        for each in (busy, first_writer, second_writer):
            each.close()


patient = pytest.mark.parametrize(
    "settings", [{"idle_s": 60.0, "body_wait_s": 60.0}], indirect=True, ids=["patient"]
)


@patient
async def test_who_is_unknown_and_keeps_back_a_body_makes_room_too(cloud: Cloud):
    head = " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    async with listening(cloud, most=2) as (door, runner):
        known, known_writer = await asyncio.open_connection("127.0.0.1", door.port)
        known_writer.write(f"POST /known{head}".encode())
        await until(lambda: _busy(runner) == 1)
        unknown, unknown_writer = await asyncio.open_connection("127.0.0.1", door.port)
        unknown_writer.write(f"POST /said{head}".encode())
        await until(lambda: _awaited(runner) == 1)
        assert await answered(door.port)
        assert await gone(unknown)
        known_writer.write(b"word")
        async with asyncio.timeout(10):
            assert b"200 OK" in await known.readline()
        known_writer.close()
        unknown_writer.close()


@patient
@pytest.mark.parametrize(
    "asked", ["/large HTTP/1.1\r\n", "/large?whole HTTP/1.1\r\nConnection: close\r\n"]
)
async def test_who_is_unknown_and_reads_no_answer_makes_room_too(cloud: Cloud, asked: str):
    async with listening(cloud, most=2) as (door, runner):
        busy_reader, busy = await asyncio.open_connection("127.0.0.1", door.port)
        busy.write(LONG)
        await until(lambda: _busy(runner) == 1)
        with closing(socket.create_connection(("127.0.0.1", door.port), timeout=10)) as deaf:
            deaf.sendall(f"GET {asked}Host: x\r\n\r\n".encode())
            await until(lambda: _unread(runner) == 1)
            assert await answered(door.port)
            await until(lambda: len(runner.server.connections) == 1)
        assert not busy_reader.at_eof()
        runner.app[ENOUGH].set()
        busy.close()


async def test_who_reads_no_answer_before_it_goes_is_not_waited_for(cloud: Cloud):
    async with listening(cloud, most=9) as (door, runner):
        with closing(socket.create_connection(("127.0.0.1", door.port), timeout=10)) as deaf:
            deaf.sendall(b"GET /large?whole HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: len(runner.server.connections) == 1)
            await until(lambda: not runner.server.connections)  # after twice idle_s
            assert _unread(runner) == 0


async def test_an_address_that_this_host_lacks_is_left_out_while_there_is_another(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
):
    """As `localhost` has one of IPv6 on hosts without."""
    found = {"both": ("192.0.2.1", "127.0.0.1"), "none": ("192.0.2.1",)}

    async def look_up(host: str, port: int, **_kinds: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, port)) for address in found[host]]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    runner = create_runner(web.Application())
    await runner.setup()
    try:
        listener = CloudListener(runner, "both", 0, cloud.settings, most=10)
        await listener.start()
        with closing(socket.create_connection(("127.0.0.1", listener.port), timeout=10)):
            pass
        with pytest.raises(OSError, match=r"cannot listen on none port 0 .*: cannot assign"):
            await CloudListener(runner, "none", 0, cloud.settings, most=10).start()
    finally:
        await runner.cleanup()


async def test_where_all_are_being_answered_the_next_is_refused(cloud: Cloud):
    async with listening(cloud, most=2) as (door, runner):
        lines = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
        for _, writer in lines:
            writer.write(LONG)
        await until(lambda: _busy(runner) == 2)
        assert not await answered(door.port)
        runner.app[ENOUGH].set()
        await until(lambda: _busy(runner) == 0)
        assert await answered(door.port)
        for _, writer in lines:
            writer.close()


async def test_who_never_begins_to_speak_tls_makes_room_too(cloud: Cloud, tmp_path: Path):
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    trust = ssl.create_default_context(cafile=str(cert))
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    # No handshake ends by its own time within this test.
    options: dict[str, Any] = {"ssl_context": context, "handshake_s": 3600.0}
    async with listening(cloud, most=20, **options) as (door, _):
        silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(100)]
        assert await answered(door.port, trust)
        assert await gone(silent[0][0])
        for _, writer in silent:
            writer.close()
    assert faults == []


async def test_a_handshake_has_its_time(cloud: Cloud, tmp_path: Path):
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with listening(cloud, most=20, ssl_context=context, handshake_s=0.1) as (door, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert await gone(reader)
        writer.close()


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> CloudSettings:
    few = {"idle_s": 0.4, "body_wait_s": 0.2, "body_bytes_per_s": 2**30, "agent_calls_max": 2}
    return CloudSettings(data=tmp_path, **few | getattr(request, "param", {}))


async def test_a_head_that_comes_byte_by_byte_is_not_waited_for(cloud: Cloud):
    reader, writer = await _connect(cloud)
    ended = asyncio.create_task(gone(reader))
    for byte in b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * 10_000:
        if ended.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)
    assert ended.done()
    assert await ended
    writer.close()


async def test_a_long_poll_is_no_idle_connection(cloud: Cloud):
    agent = await cloud.agent()
    answer = await agent.claim(wait_s=1.0)  # more than twice as long as an idle one may last
    assert answer["tasks"] == []


async def test_a_body_that_comes_byte_by_byte_is_not_waited_for(cloud: Cloud):
    reader, writer = await _connect(cloud)
    writer.write(
        b"POST /link/v1/enroll HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"{" * 10
    )
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    async with asyncio.timeout(10):
        body = json.loads((await reader.read()) or b"{}")
    assert (body["statusCode"], body["error"]) == (408, "Request Timeout")
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, where plain http is spoken
    ],
    ids=["words", "too long", "header", "tls"],
)
async def test_what_is_no_http_is_refused_in_the_documented_body(cloud: Cloud, head: bytes):
    reader, writer = await _connect(cloud)
    writer.write(head)
    async with asyncio.timeout(10):
        answer = await reader.read()
    words, _, body = answer.partition(b"\r\n\r\n")
    assert words.startswith(b"HTTP/1.0 400 ")
    assert b"application/json" in words
    refused = json.loads(body)
    assert (refused["statusCode"], refused["error"]) == (400, "Bad Request")
    assert set(refused) == {"statusCode", "message", "error"}
    writer.close()


@pytest.mark.parametrize(
    "settings", [{"body_wait_s": 60.0}], indirect=True, ids=["time for bodies"]
)
async def test_an_agent_is_answered_a_few_calls_at_a_time(cloud: Cloud):
    agent = await cloud.agent()
    head = (
        f"POST /link/v1/readings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {agent.token}\r\n"
        "Content-Length: 2\r\n\r\n"
    ).encode()

    async def call() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await _connect(cloud)
        writer.write(head)
        return reader, writer

    async def status_of(reader: asyncio.StreamReader) -> int:
        async with asyncio.timeout(10):
            return int((await reader.readuntil(b"\r\n\r\n")).split()[1])

    lines = [await call() for _ in range(2)]
    await until(lambda: [each.calls for each in cloud.app_sessions.values()] == [2])
    lines.append(await call())
    assert await status_of(lines[2][0]) == 429
    for reader, writer in lines[:2]:
        writer.write(b"{}")
        assert await status_of(reader) == 400
    for _, writer in lines:
        writer.close()
    assert (await agent.claim())["tasks"] == []  # and then again


def test_some_of_the_files_are_left_for_what_is_no_connection(tmp_path: Path):
    settings = CloudSettings(data=tmp_path)
    assert connections_within(1024, settings) == 896
    assert connections_within(65_536, settings) == settings.connections_max
    assert connections_within(32, settings) == 1


async def _connect(cloud: Cloud) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(cloud.base.rpartition(":")[2]))


def _busy(runner: web.AppRunner) -> int:
    assert runner.server is not None
    return sum(each.waits_since is None for each in runner.server.connections)


def _awaited(runner: web.AppRunner) -> int:
    """Of how many the body is waited for, and nobody knows who they are."""
    assert runner.server is not None
    requests = [each._current_request for each in runner.server.connections]
    return sum(each is not None and AWAITED_SINCE in each for each in requests)


def _unread(runner: web.AppRunner) -> int:
    """How many have an answer that they do not read."""
    assert runner.server is not None
    return sum(each._unread_since is not None for each in runner.server.connections)
