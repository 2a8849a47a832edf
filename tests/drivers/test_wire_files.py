"""An exchange of several parts: a file between head and tail, a dialogue, a slow sink."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from contract.errors import (
    BadFirmwareError,
    MalformedError,
    OutcomeUnknownError,
)
from drivers.wire import FileBody
from tests.drivers import servers
from tests.drivers.exchange import Leave, change
from tests.drivers.servers import serving, wire


async def test_a_file_is_streamed_between_head_and_tail(tmp_path: Path):
    path = tmp_path / "image"
    content = os.urandom(3_000_000)
    path.write_bytes(content)
    got = bytearray()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(got) < 2 + 2_500_000 + 4:
            got.extend(await reader.read(65536))
        writer.write(b"stored")

    body = FileBody(path=path, offset=100, size_bytes=2_500_000, tail=b"TAIL")
    async with serving(behave) as endpoint:
        assert await change(endpoint, Leave(), body=body, deadline_s=10) == b"stored"
    assert bytes(got) == b"do" + content[100:2_500_100] + b"TAIL"


async def test_an_answer_in_the_middle_of_an_upload_is_heard(tmp_path: Path):
    path = tmp_path / "image"
    path.write_bytes(b"x" * 20_000_000)

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"too big")
        writer.write_eof()
        await asyncio.sleep(5)

    body = FileBody(path=path, offset=0, size_bytes=20_000_000)
    async with serving(behave) as endpoint:
        assert await change(endpoint, Leave(), body=body, deadline_s=4) == b"too big"


async def test_a_missing_file_is_found_out_before_anything_is_sent(tmp_path: Path):
    permit = Leave()
    body = FileBody(path=tmp_path / "none", offset=0, size_bytes=1)
    async with serving(servers.answers(b"ok")) as endpoint:
        with pytest.raises(BadFirmwareError):
            await change(endpoint, permit, body=body)
    assert permit.log == []


async def test_a_slow_sink_holds_the_miner_back():
    sent = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.read(10)
        writer.transport.set_write_buffer_limits(high=65536)
        for _ in range(400):
            writer.write(b"y" * 65536)
            await writer.drain()
            sent += 65536

    class Slow:
        total = 0

        def feed(self, data: bytes) -> int | None:
            self.total += len(data)
            return None if data else self.total

        async def drain(self) -> None:
            gap.append(sent - self.total)
            await asyncio.sleep(0.001)

    gap: list[int] = []
    sink = Slow()
    async with serving(behave) as endpoint:
        total = await wire(endpoint).exchange(
            endpoint.http_port, b"x", sink, deadline_s=20, cap_bytes=1 << 30, sink=sink
        )
    assert total == 400 * 65536
    assert max(gap) < 16_000_000  # what the kernel's buffers hold, not what we do


class Dialogue:
    """Asks `b` once `A` came; the reply is what comes after that."""

    def __init__(self, word: bytes | None = b"b") -> None:
        self.data = b""
        self.word = word

    def feed(self, data: bytes) -> bytes | None:
        self.data += data
        if not data:
            raise MalformedError("cut")
        return self.data if self.data.endswith(b"END") else None

    def say(self) -> bytes | None:
        if self.data != b"A":
            return None
        word, self.word = self.word, None
        return word


async def test_a_decoder_may_ask_on_within_one_connection():
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.write(b"A")
        heard.append(await reader.read(100))
        writer.write(b"END")
        await reader.read(100)

    async with serving(answer) as endpoint:
        reply = await wire(endpoint).exchange(
            endpoint.rpc_port, b"a", Dialogue(), deadline_s=2.0, cap_bytes=100
        )
    assert (reply, heard) == (b"AEND", [b"a", b"b"])


async def test_a_file_that_waits_for_a_word_is_sent_after_it_and_not_before(tmp_path: Path):
    path = tmp_path / "image"
    path.write_bytes(b"image")
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.write(b"A")
        heard.append(await reader.readexactly(6))
        writer.write(b"END")
        await reader.read(100)

    async with serving(answer) as endpoint:
        body = FileBody(path=path, offset=0, size_bytes=5, after_word=True)
        await wire(endpoint).exchange(
            endpoint.rpc_port,
            b"a",
            Dialogue(),
            deadline_s=2.0,
            cap_bytes=100,
            permit=Leave(),
            body=body,
        )
    assert heard == [b"a", b"bimage"]


async def test_a_file_is_never_sent_when_the_word_does_not_come(tmp_path: Path):
    path = tmp_path / "image"
    path.write_bytes(b"image")
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.write(b"?")
        heard.append(await reader.read(100))

    async with serving(answer) as endpoint:
        body = FileBody(path=path, offset=0, size_bytes=5, after_word=True)
        with pytest.raises(OutcomeUnknownError):
            await wire(endpoint).exchange(
                endpoint.rpc_port,
                b"a",
                Dialogue(),
                deadline_s=0.3,
                cap_bytes=100,
                permit=Leave(),
                body=body,
            )
    assert b"image" not in b"".join(heard)
