"""Who is recognised, who is driven, and what is never sent to anybody else."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from agent.config.miners import MinersSection
from contract.errors import (
    AuthFailedError,
    MalformedError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import Endpoint, Firmware, Identity, Make
from contract.ports import PORTS
from drivers import registry
from drivers.base import Credentials, Depth, Driver, Light, Timing
from drivers.doors import Doors
from drivers.registry import open_driver, recognise
from drivers.rig.entry import reach_of
from drivers.rig.spec import EnrolledRig
from drivers.rig.wire import RigWire
from drivers.stranger import Stranger
from drivers.wire import Wire
from simulator.farm import Farm
from tests.drivers.meeting import meet
from tests.drivers.servers import FAST, Behaviour, address, answers, block, serving
from tests.virtual_time import VirtualClock

ROOT = Credentials("root", "root")
FOREIGN = (
    "braiins", "vnish", "vnish-old", "luxos", "luxos-s19kpro", "hiveon", "mskminer", "chipless", "asicseer", "marathon",
    "epic",
)  # fmt: skip


def endpoint_of(miner: Any) -> Endpoint:
    return Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)


async def seen(
    endpoint: Endpoint, credentials: Credentials | None = ROOT, doors: Doors | None = None
) -> Driver | Stranger:
    return await recognise(
        endpoint, clock=VirtualClock(), timing=FAST, credentials=lambda _: credentials, doors=doors
    )


async def who(endpoint: Endpoint, credentials: Credentials | None = ROOT) -> Driver:
    driver: Driver = await meet(endpoint, lambda _: credentials, FAST)
    return driver


@pytest.mark.parametrize(
    ("key", "model", "generation"),
    [
        ("s9", "S9", "OLD"),
        ("l3+", "L3+", "OLD"),
        ("t17+", "T17+", "OLD"),
        ("z11", "Z11", "OLD"),
        ("s19-2020", "S19", "NEW-BM"),
        ("s19pro", "S19 Pro", "NEW-BM"),
        ("s21", "S21", "NEW-BM"),
        ("s21hyd", "S21 Hyd.", "NEW-BM"),
        ("l7", "L7", "NEW-GOD"),
        ("ks5", "KS5", "NEW-GOD"),
        ("e9pro", "E9 Pro", "NEW-GOD"),
    ],
)
async def test_stock_antminers_are_known_and_drivable(key: str, model: str, generation: str):
    async with await Farm.start(f"antminer/{key}:1", base=block()) as farm:
        miner = farm.miners[0]
        driver = await who(endpoint_of(miner))
        identity = driver.identity
        assert (identity.make, identity.model, identity.generation) == (
            Make.ANTMINER,
            model,
            generation,
        )
        assert identity.firmware is Firmware.STOCK
        assert identity.firmware_version == miner.firmware_version
        assert identity.mac == miner.mac
        assert identity.drivable
        assert driver.capabilities is not None


@pytest.mark.parametrize("key", FOREIGN)
async def test_foreign_firmware_is_named_and_only_read_and_told_no_secret(key: str):
    async with await Farm.start(f"foreign/{key}:1", base=block()) as farm:
        farm.tap(True)
        miner = farm.miners[0]
        driver = await who(endpoint_of(miner))
        identity = driver.identity
        assert identity.firmware is not Firmware.STOCK
        assert not identity.drivable
        assert identity.reason
        assert driver.capabilities is None
        if identity.firmware is Firmware.EPIC:
            with pytest.raises(UnsupportedError):
                await driver.read(Depth.FULL)
        else:
            reading = await driver.read(Depth.FULL)
            assert reading.moving.hashes
            rate = reading.moving.hashrate_hs
            assert key == "chipless" or rate == pytest.approx(miner.hashrate_hs, rel=0.2)
        with pytest.raises(UnsupportedError):
            await driver.plan(Light(on=True))
        assert miner.wire_log
        for entry in miner.wire_log:
            assert not entry.had_credentials
            assert entry.data.startswith((b'{"command":', b"GET "))
            assert b"cgi-bin" not in entry.data


@pytest.mark.parametrize(
    "firmware", ["braiins", "vnish", "luxos", "hiveon", "mskminer", "chipless"]
)
async def test_the_firmware_by_its_own_name(firmware: str):
    async with await Farm.start(f"foreign/{firmware}:1", base=block()) as farm:
        driver = await who(endpoint_of(farm.miners[0]))
        assert driver.identity.firmware == firmware


@pytest.mark.parametrize(
    "web",
    [
        b"HTTP/1.1 200 OK\r\n\r\n<html>AnthillOS</html>",
        b'HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm="blackMiner", nonce="n"\r\n\r\n',
        b"HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\n\r\n",
    ],
)
async def test_a_stock_text_behind_another_web_side_is_not_driven_and_told_no_secret(web: bytes):
    version = b'{"STATUS":[{"STATUS":"S"}],"VERSION":[{"BMMiner":"2.0.0","Type":"Antminer S9"}]}'
    heard: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(web if heard[-1].startswith(b"GET") else version)

    async with serving(behave) as endpoint:
        driver = await who(endpoint)
    assert driver.identity.firmware is Firmware.OTHER
    assert not driver.identity.drivable
    assert not any(b"Authorization" in each for each in heard)


async def test_nobody_there_is_unreachable():
    with pytest.raises(UnreachableError):
        await who(Endpoint(host=address(), http_port=9, rpc_port=10))


async def test_something_else_is_nobody_we_know():
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    async with serving(answers(page)) as endpoint:
        assert await seen(endpoint) == Stranger(
            banner="HTTP/1.1 200 OK Content-Length: 2 hi", ports=(endpoint.http_port,)
        )
    other = b'{"STATUS":[{"STATUS":"S","Code":22,"Description":"TeamRedMiner"}],"VERSION":[{"Miner":"x"}]}'
    async with serving(answers(other)) as endpoint:
        stranger = await seen(endpoint)
    assert isinstance(stranger, Stranger)
    assert stranger.banner is not None
    assert "TeamRedMiner" in stranger.banner


async def test_a_banner_of_another_protocol_is_shown_without_its_control_characters():
    async with serving(answers(b"SSH-2.0-\x1b[31mdropbear\r\n\0")) as endpoint:
        found = await seen(endpoint)
    assert found == Stranger(banner="SSH-2.0- [31mdropbear", ports=(endpoint.rpc_port,))


@pytest.mark.parametrize("reply", [b"\xff\xfe", b"[]", b'{"STATUS":' * 9999])
async def test_nonsense_on_the_api_port_is_malformed(reply: bytes):
    async with serving(answers(reply)) as endpoint:
        with pytest.raises(MalformedError):
            await who(endpoint)


async def test_without_a_password_a_miner_is_known_but_for_its_mac():
    async with await Farm.start("antminer/s21:1", base=block()) as farm:
        driver = await who(endpoint_of(farm.miners[0]), None)
        assert driver.identity.mac is None
        assert driver.identity.reason
        assert driver.identity.model == "S21"
        await driver.read()
        with pytest.raises(AuthFailedError):
            await driver.read(Depth.SLOW)


async def test_a_changed_password_keeps_the_telemetry():
    async with await Farm.start("antminer/s19pro:1", base=block()) as farm:
        farm.miners[0].faults.add("wrong_password")
        driver = await who(endpoint_of(farm.miners[0]))
        assert driver.identity.mac is None
        reading = await driver.read()
        assert reading.moving.hashrate_hs


async def test_a_miner_whose_api_is_off_is_known_by_its_realm_and_left_alone():
    async with await Farm.start("antminer/s19pro:1", base=block()) as farm:
        farm.tap(True)
        miner = farm.miners[0]
        miner.faults.add("refuses_4028")
        driver = await who(endpoint_of(miner))
        assert not driver.identity.drivable
        assert driver.identity.make is Make.ANTMINER
        assert not any(entry.had_credentials for entry in miner.wire_log)
        with pytest.raises(UnreachableError):
            await driver.read()


async def test_a_password_given_per_mac_is_found_once_the_mac_is_known():
    asked: list[Identity] = []

    def credentials(identity: Identity) -> Credentials:
        asked.append(identity)
        return ROOT

    async with await Farm.start("antminer/l7:1", base=block()) as farm:
        miner = farm.miners[0]
        await recognise(
            endpoint_of(miner), clock=VirtualClock(), timing=FAST, credentials=credentials
        )
        assert [each.mac for each in asked] == [None, miner.mac]
        assert asked[0].model == "L7"


async def test_a_known_miner_is_opened_without_a_byte():
    async with await Farm.start("antminer/s9:1", base=block()) as farm:
        farm.tap(True)
        miner = farm.miners[0]
        first = await who(endpoint_of(miner))
        miner.wire_log.clear()
        driver = open_driver(
            endpoint_of(miner),
            first.identity,
            clock=VirtualClock(),
            timing=FAST,
            credentials=lambda _: ROOT,
        )
        assert miner.wire_log == []
        assert driver.identity == first.identity
        assert (await driver.read()).moving.hashrate_hs
        assert (await driver.identify()).mac == miner.mac


async def test_a_make_without_a_driver_is_unsupported():
    with pytest.raises(UnsupportedError):
        open_driver(
            Endpoint(host="127.0.0.1"),
            Identity(make=Make.UNKNOWN),
            clock=VirtualClock(),
            timing=FAST,
            credentials=lambda _: None,
        )


async def test_a_rig_has_a_driver_only_where_it_is_enrolled() -> None:
    spec = EnrolledRig(name="rig-1")
    identity = Identity(make=Make.RIG)

    def wire_of(_: Endpoint, clock: Any, timing: Timing) -> Wire:
        return RigWire(spec, reach_of(spec), clock, timing)

    where = {"clock": VirtualClock(), "timing": FAST, "credentials": lambda _: None}
    with pytest.raises(UnsupportedError, match="no rig is enrolled at"):
        open_driver(Endpoint(host=spec.host), identity, **where)
    driver: Any = open_driver(Endpoint(host=spec.host), identity, **where, wire_factory=wire_of)
    assert driver.rig_wire.spec is spec


STOCK_VERSION = (
    b'{"STATUS":[{"STATUS":"S"}],"VERSION":[{"BMMiner":"2.0.0","Type":"Antminer S19",'
    b'"CompileTime":"Fri Dec 11 11:15:40 CST 2020"}]}'
)


def as_everything(heard: list[bytes]) -> Behaviour:
    """Answers each make's first question as that make does."""
    page = b"<TITLE>\xe7\x94\xa8\xe6\x88\xb7\xe7\x95\x8c\xe9\x9d\xa2</TITLE>"
    panel = b'{"error":0,"data":{"softver1":"5977449_ks3m_miner","mac":"02:11:22:33:44:55"}}'
    device = (
        b'{"code":0,"when":1,"desc":"get.device.info","msg":{"system":{"api":"3.0.0",'
        b'"fwversion":"20250101.01.REL"},"miner":{"type":"M60S"},"network":{"mac":"02:11:22:33:44:55"}}}'
    )

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(asked := await reader.read(4096))
        if asked.startswith((b"GET", b"POST")):
            body = page if asked.startswith(b"GET / ") else panel
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        elif b"get.device.info" in asked:
            writer.write(len(device).to_bytes(4, "little") + device)
        else:
            writer.write(STOCK_VERSION)

    return behave


async def test_an_api_of_one_make_before_the_web_side_of_another_is_neither():
    heard: list[bytes] = []
    async with serving(as_everything(heard)) as endpoint:
        with pytest.raises(WrongDeviceError, match="antminer and iceriver"):
            await who(endpoint)
    assert not any(b"uthorization" in each for each in heard)


async def test_a_host_that_answers_every_port_as_everything_is_nothing():
    heard: list[bytes] = []
    async with AsyncExitStack() as on:
        host = address()
        ports = [
            (await on.enter_async_context(serving(as_everything(heard), host))).rpc_port
            for _ in range(4)
        ]
        names = ("http_port", "rpc_port", "v3_port", "daemon_port")
        endpoint = Endpoint(host=host, **dict(zip(names, ports, strict=True)))
        with pytest.raises(WrongDeviceError, match="whatsminer and antminer and iceriver"):
            await seen(endpoint, doors=Doors(open=frozenset(ports)))
    assert not any(b"uthorization" in each for each in heard)


async def test_an_address_taken_over_by_something_else_is_a_wrong_device():
    async with await Farm.start("antminer/s9:1", base=block()) as farm:
        driver = await who(endpoint_of(farm.miners[0]))
    other = b'{"STATUS":[{"STATUS":"S","Description":"whatsminer"}],"VERSION":[{"BTMiner":"x"}]}'
    async with serving(answers(other)) as endpoint:
        moved = open_driver(
            endpoint, driver.identity, clock=VirtualClock(), timing=FAST, credentials=lambda _: ROOT
        )
        with pytest.raises(WrongDeviceError):
            await moved.identify()


@pytest.mark.parametrize("entry", registry.DRIVERS, ids=lambda entry: str(entry.make))
def test_every_port_of_a_make_is_declared_and_can_be_set(entry: Any) -> None:
    assert set(entry.ports) <= set(PORTS)


def test_each_declared_port_is_one_of_an_endpoint_and_a_key_of_the_config() -> None:
    fields = {each.name: each.default for each in msgspec.structs.fields(Endpoint)}
    assert list(fields) == ["host", *PORTS]
    for name, port in PORTS.items():
        assert fields[name] == MinersSection.model_fields[name].default == port.number
