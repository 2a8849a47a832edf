"""Looking at simulated miners: what a reading says, what it costs, and what a hostile miner can do to it."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from contract.errors import (
    MalformedError,
    MinerError,
    UnreachableError,
    WrongDeviceError,
)
from contract.miner import Algorithm, Endpoint, PowerMode, UptimeKind
from drivers.antminer.driver import Antminer
from drivers.antminer.entry import ANTMINER
from drivers.base import Credentials, Depth, Timing
from drivers.wire import Wire
from simulator.farm import Farm
from tests.drivers.meeting import meet
from tests.drivers.servers import block
from tests.virtual_time import VirtualClock

TIMING = Timing(connect_s=2.0, read_s=5.0, write_s=5.0, log_s=5.0)
ROOT = Credentials("root", "root")


async def driver_for(miner: Any, timing: Timing = TIMING) -> Antminer:
    endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)
    driver: Antminer = await meet(endpoint, lambda _: ROOT, timing)
    return driver


@asynccontextmanager
async def stage(
    key: str, *faults: Any, time_scale: float = 1.0
) -> AsyncIterator[tuple[Any, Antminer]]:
    async with await Farm.start(f"antminer/{key}:1", base=block(), time_scale=time_scale) as farm:
        miner: Any = farm.miners[0]
        for fault in faults:
            name, options = fault if isinstance(fault, tuple) else (fault, {})
            miner.faults.add(name, **options)
        farm.tap(True)
        yield miner, await driver_for(miner)


@pytest.mark.parametrize(
    ("key", "algorithm", "boards", "fans"),
    [
        ("s9", Algorithm.SHA256, 3, 2),
        ("l3+", Algorithm.SCRYPT, 4, 2),
        ("t17+", Algorithm.SHA256, 3, 4),
        ("z11", Algorithm.EQUIHASH, 3, 2),
        ("e3", Algorithm.ETHASH, 9, 2),
        ("d3", Algorithm.X11, 3, 2),
        ("s9k", Algorithm.SHA256, 3, 2),
        ("s19pro", Algorithm.SHA256, 3, 4),
        ("s21", Algorithm.SHA256, 3, 4),
        ("s21hyd", Algorithm.SHA256, 3, 0),
        ("l7", Algorithm.SCRYPT, 4, 4),
        ("l9", Algorithm.SCRYPT, 3, 4),
        ("ks5", Algorithm.KHEAVYHASH, 3, 4),
        ("e9pro", Algorithm.ETHASH, 2, 4),
        ("d9", Algorithm.X11, 3, 4),
        ("s23hyd", Algorithm.SHA256, 3, 0),
        ("l9-2026", Algorithm.SCRYPT, 3, 4),
        ("l11", Algorithm.SCRYPT, 3, 4),
        ("dr5", Algorithm.OTHER, 3, 2),
        ("z15", Algorithm.EQUIHASH, 3, 2),
    ],
)
async def test_a_full_look_tells_everything(key: str, algorithm: Algorithm, boards: int, fans: int):
    async with stage(key) as (miner, driver):
        reading = await driver.read(Depth.FULL)
        moving, slow, static = reading.moving, reading.slow, reading.static
        assert slow is not None
        assert static is not None
        nominal = pytest.approx(miner.hashrate_hs, rel=0.1)
        assert moving.hashrate_hs == nominal
        assert moving.hashrate_avg_hs == nominal
        assert len(moving.boards) == boards
        assert sum(board.hashrate_hs or 0 for board in moving.boards) == nominal
        assert len(moving.fan_rpm) == fans
        assert moving.uptime_kind is UptimeKind.PROCESS
        assert moving.uptime_s
        assert moving.temp_chip_c is not None
        assert 40 < moving.temp_chip_c < 110
        assert moving.accepted
        assert any(pool.active for pool in moving.pools)
        assert all(pool.url for pool in moving.pools)
        assert all(board.state == "ok" for board in moving.boards)
        assert (static.mac, static.algorithm) == (miner.mac, algorithm)
        assert static.firmware_version == miner.firmware_version
        assert slow.light_on is False
        assert slow.faults == ()
        assert msgspec.json.decode(msgspec.json.encode(reading), type=type(reading)) == reading


@pytest.mark.parametrize(
    ("key", "requests"), [("s9", 1), ("t17+", 1), ("s21", 1), ("l7", 1), ("s19-2020", 3)]
)
async def test_a_poll_is_one_connection_where_the_firmware_can(key: str, requests: int):
    async with stage(key) as (miner, driver):
        await driver.read()
        miner.wire_log.clear()
        await driver.read()
        assert len(miner.wire_log) == requests
        assert {entry.kind for entry in miner.wire_log} == {"rpc"}
        assert not any(entry.had_credentials for entry in miner.wire_log)


async def test_deep_looks_cost_no_refused_request_once_the_nonce_is_known():
    async with stage("s21") as (miner, driver):
        await driver.read(Depth.SLOW)
        miner.wire_log.clear()
        await driver.read(Depth.SLOW)
        web = [entry for entry in miner.wire_log if entry.kind == "http"]
        assert len(web) == 2
        assert all(entry.had_credentials for entry in web)


async def test_board_serials_learned_once_stay_in_every_reading():
    async with stage("s21") as (_, driver):
        assert all(board.serial is None for board in (await driver.read()).moving.boards)
        await driver.read(Depth.SLOW)
        serials = [board.serial for board in (await driver.read()).moving.boards]
        assert all(serials)
        assert len(set(serials)) == 3


async def test_protection_stop_is_a_fault_and_not_sleep():
    async with stage("s19pro", "overheated") as (_, driver):
        reading = await driver.read(Depth.SLOW)
        assert reading.slow is not None
        assert reading.slow.mode is not PowerMode.SLEEP
        assert "protection_stop" in {fault.code for fault in reading.slow.faults}
        assert {board.state for board in reading.moving.boards} == {"off"}
        assert reading.moving.hashrate_hs == 0


async def test_a_missing_board_is_a_fault():
    async with stage("s19pro", "board_missing") as (_, driver):
        reading = await driver.read(Depth.SLOW)
        assert reading.slow is not None
        assert "boards_missing" in {fault.code for fault in reading.slow.faults}
        assert [board.index for board in reading.moving.boards] == [2, 3]


async def test_temperatures_below_zero_are_read():
    async with stage("s19pro", "cold") as (_, driver):
        moving = (await driver.read()).moving
        assert moving.temp_chip_c is not None
        assert moving.temp_chip_c < 20


@pytest.mark.parametrize(
    "fault",
    [
        "no_array",
        "newline_end",
        "lowercase_keys",
        "status_array",
        "rate_unit_ths",
        "no_miner_type",
        "root_404",
        "realm_lowercase",
        "opaque",
        "nonce_expires",
        "mode_key_plain",
        "no_blink_status",
        "chain_power",
        ("json_slips", {"variant": "leading_comma"}),
        ("json_slips", {"variant": "trailing_comma"}),
        ("json_slips", {"variant": "model_suffix"}),
    ],
)
@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_builds_differ_and_all_are_read_alike(key: str, fault: Any):
    async with stage(key, fault) as (miner, driver):
        assert driver.identity.drivable
        assert driver.identity.mac == miner.mac
        reading = await driver.read(Depth.FULL)
        assert reading.moving.hashrate_hs == pytest.approx(miner.hashrate_hs, rel=0.1)
        assert reading.slow is not None
        assert reading.slow.faults == ()
        assert len(reading.moving.pools) == 2


@pytest.mark.parametrize("fault", ["empty_unknown", "plain_unknown"])
@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_silence_about_an_unknown_form_is_a_no(key: str, fault: str):
    async with stage(key, fault, "no_array") as (miner, driver):
        reading = await driver.read()
        assert reading.moving.hashrate_hs == pytest.approx(miner.hashrate_hs, rel=0.1)


async def test_a_platform_name_is_resolved_by_the_web_side():
    async with stage("s19pro", "platform_type") as (_, driver):
        assert driver.identity.model == "S19 Pro"
        assert driver.identity.drivable


async def test_a_web_side_that_breaks_is_a_fault_beside_good_telemetry():
    async with stage("s21") as (miner, driver):
        miner.faults.add("garbage", variant="html", ports=["http"])
        reading = await driver.read(Depth.SLOW)
        assert reading.moving.hashrate_hs
        assert reading.slow is not None
        assert "web_side" in {fault.code for fault in reading.slow.faults}


HOSTILE: list[tuple[str, dict[str, Any], type[MinerError]]] = [
    ("hangs", {}, MalformedError),
    ("cuts", {}, MalformedError),
    ("cuts", {"bytes": 0}, MinerError),
    ("drips", {"interval": 0.05}, MalformedError),
    ("endless", {}, MalformedError),
    ("huge_json", {}, MalformedError),
    ("resets", {}, MalformedError),
    ("garbage", {"variant": "nan"}, MalformedError),
    ("garbage", {"variant": "1e999"}, MalformedError),
    ("garbage", {"variant": "nested"}, MalformedError),
    ("garbage", {"variant": "binary"}, MalformedError),
    ("garbage", {"variant": "truncated"}, MalformedError),
    ("garbage", {"variant": "html"}, MalformedError),
    ("dead", {}, UnreachableError),
]


@pytest.mark.parametrize(("fault", "options", "error"), HOSTILE)
@pytest.mark.parametrize("key", ["s21", "s9"])
async def test_a_hostile_api_ends_in_a_named_error_by_the_deadline(
    key: str, fault: str, options: dict[str, Any], error: type[MinerError]
):
    timing = msgspec.structs.replace(TIMING, read_s=0.7, connect_s=0.7)
    async with await Farm.start(f"antminer/{key}:1", base=block()) as farm:
        miner: Any = farm.miners[0]
        driver = await driver_for(miner)
        await driver.read()
        driver = ANTMINER.open_driver(
            Wire(driver.endpoint, VirtualClock(), timing),
            lambda _: ROOT,
            driver.identity,
        )
        miner.faults.add(fault, **options)
        miner.sync_listeners()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = asyncio.get_running_loop().time()
        with pytest.raises(error):
            await driver.read()
        assert asyncio.get_running_loop().time() - began < 4 * timing.read_s + 1
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kb < 16 * 1024


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("hangs", {}),
        ("endless", {}),
        ("huge_json", {}),
        ("gzip_bomb", {}),
        ("redirect", {"to": "http://198.51.100.1/"}),
        ("garbage", {"variant": "nested"}),
        ("garbage", {"variant": "empty"}),
        ("resets", {}),
    ],
)
async def test_a_hostile_web_side_does_not_spoil_a_look(fault: str, options: dict[str, Any]):
    timing = msgspec.structs.replace(TIMING, read_s=0.7)
    async with await Farm.start("antminer/s21:1", base=block()) as farm:
        miner: Any = farm.miners[0]
        driver = await driver_for(miner, timing)
        miner.faults.add(fault, ports=["http"], **options)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reading = await driver.read(Depth.FULL)
        assert reading.moving.hashrate_hs
        assert reading.slow is not None
        assert reading.slow.faults
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024


async def test_one_hostile_miner_does_not_delay_the_others():
    async with await Farm.start("antminer/s21:20", base=block()) as farm:
        drivers = await asyncio.gather(*(driver_for(miner) for miner in farm.miners))
        bad: Any = farm.miners[0]
        bad.faults.add("hangs")
        timing = msgspec.structs.replace(TIMING, read_s=3.0)
        drivers[0] = ANTMINER.open_driver(
            Wire(drivers[0].endpoint, VirtualClock(), timing),
            lambda _: ROOT,
            drivers[0].identity,
        )
        slow = asyncio.create_task(drivers[0].read())
        began = asyncio.get_running_loop().time()
        readings = await asyncio.gather(*(driver.read() for driver in drivers[1:]))
        assert asyncio.get_running_loop().time() - began < 3.0
        assert all(reading.moving.hashrate_hs for reading in readings)
        with pytest.raises(MalformedError):
            await slow


async def test_a_miner_reflashed_since_is_a_wrong_device_and_hears_no_password():
    async with await Farm.start("antminer/s9:1", base=block()) as farm:
        stock = await driver_for(farm.miners[0])
    async with await Farm.start("foreign/hiveon:1", base=block()) as farm:
        farm.tap(True)
        miner: Any = farm.miners[0]
        endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)
        driver = ANTMINER.open_driver(
            Wire(endpoint, VirtualClock(), TIMING),
            lambda _: ROOT,
            stock.identity,
        )
        with pytest.raises(WrongDeviceError):
            await driver.read(Depth.SLOW)
        assert not any(entry.had_credentials for entry in miner.wire_log)


async def test_a_miner_reflashed_where_it_stands_hears_no_password_either():
    """Some firmware changes nothing that is told of the model, and names itself in its date alone."""
    async with stage("s9") as (miner, driver):
        await driver.read(Depth.SLOW)
        assert any(entry.had_credentials for entry in miner.wire_log)
        miner.wire_log.clear()
        miner.version = "Sun Nov 15 11:26:40 CST 2020 (Chipless v3.0 Auto Paid)"
        with pytest.raises(WrongDeviceError):
            await driver.read(Depth.SLOW)
        assert not any(entry.had_credentials for entry in miner.wire_log)
