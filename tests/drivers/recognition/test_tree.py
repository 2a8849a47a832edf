"""How few questions tell who answers, and what a host that tells nothing costs."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
import pytest

from contract.errors import MalformedError, UnreachableError
from contract.miner import Endpoint, Identity, Make
from contract.ports import PORTS
from drivers.base import Credentials, Timing
from drivers.doors import Doors
from drivers.registry import recognise
from drivers.stranger import Stranger
from simulator.farm import Farm
from tests.drivers.meeting import meet
from tests.drivers.servers import Behaviour, address, answers, block, hangs, serving
from tests.virtual_time import VirtualClock
from tests.waiting import until

TIMING: Final = Timing(connect_s=2.0, read_s=5.0)


def login(identity: Identity) -> Credentials:
    return Credentials("root", "root") if identity.make is Make.ANTMINER else Credentials("a", "a")


def endpoint_of(miner: Any) -> Endpoint:
    ports = {name: getattr(miner, name, None) or 9 for name in PORTS}
    return Endpoint(host=miner.ip, **ports)


def swept(endpoint: Endpoint) -> Doors:
    """The ports of a host as a sweep sees them, all that are open with their connections."""
    doors = Doors(sockets={})
    for name in PORTS:
        port = getattr(endpoint, name)
        try:
            sock = socket.create_connection((endpoint.host, port))
        except ConnectionRefusedError:
            doors.refused |= {port}
            continue
        sock.setblocking(False)
        doors.open |= {port}
        doors.sockets[port] = sock
    return doors


async def until_accepted(miner: Any, count: int) -> None:
    await until(lambda: miner.connections >= count)


@pytest.mark.parametrize(
    ("key", "more"),
    [
        # beside the connections that the sweep left open, one at each port
        (
            "antminer/s21",
            1,
        ),  # version; 401 and info on one, which its web server then closes; kind of miner
        ("antminer/s21hyd", 0),  # its web server keeps the line
        ("antminer/s9", 1),  # statistics too: foreign firmware of its time shows itself there
        ("whatsminer/m60s", 0),  # 4433 says all
        ("whatsminer/m50s", 3),  # version, version of the API, info, boards
        ("whatsminer/m20s", 2),  # version, version of the API, summary and boards in one
        ("iceriver/ks5l", 0),  # page and panel
        ("iceriver/ks0-pbfarmer", 0),  # page; info and network of the daemon on one
        ("foreign/luxos", 0),
        ("foreign/vnish-old", 0),
    ],
)
async def test_few_connections_tell_who_it_is(key: str, more: int) -> None:
    async with await Farm.start(f"{key}:1", base=block()) as farm:
        miner: Any = farm.miners[0]
        endpoint = endpoint_of(miner)
        doors = swept(endpoint)
        left_open = len(doors.sockets)
        await until_accepted(miner, left_open)
        driver = await meet(endpoint, login, TIMING, doors=doors)
        assert driver.make == getattr(miner, "make", None)
        assert miner.connections - left_open == more
        assert doors.sockets == {}


async def test_a_mixed_fleet_takes_three_connections_of_a_miner_at_most_on_average() -> None:
    keys = "antminer/s21,antminer/s19pro,antminer/s9,whatsminer/m50s,whatsminer/m60s,iceriver/ks5l"
    async with await Farm.start(keys, base=block()) as farm:
        miners: list[Any] = farm.miners
        for miner in miners:
            endpoint = endpoint_of(miner)
            doors = swept(endpoint)
            doors.close()
            await until_accepted(miner, len(doors.open))
            miner.connections = 0
            await meet(endpoint, login, TIMING, doors=doors)
        assert sum(miner.connections for miner in miners) <= 3 * len(miners)


async def test_ports_that_a_sweep_saw_refused_are_not_asked_again() -> None:
    async with await Farm.start("iceriver/ks5l", base=block()) as farm:
        miner: Any = farm.miners[0]
        everywhere = endpoint_of(miner)
        doors = Doors(refused=frozenset({everywhere.http_port, 9}))
        driver = await meet(everywhere, login, TIMING, doors=doors)
        assert driver.identity.mac == miner.mac
        assert miner.connections == 1, "by its daemon alone, on one connection"


async def test_an_api_that_was_silent_while_sweeping_is_asked_before_the_miner_counts_as_half_up() -> (
    None
):
    async with await Farm.start("antminer/s21", base=block()) as farm:
        miner: Any = farm.miners[0]
        endpoint = endpoint_of(miner)
        driver = await meet(
            endpoint, login, TIMING, doors=Doors(open=frozenset({endpoint.http_port}))
        )
        assert driver.identity.drivable


# --- hosts that tell nothing ---------------------------------------------------------------------


@asynccontextmanager
async def everywhere(behave: Behaviour) -> AsyncIterator[tuple[Endpoint, Doors]]:
    """A host that listens on all ports a miner may have."""
    async with AsyncExitStack() as on:
        host = address()
        ports = {
            name: (await on.enter_async_context(serving(behave, host))).rpc_port for name in PORTS
        }
        yield Endpoint(host=host, **ports), Doors(open=frozenset(ports.values()))


@asynccontextmanager
async def api_alone(behave: Behaviour) -> AsyncIterator[Endpoint]:
    """A host that listens on the port of the API alone."""
    async with serving(behave) as endpoint:
        yield msgspec.structs.replace(endpoint, http_port=9, v3_port=9, daemon_port=9)


async def seen(endpoint: Endpoint, doors: Doors | None) -> Any:
    asked: list[Identity] = []

    def secret(identity: Identity) -> Credentials:
        asked.append(identity)
        return Credentials("root", "secret")

    try:
        return await recognise(
            endpoint, clock=VirtualClock(), timing=TIMING, credentials=secret, doors=doors
        )
    finally:
        assert asked == [], "no login is looked up for what nobody claims"


@pytest.mark.parametrize("is_swept", [True, False])
async def test_a_host_that_takes_connections_and_says_nothing_costs_two_questions(
    is_swept: bool,
) -> None:
    async with everywhere(hangs) as (endpoint, doors):
        began = asyncio.get_running_loop().time()
        with pytest.raises(MalformedError, match="hangs"):
            await seen(endpoint, doors if is_swept else None)
        assert asyncio.get_running_loop().time() - began <= 2 * TIMING.read_s + 0.5


async def test_an_api_that_serves_nobody_costs_two_questions() -> None:
    """It accepts one, never answers, and lets the others wait in its queue."""
    async with api_alone(hangs) as endpoint:
        began = asyncio.get_running_loop().time()
        with pytest.raises(MalformedError, match="hangs"):
            await seen(endpoint, Doors(open=frozenset({endpoint.rpc_port}), refused=frozenset({9})))
        assert asyncio.get_running_loop().time() - began <= 2 * TIMING.read_s + 0.5


@pytest.mark.parametrize(
    ("said", "banner"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH-2.0-OpenSSH_9.2p1"),
        (b"220 \x1b]0;owned\x07 printer ready\r\n", "220 ]0;owned printer ready"),
        (b"x" * 5000, "x" * 200),
        (b"login: \xc3\xa9\x00", "login:"),
    ],
)
async def test_a_stranger_is_shown_by_what_it_said_first(said: bytes, banner: str) -> None:
    async with everywhere(answers(said)) as (endpoint, doors):
        found = await seen(endpoint, doors)
    assert found == Stranger(banner=banner, ports=tuple(sorted(doors.open)))


async def test_a_host_that_echoes_is_a_stranger() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)

    async with everywhere(echo) as (endpoint, doors):
        found = await seen(endpoint, doors)
    assert isinstance(found, Stranger)


async def test_a_miner_of_graphics_cards_is_asked_its_version_and_no_more() -> None:
    heard: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(
            b'{"STATUS":[{"STATUS":"S","Code":22,"Msg":"TRM versions","Description":"TeamRedMiner 0.10.21"}],'
            b'"VERSION":[{"CGMiner":"4.11.0","API":"3.7"}],"id":1}\0'
        )

    async with api_alone(behave) as endpoint:
        found = await seen(endpoint, None)
    assert isinstance(found, Stranger)
    assert found.banner is not None
    assert "TeamRedMiner" in found.banner
    assert heard == [b'{"command":"version"}']


async def test_a_host_that_refuses_every_port_is_away() -> None:
    endpoint = Endpoint(host=address(), http_port=9, rpc_port=10, v3_port=11, daemon_port=12)
    for doors in (None, Doors(refused=frozenset({9, 10, 11, 12}))):
        with pytest.raises(UnreachableError, match="refuses"):
            await seen(endpoint, doors)
