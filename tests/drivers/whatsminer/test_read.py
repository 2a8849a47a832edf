"""Looking at simulated WhatsMiners: what a reading says in each dialect, what it costs, and who is recognised."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.errors import MalformedError, MinerError, UnreachableError, WrongDeviceError
from contract.miner import (
    Algorithm,
    Endpoint,
    Firmware,
    Identity,
    Make,
    PowerMode,
    Psu,
    UptimeKind,
)
from drivers import registry
from drivers.base import Credentials, Depth
from drivers.stranger import Stranger
from drivers.whatsminer.driver import RELOOK_S, Whatsminer
from drivers.whatsminer.entry import WHATSMINER
from drivers.whatsminer.reading.snapshot import snapshot_of, supply_of
from drivers.wire import Wire
from simulator.farm import Farm
from simulator.whatsminer import catalogue
from tests.drivers.servers import block
from tests.drivers.whatsminer.stage import (
    Stage,
    factory_login,
    next_base,
    open_driver,
    stage,
    timing,
)
from tests.virtual_time import VirtualClock

ALL = tuple(catalogue.MODELS)
GENERATIONS = {
    "m3": "legacy",
    "m20s-legacy": "legacy",
    "m30s-legacy": "legacy",
    "m20s": "v1",
    "m31s+": "v1",
    "m30s": "v2",
    "m50s": "v2",
    "m56s": "v2",
    "m60s-compat": "v2-compat",
    "m60s": "v3",
    "m30s++": "v3",
    "m63s": "v3",
    "m63s++": "v3",
    "m70": "v3",
}
SILENT = ("m3", "m20s-legacy")  # tell neither MAC nor version
ONE_OF_EACH = ("m30s-legacy", "m20s", "m50s", "m60s-compat", "m60s")


def asked(on: Stage) -> list[str]:
    """The commands sent since the tap was last emptied, in order; several on one connection by API v3."""
    found = []
    for entry in on.miner.wire_log:
        text = entry.data[4:] if entry.kind == "v3" else entry.data
        request = msgspec.json.decode(text)
        found.append(request.get("command") or request["cmd"])
    on.miner.wire_log.clear()
    return found


# --- who it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ALL)
async def test_every_model_is_known_in_its_dialect(key: str):
    async with stage(key) as on:
        identity, miner = on.driver.identity, on.miner
        assert (identity.make, identity.model) == (Make.WHATSMINER, miner.model)
        assert identity.generation == miner.describe()["generation"] == GENERATIONS[key]
        assert identity.firmware is Firmware.STOCK
        if key not in SILENT:
            assert identity.firmware_version == miner.firmware_version
            assert identity.mac == miner.mac
        is_legacy = identity.generation == "legacy"
        assert identity.drivable is not is_legacy
        assert (on.driver.capabilities is None) is is_legacy
        assert (identity.reason is not None) is is_legacy
        if on.driver.capabilities is not None:
            assert PowerMode.SLEEP not in on.driver.capabilities.modes


@pytest.mark.parametrize("key", ["m3", "m20s-legacy", "m30s-legacy", "m50s", "m60s"])
async def test_the_registry_finds_whatsminers_and_antminers_for_what_they_are(key: str):
    async with (
        await Farm.start(f"whatsminer/{key}", base=next_base()) as farm,
        await Farm.start("antminer/s21,antminer/s9,foreign/vnish", base=block()) as others,
    ):
        for miner in (*farm.miners, *others.miners):
            each: Any = miner
            endpoint = Endpoint(
                host=each.ip, http_port=each.http_port, rpc_port=each.rpc_port,
                v3_port=getattr(each, "v3_port", None) or 9,
            )  # fmt: skip
            driver = await registry.recognise(
                endpoint,
                clock=VirtualClock(),
                timing=timing(),
                credentials=lambda identity: (
                    factory_login(identity)
                    if identity.make is Make.WHATSMINER
                    else Credentials("root", "root")
                ),
            )
            assert not isinstance(driver, Stranger)
            assert driver.make == ("whatsminer" if each in farm.miners else "antminer")


@pytest.mark.parametrize("key", ["m50s", "m60s-compat", "m60s"])
async def test_identification_sends_no_password_and_takes_no_token(key: str):
    async with await Farm.start(f"whatsminer/{key}", base=next_base()) as farm:
        farm.tap(True)
        miner: Any = farm.miners[0]
        await (await open_driver(miner, timing())).read(Depth.FULL)
        assert miner.wire_log
        for entry in miner.wire_log:
            assert b"get_token" not in entry.data
            assert b'"enc"' not in entry.data
            assert b'"token"' not in entry.data


async def test_a_known_miner_is_asked_again_in_its_own_dialect_first():
    async with stage("m50s") as on:
        on.farm.tap(True)
        assert (await on.driver.identify()).mac == on.miner.mac
        assert asked(on) == ["get_version", "get_miner_info"]
    async with stage("m60s") as on:
        on.farm.tap(True)
        await on.driver.identify()
        assert asked(on) == ["get.device.info"]


async def test_with_port_4433_away_the_miner_is_met_on_4028_and_later_on_4433_again():
    async with stage("m60s", "refuses_4433") as on:
        assert on.driver.identity.generation == "v2-compat"
        assert (await on.driver.read()).moving.hashrate_hs
        on.faults.clear()
        await on.clock.sleep(RELOOK_S + 1)
        assert (await on.driver.read()).moving.hashrate_hs
        assert on.driver.identity.generation == "v3"


async def test_a_v3_miner_whose_4433_went_away_is_read_on_4028_at_the_next_look():
    async with stage("m60s") as on:
        on.faults.add("refuses_4433")
        with pytest.raises(UnreachableError):
            await on.driver.read()
        assert (await on.driver.read()).moving.hashrate_hs
        assert on.driver.identity.generation == "v2-compat"


async def test_the_password_follows_the_dialect():
    logins: list[str | None] = []

    def login(identity: Identity) -> Credentials:
        logins.append(identity.generation)
        return factory_login(identity)

    async with stage("m60s", "refuses_4433") as on:
        driver = WHATSMINER.open_driver(
            Wire(on.driver.endpoint, on.clock, timing()),
            login,
            on.driver.identity,
        )
        on.faults.clear()
        await driver.identify()
        assert logins == ["v2-compat", "v3"]


async def test_another_make_at_the_address_is_a_wrong_device():
    async with stage("m50s") as on, await Farm.start("antminer/s21", base=block()) as farm:
        other: Any = farm.miners[0]
        endpoint = Endpoint(host=other.ip, http_port=other.http_port, rpc_port=other.rpc_port)
        moved = registry.open_driver(
            endpoint,
            on.driver.identity,
            clock=on.clock,
            timing=timing(),
            credentials=factory_login,
        )
        with pytest.raises(WrongDeviceError):
            await moved.identify()


# --- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ALL)
async def test_a_full_look_tells_everything(key: str):
    async with stage(key) as on:
        miner = on.miner
        reading = await on.driver.read(Depth.FULL)
        moving, slow, static = reading.moving, reading.slow, reading.static
        assert slow is not None
        assert static is not None
        nominal = pytest.approx(miner.hashrate_hs, rel=0.1)
        assert moving.hashrate_hs == nominal
        assert moving.hashrate_avg_hs == nominal
        assert moving.hashrate_1m_hs == nominal
        assert moving.hashrate_15m_hs == nominal
        assert sum(board.hashrate_hs or 0 for board in moving.boards) == nominal
        assert [board.index for board in moving.boards] == list(range(miner.spec.boards))
        assert all(board.chips == miner.spec.chips for board in moving.boards)
        assert all(30 < (board.temp_pcb_c or 0) < 100 for board in moving.boards)
        assert [board.serial for board in moving.boards] == list(miner.board_serials)
        assert len(moving.fan_rpm) == (2 if miner.spec.fan_rpm else 0)
        assert (moving.uptime_kind, moving.accepted is not None) == (UptimeKind.PROCESS, True)
        assert moving.pools[0].active
        assert (moving.pools[0].status, moving.pools[0].priority) == ("alive", 0)
        assert moving.pools[0].accepted == pytest.approx(moving.accepted, abs=3)
        assert static.algorithm is Algorithm.SHA256
        if key not in SILENT:
            assert static.hashrate_ideal_hs == pytest.approx(miner.hashrate_hs, rel=0.01)
            assert moving.power_w == pytest.approx(miner.spec.power_w, rel=0.2)
            assert moving.temp_chip_c is not None
            assert (moving.temp_env_c is None) is ("no_env_temp" in miner.faults)
            assert (slow.mode, slow.mode_configured) == (PowerMode.NORMAL, PowerMode.NORMAL)
            assert slow.power_limit_w == miner.spec.power_limit_w
        if static.generation in {"v2", "v2-compat", "v3"}:
            assert slow.light_on is False
            assert static.psu is not None
            assert static.psu.input_v == pytest.approx(229, abs=2)
            assert static.psu.input_a == pytest.approx(miner.spec.power_w / 229, rel=0.2)
        assert slow.faults == ()
        assert reading.is_hashing


@pytest.mark.parametrize("key", ONE_OF_EACH)
async def test_the_units_of_one_machine_agree_over_all_that_it_says(key: str):
    async with stage(key) as on:
        moving = (await on.driver.read()).moving
        whole = moving.hashrate_hs
        assert sum(board.hashrate_hs or 0 for board in moving.boards) == pytest.approx(
            whole, rel=0.05
        )
        assert on.driver.ideal_hs == pytest.approx(whole, rel=0.1)
        ideals = [board.hashrate_ideal_hs for board in moving.boards]
        if all(ideals):
            assert sum(ideal or 0 for ideal in ideals) == pytest.approx(whole, rel=0.1)


async def test_one_machine_says_the_same_on_both_of_its_ports():
    async with stage("m60s") as on:
        by_v3 = await on.driver.read(Depth.FULL)
        on.faults.add("refuses_4433")
        by_4028 = await (await on.met_anew()).read(Depth.FULL)
        for name in (
            "hashrate_hs", "hashrate_avg_hs", "power_w", "temp_chip_c", "temp_board_c",
            "temp_env_c", "accepted", "rejected",
        ):  # fmt: skip
            one, other = getattr(by_v3.moving, name), getattr(by_4028.moving, name)
            assert one == pytest.approx(other, rel=0.05), name
        for one_board, other_board in zip(by_v3.moving.boards, by_4028.moving.boards, strict=True):
            assert one_board.hashrate_hs == pytest.approx(other_board.hashrate_hs, rel=0.05)
            assert one_board.serial == other_board.serial
        assert by_v3.slow is not None
        assert by_4028.slow is not None
        assert by_v3.slow.mode == by_4028.slow.mode
        assert by_v3.static is not None
        assert by_4028.static is not None
        assert by_v3.static.mac == by_4028.static.mac
        assert by_v3.static.serial == by_4028.static.serial


@pytest.mark.parametrize("key", ["m50s", "m60s-compat", "m60s"])
async def test_a_blinking_light_and_another_mode_are_seen(key: str):
    async with stage(key) as on:
        on.miner.set_leds({"red": (200, 100, 0)})
        on.miner.set_mode("high")
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert slow.light_on is True
        assert slow.mode_configured is PowerMode.HIGH


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s-compat", "m60s"])
async def test_a_miner_switched_off_is_a_reading_and_no_outage(key: str):
    async with stage(key) as on:
        on.miner.power_off()
        reading = await on.driver.read(Depth.SLOW)
        assert reading.moving.hashrate_hs == 0
        assert reading.is_hashing is False
        assert reading.slow is not None
        assert reading.slow.mode is PowerMode.SLEEP
        assert "process_down" not in [fault.code for fault in reading.slow.faults]
        assert (await on.driver.read()).moving.hashrate_hs == 0


@pytest.mark.parametrize("key", ["m20s", "m50s", "m60s-compat", "m60s"])
async def test_a_process_that_fell_over_is_a_fault(key: str):
    async with stage(key) as on:
        on.miner.process.stop()
        reading = await on.driver.read(Depth.SLOW)
        assert reading.moving.hashrate_hs == 0
        assert reading.slow is not None
        if key != "m60s":  # API v3 tells only whether it works
            assert reading.slow.faults[0].code == "process_down"
            assert reading.slow.mode is not PowerMode.SLEEP


@pytest.mark.parametrize("key", ["m20s", "m30s", "m50s", "m60s-compat", "m60s"])
@pytest.mark.parametrize("shape", [None, "error_list_slip", "error_numbers"])
async def test_error_codes_become_faults_in_every_shape(key: str, shape: str | None):
    faults: list[Any] = [shape] if shape else []
    async with stage(key, *faults) as on:
        on.faults.add("error_codes", codes=[218, 531])
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert [(fault.code, fault.severity) for fault in slow.faults] == [
            ("218", "error"),
            ("531", "error"),
        ]


@pytest.mark.parametrize("key", ["m50s", "m60s-compat", "m60s"])
async def test_hundreds_of_errors_do_not_hide_the_miner(key: str):
    async with stage(key, "error_flood") as on:
        reading = await on.driver.read(Depth.SLOW)
        assert reading.slow is not None
        assert 10 < len(reading.slow.faults) <= 64
        assert reading.moving.hashrate_hs


async def test_a_fan_that_stands_is_seen_and_named():
    for key in ("m50s", "m60s"):
        async with stage(key, "fan_failed") as on:
            reading = await on.driver.read(Depth.SLOW)
            assert reading.moving.fan_rpm[0] == 0
            assert reading.slow is not None
            assert [fault.code for fault in reading.slow.faults] == ["110"]


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_missing_board_is_missing(key: str):
    async with stage(key, "board_missing") as on:
        assert len((await on.driver.read()).moving.boards) == 2


async def test_a_psu_record_without_a_comma_is_read():
    async with stage("m50s", "psu_slip") as on:
        static = (await on.driver.read(Depth.FULL)).static
        assert static is not None
        assert static.psu is not None
        assert static.psu.temp_c == pytest.approx(41.3)


@pytest.mark.parametrize("key", ONE_OF_EACH)
async def test_a_reply_that_ends_in_a_nul_is_whole(key: str):
    async with stage(key, "nul_end", "heartbeats") as on:
        assert (await on.driver.read(Depth.FULL)).moving.hashrate_hs


@pytest.mark.parametrize("key", ["m50s", "m60s"])
async def test_a_wrong_clock_of_the_device_does_not_matter(key: str):
    async with stage(key, ("clock_drift")) as on:
        moving = (await on.driver.read(Depth.FULL)).moving
        assert moving.pools[0].last_share_s is None or moving.pools[0].last_share_s < 3600


async def test_the_reply_of_a_model_nobody_knows_is_kept():
    async with stage("m50s") as on:
        assert (await on.driver.read(Depth.FULL)).raw is None
        on.miner.model = "D1V10"
        raw = (await (await on.met_anew()).read(Depth.FULL)).raw
        assert raw is not None
        assert raw["summary"]["Elapsed"]
        msgspec.json.encode(raw)


def test_what_a_supply_does_not_say_the_summary_may():
    summary = {"Voltage": 1238, "Power Voltage Input": 228.75, "Power Current Input": 14.23}
    assert supply_of(None, summary) == Psu(input_v=228.75, input_a=14.23, output_v=12.38)
    told = Psu(model="P21", input_v=230.0)
    assert supply_of(told, summary | {"Voltage": 0}) == Psu(
        model="P21", input_v=230.0, input_a=14.23
    )
    assert supply_of(None, {}) is None


# --- what it costs -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [key for key in ALL if GENERATIONS[key] != "v3"])
async def test_the_moving_facts_of_port_4028_take_one_connection(key: str):
    async with stage(key) as on:
        on.farm.tap(True)
        for _ in range(3):
            assert (await on.driver.read()).moving.boards
            assert asked(on) == ["summary+pools+edevs"]


async def test_the_moving_facts_of_v3_take_one_question():
    async with stage("m60s") as on:
        on.farm.tap(True)
        assert (await on.driver.read()).moving.boards
        assert asked(on) == ["get.miner.status"]


async def test_a_slow_look_at_v3_takes_one_connection_to_its_own_port():
    async with stage("m60s") as on:
        on.farm.tap(True)
        counter = Exchanges(on.driver)
        await on.driver.read(Depth.SLOW)
        assert asked(on) == ["get.miner.status", "get.device.info", "get.miner.setting", "pools"]
        assert counter.count == 2  # share counts are told on the other port alone


async def test_joined_commands_that_are_refused_are_not_tried_again():
    async with stage("m50s", "joined_refused") as on:
        on.farm.tap(True)
        moving = (await on.driver.read()).moving
        assert (moving.boards, moving.pools) != ((), ())
        assert asked(on) == ["summary+pools+edevs", "summary", "pools", "edevs"]
        await on.driver.read()
        assert asked(on) == ["summary", "pools", "edevs"]


async def test_what_a_firmware_does_not_know_is_not_asked_twice():
    async with stage("m20s") as on:
        on.farm.tap(True)
        await on.driver.read(Depth.SLOW)
        assert "get_error_code" not in asked(on)
        assert await on.driver.rpc.ask_if_known("get_error_code") is None
        assert asked(on) == ["get_error_code"]
        assert await on.driver.rpc.ask_if_known("get_error_code") is None
        assert asked(on) == []


async def test_a_v3_miner_that_closes_after_each_answer_is_asked_one_by_one():
    async with stage("m60s", "closes_after_each") as on:
        on.farm.tap(True)
        for expected in (5, 4):  # the first try shows it
            counter = Exchanges(on.driver)
            assert (await on.driver.read(Depth.SLOW)).slow is not None
            assert counter.count == expected


async def test_share_counts_of_v3_are_left_alone_where_4028_is_closed():
    async with stage("m60s", "refuses_4028") as on:
        moving = (await on.driver.read(Depth.FULL)).moving
        assert moving.accepted is None
        counter = Exchanges(on.driver)
        await on.driver.read(Depth.FULL)
        assert counter.count == 1


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ONE_OF_EACH)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("dead", UnreachableError),
        ("hangs", MalformedError),
        ("cuts", MalformedError),
        ("endless", MalformedError),
        ("resets", MalformedError),
        ("huge_json", MalformedError),
        ("short_frames", MinerError),
        ("oversized_length", MinerError),
    ],
)
async def test_a_bad_line_is_a_named_error_by_the_deadline(
    key: str, fault: str, kind: type[MinerError]
):
    is_v3_only = fault in {"short_frames", "oversized_length"}
    if is_v3_only and key != "m60s":
        return
    async with stage(key, fault, late=True, read_s=0.8, connect_s=0.5) as on:
        with pytest.raises(kind):
            await on.driver.read(Depth.FULL)


@pytest.mark.parametrize("key", ONE_OF_EACH)
@pytest.mark.parametrize(
    "variant", ["nan", "1e999", "nested", "binary", "truncated", "html", "empty"]
)
async def test_a_spoilt_reply_is_malformed_and_never_a_wrong_reading(key: str, variant: str):
    async with stage(key, late=True, read_s=1.0) as on:
        whole = (await on.driver.read()).moving
        on.faults.add("garbage", variant=variant)
        try:
            moving = (await on.driver.read()).moving
        except MinerError:
            return
        assert moving.hashrate_hs in {None, pytest.approx(whole.hashrate_hs, rel=0.1)}


def test_a_summary_with_nothing_in_it_knows_nothing():
    from drivers.whatsminer.protocol.api import WhatsminerJoined, WhatsminerReply

    look = snapshot_of(
        WhatsminerJoined(summary=WhatsminerReply(STATUS="S", Code=131, Msg={"Elapsed": "?"})), None
    )
    assert look.moving.hashrate_hs is None
    assert look.moving.uptime_kind is None
    assert look.moving.boards == ()


class Exchanges:
    """Counts the connections of one driver."""

    def __init__(self, driver: Whatsminer) -> None:
        self.count = 0
        wire: Any = driver.wire
        exchange = type(wire).exchange

        async def counted(*args: Any, **more: Any) -> Any:
            self.count += 1
            return await exchange(wire, *args, **more)

        wire.exchange = counted
