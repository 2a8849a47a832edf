"""One exchange at a time, bounded in time and size, and honest about what was sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from contract.errors import (
    BadFirmwareError,
    MalformedError,
    OutcomeUnknownError,
    PolicyRefusedError,
    RefusedError,
    UnreachableError,
)
from contract.miner import Endpoint
from drivers.base import Timing
from drivers.wire import FileBody
from tests.drivers import servers
from tests.drivers.servers import FAST, serving, wire
from tests.virtual_time import VirtualClock


class ToEnd:
    """Takes all until the far side hangs up."""

    def __init__(self) -> None:
        self.data = b""

    def feed(self, data: bytes) -> bytes | None:
        self.data += data
        return None if data else self.data


class Refusal:
    def feed(self, data: bytes) -> bytes | None:
        raise RefusedError("it said no")


class Bug:
    def feed(self, data: bytes) -> bytes | None:
        raise ZeroDivisionError


class Leave:
    """An effect that only writes down when it was entered and left."""

    def __init__(self, refuses: Exception | None = None, delay_s: float = 0.0) -> None:
        self.notes: dict[str, object] = {}
        self.log: list[str] = []
        self.refuses = refuses
        self.delay_s = delay_s
        self.waits = asyncio.Event()
        self.free = asyncio.Event()
        self.free.set()

    async def note(self, key: str, value: object) -> None:
        self.notes[key] = value

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.log.append("waits")
        self.waits.set()
        await self.free.wait()
        self.log.append("has its turn")
        yield

    @property
    def may_send(self) -> bool:
        return self.free.is_set()

    @contextlib.asynccontextmanager
    async def sending(self, check: Callable[[], None] | None = None) -> AsyncIterator[None]:
        if self.refuses:
            raise self.refuses
        await asyncio.sleep(self.delay_s)
        if check is not None:
            check()
        self.log.append("entered")
        try:
            yield
        finally:
            self.log.append("left")


async def read(endpoint: Endpoint, *, deadline_s: float = 2.0, cap_bytes: int = 100_000) -> bytes:
    return await wire(endpoint).exchange(
        endpoint.http_port, b"ask", ToEnd(), deadline_s=deadline_s, cap_bytes=cap_bytes
    )


async def change(endpoint: Endpoint, effect: Leave, **options: object) -> bytes:
    given = {"deadline_s": 2.0, "cap_bytes": 100_000, "decoder": ToEnd()} | options
    decoder = given.pop("decoder")
    return await wire(endpoint).exchange(
        endpoint.http_port,
        b"do",
        decoder,
        effect=effect,
        **given,  # type: ignore[arg-type]
    )


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


async def test_an_effect_is_entered_before_the_first_byte_and_left_after():
    seen: list[bytes] = []
    effect = Leave()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        assert effect.log == ["entered"]
        writer.write(b"done")

    async with serving(behave) as endpoint:
        assert await change(endpoint, effect) == b"done"
    assert seen == [b"do"]
    assert effect.log == ["entered", "left"]


async def test_without_leave_not_a_byte_is_sent():
    seen: list[bytes] = []
    ended = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            seen.append(await reader.read(100))
        ended.set()

    async with serving(behave) as endpoint:
        with pytest.raises(PolicyRefusedError):
            await change(endpoint, Leave(refuses=PolicyRefusedError("not now")))
        await asyncio.wait_for(ended.wait(), 5)
    assert seen in ([b""], [])


async def test_a_failed_connect_of_a_write_takes_no_leave():
    effect = Leave()
    with pytest.raises(UnreachableError):
        await change(Endpoint(host=servers.address(), http_port=9), effect)
    assert effect.log == []


async def test_waiting_for_the_leave_does_not_count():
    async with serving(servers.answers(b"ok")) as endpoint:
        assert await change(endpoint, Leave(delay_s=0.4), deadline_s=0.2) == b"ok"


async def test_a_turn_is_waited_for_without_a_connection_and_the_miner_is_free_meanwhile():
    hung_up = asyncio.Event()
    got: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            data = await reader.read(100)
            if data == b"ask":
                writer.write(b"here")
            elif data:
                got.append(data)
                writer.write(b"done")
            await writer.drain()
        hung_up.set()

    async with serving(behave) as endpoint:
        effect, shared = Leave(), wire(endpoint)
        effect.free.clear()
        write = asyncio.create_task(
            shared.exchange(
                endpoint.http_port, b"do", ToEnd(), deadline_s=2.0, cap_bytes=1000, effect=effect
            )
        )
        await asyncio.wait_for(hung_up.wait(), 5)  # the first connection ends without a byte
        await asyncio.wait_for(effect.waits.wait(), 5)
        assert effect.log == ["waits"]
        assert not shared.is_busy
        ask = shared.exchange(endpoint.http_port, b"ask", ToEnd(), deadline_s=2.0, cap_bytes=1000)
        assert await asyncio.wait_for(ask, 5) == b"here"
        assert got == []
        effect.free.set()
        assert await asyncio.wait_for(write, 5) == b"done"
    assert got == [b"do"]
    assert effect.log == ["waits", "has its turn", "entered", "left"]


@pytest.mark.parametrize(("losses", "sent"), [(1, [b"do"]), (2, [])])
async def test_a_connection_lost_before_the_first_byte_is_made_anew_once(
    losses: int, sent: list[bytes]
):
    connections = 0
    got: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections <= losses:
            return  # it hangs up at once
        got.append(await reader.read(100))
        writer.write(b"done")

    async with serving(behave) as endpoint:
        effect = Leave(delay_s=0.2)
        if sent:
            assert await change(endpoint, effect) == b"done"
            assert effect.log == ["entered", "left"]
        else:
            with pytest.raises(UnreachableError, match="hung up before anything was sent"):
                await change(endpoint, effect)
            assert effect.log == []
    assert got == sent
    assert connections == 2


@pytest.mark.parametrize("behave", [servers.hangs, servers.resets, servers.endless, servers.drips])
async def test_once_a_byte_of_a_write_is_out_any_failure_is_unknown(behave: servers.Behaviour):
    effect = Leave()
    async with serving(behave) as endpoint:
        with pytest.raises(OutcomeUnknownError):
            await change(endpoint, effect, deadline_s=0.4)
    assert effect.log == ["entered", "left"]


async def test_a_refusal_that_was_decoded_stays_a_refusal():
    async with serving(servers.answers(b"no")) as endpoint:
        with pytest.raises(RefusedError, match="it said no"):
            await change(endpoint, Leave(), decoder=Refusal())


async def test_a_bug_in_a_decoder_reaches_the_caller_as_it_is():
    async with serving(servers.answers(b"x")) as endpoint:
        with pytest.raises(ZeroDivisionError):
            await wire(endpoint).exchange(
                endpoint.http_port, b"x", Bug(), deadline_s=2, cap_bytes=10
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
    effect = Leave()
    body = FileBody(path=tmp_path / "none", offset=0, size_bytes=1)
    async with serving(servers.answers(b"ok")) as endpoint:
        with pytest.raises(BadFirmwareError):
            await change(endpoint, effect, body=body)
    assert effect.log == []


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
            effect=Leave(),
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
                effect=Leave(),
                body=body,
            )
    assert b"image" not in b"".join(heard)
