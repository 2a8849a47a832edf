"""Whatever a server answers becomes a value or a named error; and the code stays with the server it belongs to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.rigmonitor.client import (
    AwayError,
    InvalidError,
    MonitorClient,
    MonitorError,
    RejectedError,
    UnknownCodeError,
    _judged,
)
from agent.sinks.rigmonitor.machines import ApiCode

CODE = ApiCode("the-secret-code")


@asynccontextmanager
async def answering(*parts: bytes, hold: bool = False) -> AsyncIterator[str]:
    """A server that says these bytes to whatever it is asked, and hangs up (or `hold`s the line)."""
    open_: set[asyncio.StreamWriter] = set()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if hold:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in open_:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def asked(
    url: str, ask: Callable[[MonitorClient], Awaitable[object]], timeout_s: float = 5.0
) -> object:
    client = MonitorClient(url, ca_file=None, timeout_s=timeout_s, at_once=4)
    try:
        return await ask(client)
    except MonitorError as error:
        found = error
    finally:
        await client.close()
    assert CODE.text not in str(found)
    return found


def reply(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (reply("401 No", b'{"message":"API_CODE invalid."}'), UnknownCodeError),
        (reply("401 No", b"<html>", "text/html"), UnknownCodeError),
        (reply("422 No", b'{"errors":{"power":["is invalid"]}}'), InvalidError),
        (reply("422 No", b"\xff\xfe"), InvalidError),
        (reply("404 No", b"not found"), RejectedError),
        (reply("406 No", b"{}"), RejectedError),
        (reply("302 Found", b""), RejectedError),
        (reply("429 Slow", b""), AwayError),
        (reply("500 Oh", b""), AwayError),
        (reply("200 OK", b"<html>login</html>", "text/html"), AwayError),
        (reply("200 OK", b"[" * 100_000), AwayError),
        (reply("200 OK", b'["no", "object"]'), AwayError),
        (reply("200 OK", b"null"), AwayError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", AwayError),
        (b"\x00\x01\x02 not http at all\r\n\r\n", AwayError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", AwayError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nzz", AwayError),
        (b"", AwayError),
    ],
)
async def test_a_bad_answer_is_a_named_error(raw: bytes, error: type[MonitorError]) -> None:
    async with answering(raw) as url:
        assert type(await asked(url, lambda client: client.expected(CODE))) is error


async def test_an_endless_answer_is_cut() -> None:
    body = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    async with answering(body, *[b" " * 65536] * 40, hold=True) as url:
        error = await asked(url, lambda client: client.expected(CODE))
        assert "too long" in str(error)


async def test_a_silent_server_is_given_up_in_time() -> None:
    async with answering(hold=True) as url:
        error = await asked(url, lambda client: client.expected(CODE), timeout_s=0.3)
        assert str(error) == "the monitor did not answer within 0.3 s"


async def test_an_empty_body_is_as_good_as_null() -> None:
    """The published text says so; the server sends `null`."""
    from contract.rigmonitor.asic import AsicSpec

    spec = AsicSpec(model="m", firmware_version="1", software_version="1")
    for body in (b"", b"null"):
        async with answering(reply("200 OK", body)) as url:
            assert await asked(url, lambda client: client.send_spec(CODE, spec)) is None


@given(st.integers(200, 599), st.binary(max_size=200))
def test_any_status_and_any_bytes_are_judged(status: int, body: bytes) -> None:
    with contextlib.suppress(MonitorError):
        _judged(status, body)


@pytest.mark.parametrize("status", ["401 No", "422 No", "400 No"])
async def test_a_server_that_repeats_the_code_does_not_get_it_into_our_words(status: str) -> None:
    for body in (f'{{"message": "{CODE.text} is bad"}}'.encode(), CODE.text.encode()):
        async with answering(reply(status, body)) as url:
            error = await asked(url, lambda client: client.expected(CODE))
            assert "****" in str(error)
            bulk = await asked(url, lambda client: client.expected_bulk((CODE,)))
            assert "****" in str(bulk)
