"""An exchange that changes something: by leave only, and honest about what was sent."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from contract.errors import (
    OutcomeUnknownError,
    PolicyRefusedError,
    RefusedError,
    UnreachableError,
)
from contract.miner import Endpoint
from tests.drivers import servers
from tests.drivers.exchange import Bug, Leave, Refusal, ToEnd, change
from tests.drivers.servers import serving, wire


async def test_an_effect_is_entered_before_the_first_byte_and_left_after():
    seen: list[bytes] = []
    permit = Leave()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        assert permit.log == ["entered"]
        writer.write(b"done")

    async with serving(behave) as endpoint:
        assert await change(endpoint, permit) == b"done"
    assert seen == [b"do"]
    assert permit.log == ["entered", "left"]


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
    permit = Leave()
    with pytest.raises(UnreachableError):
        await change(Endpoint(host=servers.address(), http_port=9), permit)
    assert permit.log == []


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
        permit, shared = Leave(), wire(endpoint)
        permit.free.clear()
        write = asyncio.create_task(
            shared.exchange(
                endpoint.http_port, b"do", ToEnd(), deadline_s=2.0, cap_bytes=1000, permit=permit
            )
        )
        await asyncio.wait_for(hung_up.wait(), 5)  # the first connection ends without a byte
        await asyncio.wait_for(permit.waits.wait(), 5)
        assert permit.log == ["waits"]
        assert not shared.is_busy
        ask = shared.exchange(endpoint.http_port, b"ask", ToEnd(), deadline_s=2.0, cap_bytes=1000)
        assert await asyncio.wait_for(ask, 5) == b"here"
        assert got == []
        permit.free.set()
        assert await asyncio.wait_for(write, 5) == b"done"
    assert got == [b"do"]
    assert permit.log == ["waits", "has its turn", "entered", "left"]


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
        permit = Leave(delay_s=0.2)
        if sent:
            assert await change(endpoint, permit) == b"done"
            assert permit.log == ["entered", "left"]
        else:
            with pytest.raises(UnreachableError, match="hung up before anything was sent"):
                await change(endpoint, permit)
            assert permit.log == []
    assert got == sent
    assert connections == 2


@pytest.mark.parametrize("behave", [servers.hangs, servers.resets, servers.endless, servers.drips])
async def test_once_a_byte_of_a_write_is_out_any_failure_is_unknown(behave: servers.Behaviour):
    permit = Leave()
    async with serving(behave) as endpoint:
        with pytest.raises(OutcomeUnknownError):
            await change(endpoint, permit, deadline_s=0.4)
    assert permit.log == ["entered", "left"]


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
