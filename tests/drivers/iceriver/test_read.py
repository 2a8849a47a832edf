"""Looking at simulated IceRivers: what a reading says, what it costs the miner, and who is recognised."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from typing import Any, Final

import msgspec
import pytest

from contract.errors import (
    AuthFailedError,
    MalformedError,
    MinerError,
    PolicyRefusedError,
    RefusedError,
    ServiceAwayError,
    UnreachableError,
    UnsupportedError,
    WrongDeviceError,
)
from contract.miner import (
    Algorithm,
    Endpoint,
    Firmware,
    Identity,
    Make,
    PowerMode,
    UptimeKind,
)
from drivers import registry
from drivers.base import Credentials, Depth, Driver, Light, Timing
from drivers.iceriver.changes import state
from drivers.iceriver.driver import DAEMON_EVERY_S, PANEL_EVERY_S, RELEARN_S
from drivers.iceriver.identify import AWAY_REASON
from drivers.iceriver.protocol import panel
from drivers.iceriver.protocol.web import PANEL, IceriverWeb
from drivers.stranger import Stranger
from drivers.wire import Wire
from simulator.farm import Farm
from simulator.iceriver import catalogue
from tests.drivers.hostile import LINE, QUIRKS, Spec
from tests.drivers.iceriver.stage import (
    Stage,
    factory_login,
    next_base,
    open_driver,
    stage,
    timing,
)
from tests.drivers.meeting import meet
from tests.drivers.servers import answers, block, serving
from tests.virtual_time import VirtualClock

ALL = tuple(catalogue.MODELS)
STOCK: Final = tuple(key for key, model in catalogue.MODELS.items() if not model.foreign)
ALGORITHMS = {
    "KS": Algorithm.KHEAVYHASH,
    "AL": Algorithm.BLAKE3,
    "AE": Algorithm.ZKSNARK,
    "RX": Algorithm.SHA512_256D,
}
FOREIGN = {
    "ks0-pbfarmer": (Firmware.PBFARMER, "KS0"),
    "ks5m-tswift": (Firmware.OTHER, "KS5M"),
    "ks0-exo160": (Firmware.OTHER, None),
}


def asked(on: Stage) -> list[str]:
    """What was asked since the tap was last emptied: `<action> <post>` of the web side, commands of the daemon."""
    found = []
    for entry in on.miner.wire_log:
        if entry.data.startswith(b"{"):
            found.append(msgspec.json.decode(entry.data)["id"])
        elif entry.data.startswith(b"GET"):
            found.append("page")
        else:
            action = entry.data.split(b" ")[1].removeprefix(b"/user/").decode()
            found.append(f"{action} {entry.data.rpartition(b'post=')[2].decode()}")
    on.miner.wire_log.clear()
    return found


def endpoint_of(miner: Any) -> Endpoint:
    return Endpoint(
        host=miner.ip,
        http_port=miner.http_port,
        rpc_port=getattr(miner, "rpc_port", None) or 9,
        v3_port=getattr(miner, "v3_port", None) or 9,
        daemon_port=getattr(miner, "daemon_port", None) or 9,
    )


def login(identity: Identity) -> Credentials:
    return (
        factory_login(identity) if identity.make is Make.ICERIVER else Credentials("root", "root")
    )


async def seen(miner: Any, patience: Timing | None = None) -> Driver | Stranger:
    return await registry.recognise(
        endpoint_of(miner),
        clock=VirtualClock(),
        timing=patience or timing(),
        credentials=login,
    )


async def met(miner: Any) -> Driver:
    driver: Driver = await meet(endpoint_of(miner), login, timing())
    return driver


# --- who it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", STOCK)
async def test_every_model_is_known_by_the_name_of_its_software(key: str):
    async with stage(key) as on:
        identity, miner = on.driver.identity, on.miner
        assert (identity.make, identity.model) == (Make.ICERIVER, miner.model)
        assert (identity.firmware, identity.generation) == (Firmware.STOCK, "stock")
        assert identity.firmware_version == on.driver.package == miner.softver1
        assert (identity.mac, identity.serial) == (miner.mac, None)
        assert identity.drivable
        assert identity.reason is None
        assert on.driver.capabilities is not None
        assert set(on.driver.capabilities.modes) == {PowerMode.NORMAL, PowerMode.SLEEP}


@pytest.mark.parametrize("key", FOREIGN)
async def test_firmware_of_others_is_named_read_and_left_alone(key: str):
    async with stage(key) as on:
        on.farm.tap(True)
        firmware, model = FOREIGN[key]
        identity = await on.driver.identify()
        assert (identity.firmware, identity.model) == (firmware, model)
        assert identity.mac == on.miner.mac
        assert not identity.drivable
        assert identity.reason
        assert on.driver.capabilities is None
        for depth in Depth:
            reading = await on.driver.read(depth)
            assert reading.moving.hashrate_hs == pytest.approx(on.miner.hashrate_hs, rel=0.1)
        assert (reading.raw is None) is (model is not None)
        with pytest.raises(UnsupportedError):
            await on.driver.plan(Light(on=True))
        for entry in on.miner.wire_log:
            assert not entry.had_credentials
            assert b"cookie" not in entry.data.lower()
        if firmware is Firmware.PBFARMER:
            assert not any(each.startswith("userpanel") for each in asked(on))
        assert on.farm.ledger.entries == []


async def test_the_raw_panel_of_an_unknown_model_is_kept_without_the_passwords():
    async with stage("ks0-exo160") as on:
        on.miner.pools[0]["url"] = "stratum+tcp://w:hunter2@pool.test:1"
        raw = (await on.driver.read(Depth.FULL)).raw
        assert raw is not None
        kept = raw["userpanel"]
        assert kept["softver1"] == "Incidr-Exo160_miner"
        assert [set(pool) & {"pass", "addr"} for pool in kept["pools"]] == [{"addr"}] * 3
        assert kept["pools"][0]["addr"] == "stratum+tcp://w:***@pool.test:1"
        assert (await on.driver.read(Depth.SLOW)).raw is None


async def test_icerivers_and_other_makes_are_told_apart_in_both_directions():
    async with (
        await Farm.start("iceriver/ks5l,iceriver/ks5m,iceriver/ks0,iceriver/ks0-pbfarmer", base=next_base()) as ours,
        await Farm.start("antminer/ks5,antminer/ks5pro,antminer/s9,foreign/vnish", base=block()) as ants,
        await Farm.start("whatsminer/m50s,whatsminer/m60s", base=block()) as whats,
    ):  # fmt: skip
        for farm, make in ((ours, "iceriver"), (ants, "antminer"), (whats, "whatsminer")):
            for miner in farm.miners:
                driver = await met(miner)
                assert driver.make == make, miner.key
                assert driver.identity.model == miner.model.removeprefix("Antminer ")


@pytest.mark.parametrize("others", ["antminer/ks5", "whatsminer/m50s", "foreign/braiins"])
async def test_another_make_is_sent_a_glance_at_its_page_and_nothing_else(others: str):
    async with await Farm.start(others, base=block()) as farm:
        miner: Any = farm.miners[0]
        farm.tap(True)
        endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=9, v3_port=9)
        found = await registry.recognise(
            endpoint, clock=VirtualClock(), timing=timing(), credentials=login
        )
        assert isinstance(found, Stranger) or not found.identity.drivable
        assert len(miner.wire_log) == 1
        assert miner.wire_log[0].data.startswith(b"GET / HTTP/1.1\r\n")
        assert farm.ledger.entries == []


@pytest.mark.parametrize(("key", "fault"), [("ks5l", "refuses_4111"), ("ks5l", "web_down")])
async def test_one_open_port_is_enough_to_be_recognised(key: str, fault: str):
    async with await Farm.start(f"iceriver/{key}", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        miner.faults.add(fault)
        driver = await met(miner)
        assert driver.identity.mac == miner.mac
        assert driver.identity.drivable


async def test_one_scan_costs_a_page_and_a_panel_and_no_login():
    async with await Farm.start("iceriver/ks5l", base=next_base()) as farm:
        farm.tap(True)
        miner: Any = farm.miners[0]
        driver = await open_driver(miner, timing())
        on = Stage(farm, driver)
        assert not any(entry.had_credentials for entry in miner.wire_log)
        assert asked(on) == ["page", "userpanel 4"]


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n\r\n<title>KS5</title>",
        b"HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b'HTTP/1.1 401 X\r\nWWW-Authenticate: Digest realm="other", nonce="n"\r\n\r\n',
        b"SSH-2.0-dropbear\r\n",
        b"",
    ],
)
async def test_whatever_else_answers_is_not_one_of_ours(reply: bytes):
    async with serving(answers(reply)) as endpoint:
        found = await registry.recognise(
            msgspec.structs.replace(endpoint, rpc_port=9, daemon_port=9),
            clock=VirtualClock(),
            timing=timing(),
            credentials=login,
        )
        assert isinstance(found, Stranger)
        assert found.ports == (endpoint.http_port,)


async def test_a_miner_that_is_starting_is_known_and_not_driven_until_it_tells_who_it_is():
    async with await Farm.start("iceriver/ks5l", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        miner.faults.add("daemon_down")
        driver = await open_driver(miner, timing())
        assert driver.identity == Identity(make=Make.ICERIVER, reason=AWAY_REASON)
        with pytest.raises(UnsupportedError):
            await driver.plan(Light(on=True))
        with pytest.raises(UnreachableError):
            await driver.read()
        miner.faults.clear()
        identity = await driver.identify()
        assert (identity.model, identity.mac, identity.drivable) == ("KS5L", miner.mac, True)


async def test_a_known_miner_is_asked_again_where_it_costs_least():
    async with stage("ks5l") as on:
        on.farm.tap(True)
        await on.driver.identify()
        assert asked(on) == ["userpanel 4"]
        await on.driver.read(Depth.SLOW)  # learns that the daemon is open
        asked(on)
        assert (await on.driver.identify()).mac == on.miner.mac
        assert asked(on) == ["info", "getnet"]
        on.faults.add("refuses_4111")
        assert (await on.driver.identify()).mac == on.miner.mac


async def test_an_address_taken_over_by_something_else_is_a_wrong_device():
    async with stage("ks5l") as on:
        identity = on.driver.identity
    async with serving(answers(b"HTTP/1.1 401 X\r\nWWW-Authenticate: Basic\r\n\r\n")) as endpoint:
        moved = registry.open_driver(
            msgspec.structs.replace(endpoint, daemon_port=9),
            identity,
            clock=VirtualClock(),
            timing=timing(),
            credentials=factory_login,
        )
        with pytest.raises(WrongDeviceError):
            await moved.identify()
        with pytest.raises(WrongDeviceError):
            await moved.read()


async def test_another_miner_at_the_address_is_noticed_by_the_same_look():
    async with stage("ks5l") as on:
        on.driver.has_mode_order = True
        on.faults.replace([{"fault": "changes_mac", "mac": "02:00:00:00:00:07"}])
        await on.driver.read()
        assert on.driver.identity.mac == "02:00:00:00:00:07"
        assert on.driver.has_mode_order is None


# --- what a reading says -------------------------------------------------------------------------


@pytest.mark.parametrize("key", STOCK)
async def test_a_full_reading_of_every_model(key: str):
    async with stage(key) as on:
        miner, reading = on.miner, await on.driver.read(Depth.FULL)
        moving, slow, static = reading.moving, reading.slow, reading.static
        assert slow is not None
        assert static is not None
        assert moving.hashrate_hs == moving.hashrate_5m_hs
        assert moving.hashrate_hs == pytest.approx(miner.hashrate_hs, rel=0.1)
        assert moving.hashrate_30m_hs == pytest.approx(miner.hashrate_hs, rel=0.1)
        assert sum(board.hashrate_hs or 0 for board in moving.boards) == pytest.approx(
            miner.hashrate_hs, rel=0.1
        )
        assert [board.index for board in moving.boards] == list(range(miner.spec.boards))
        assert all(board.state == "ok" for board in moving.boards)
        assert all(board.chips == miner.spec.chips for board in moving.boards)
        assert moving.uptime_s is not None
        assert (moving.uptime_kind, moving.uptime_s) == (
            UptimeKind.PROCESS,
            pytest.approx(miner.elapsed(), abs=600),
        )
        assert len(moving.fan_rpm) == miner.spec.fans
        assert [pool.url for pool in moving.pools] == [p["url"] for p in miner.pools if p["url"]]
        assert moving.accepted is not None
        assert moving.pool_reject_percent is not None
        assert (slow.mode, slow.mode_configured) == (PowerMode.NORMAL, PowerMode.NORMAL)
        assert slow.light_on is False
        assert slow.faults == ()
        assert static.algorithm is ALGORITHMS[miner.model[:2]]
        assert static.mac == miner.mac
        assert static.system_version == f"{miner.spec.boot}_image_1.0"
        assert static.software_version == f"{miner.softver1}_{miner.softver2}"
        assert reading.raw is None


@pytest.mark.parametrize("key", ["ks3m", "ks5l", "ae0"])
async def test_both_ports_tell_the_same(key: str):
    async with stage(key) as on:  # at that pace no average moves meanwhile
        of_web = await panel.from_web(on.driver.web)
        of_daemon = await panel.from_daemon(on.driver.daemon, panel.EVERYTHING)
        only_web = {"refTime", "pows", "pows_x"}
        moved = {"runtime", "rtpow", "avgpow", "reject", "boards", "pools", "fans"}
        assert set(of_web) - only_web - set(of_daemon) == set()
        for name in set(of_web) - only_web - moved:
            assert of_web[name] == of_daemon[name], name
        assert state.state_of(of_web).mac == state.state_of(of_daemon).mac
        first, second = state.state_of(of_web), state.state_of(of_daemon)
        assert (first.light_on, first.slots, first.package) == (
            second.light_on,
            second.slots,
            second.package,
        )


async def test_a_miner_that_sleeps_shows_it_and_its_still_hashing_is_no_fault():
    async with stage("ks5l") as on:
        on.miner.set_mode("sleep")
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert (slow.mode, slow.mode_configured) == (PowerMode.SLEEP, PowerMode.SLEEP)
        assert [fault.code for fault in slow.faults] == []


@pytest.mark.parametrize(
    ("fault", "codes"),
    [("fan_failed", ["fans"]), ("pools_dead", ["network"]), ("temp_flag_low", [])],
)
async def test_what_the_miner_reports_as_wrong_is_a_fault(fault: str, codes: list[str]):
    async with stage("ks3m", fault, late=True) as on:
        slow = (await on.driver.read(Depth.SLOW)).slow
        assert slow is not None
        assert [each.code for each in slow.faults] == codes


async def test_a_failed_sensor_shows_nothing_and_a_strange_unit_gives_no_rate():
    async with stage("ks3m", "bad_sensor", "odd_suffix", "two_addresses", "gateway_glued") as on:
        moving = (await on.driver.read()).moving
        assert [board.temp_outlet_c is None for board in moving.boards] == [False, True, False]
        assert moving.temp_outlet_c is not None
        assert moving.temp_outlet_c < 100
        assert moving.hashrate_hs is None
        assert all(board.hashrate_hs is None for board in moving.boards)
        assert moving.pools


@pytest.mark.parametrize("fault", ["cold", "board_missing", "no_board_average", "odd_content_type", "chunked_web", "query_ignored", "clock_1970"])  # fmt: skip
async def test_odd_builds_and_sick_miners_are_read(fault: str):
    async with stage("ks5m", fault) as on:
        reading = await on.driver.read(Depth.FULL)
        moving = reading.moving
        assert moving.hashrate_hs is not None
        assert all(
            each is None or each > 0
            for board in moving.boards
            for each in (board.temp_pcb_c, board.temp_outlet_c)
        )
        if fault == "board_missing":
            assert [board.index for board in moving.boards] == [1, 2]


# --- what it costs -------------------------------------------------------------------------------


async def test_a_poll_loads_the_web_side_at_most_once_a_minute_and_asks_the_daemon_in_between():
    async with stage("ks5l") as on:
        on.farm.tap(True)
        await on.driver.read()
        assert asked(on) == ["userpanel 4"]
        for pause_s in (15.0, 15.0, PANEL_EVERY_S - 31.0):
            await on.clock.sleep(pause_s)
            moving = (await on.driver.read()).moving
            assert asked(on) == ["boardpow", "board", "fan", "getpool"]
            assert moving.hashrate_hs
            assert len(moving.boards) == 3
            assert len(moving.fan_rpm) == 4
            assert moving.pools
        assert on.driver.min_interval_s == DAEMON_EVERY_S
        await on.clock.sleep(2.0)
        await on.driver.read()
        assert asked(on) == ["userpanel 4"]


async def test_slower_facts_cost_one_question_more():
    async with stage("ks5l") as on:
        on.farm.tap(True)
        await on.driver.read(Depth.SLOW)
        assert asked(on) == ["userpanel 4", "gethw"]
        await on.driver.read(Depth.FULL)
        assert asked(on) == [*panel.EVERYTHING, "gethw"]


async def test_with_the_daemon_closed_the_miner_asks_for_a_longer_interval_until_it_may_be_open():
    async with stage("ks5l", "refuses_4111") as on:
        on.farm.tap(True)
        reading = await on.driver.read(Depth.SLOW)
        assert reading.slow is not None
        assert reading.slow.mode is PowerMode.NORMAL
        assert asked(on) == ["userpanel 4", "machineconfig 1"]
        assert on.driver.min_interval_s == PANEL_EVERY_S
        assert (await on.driver.read()).moving.hashrate_hs  # asked for sooner all the same
        assert asked(on) == ["userpanel 4"]
        on.faults.clear()
        await on.clock.sleep(RELEARN_S + 1.0)
        assert on.driver.min_interval_s == DAEMON_EVERY_S
        await on.driver.read()
        await on.clock.sleep(DAEMON_EVERY_S)
        asked(on)
        await on.driver.read()
        assert asked(on) == ["boardpow", "board", "fan", "getpool"]


async def test_a_miner_that_was_away_as_a_whole_is_not_taken_for_one_with_a_closed_port():
    async with stage("ks5l") as on:
        await on.driver.read(Depth.SLOW)
        on.faults.add("dead")
        for _ in range(2):
            with pytest.raises(UnreachableError):
                await on.driver.read()
        assert on.driver.min_interval_s == DAEMON_EVERY_S
        on.faults.clear()
        on.farm.tap(True)
        await on.driver.read()
        assert asked(on) == ["boardpow", "board", "fan", "getpool"]


async def test_the_pace_of_the_devices_clock_scales_the_policy():
    async with stage("ks5l", "refuses_4111", pace=120.0) as on:
        await on.driver.read(Depth.SLOW)
        assert on.driver.min_interval_s == PANEL_EVERY_S / 120.0


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["web_down", "login_page", "no_error_key", {"fault": "answers_error", "code": 3}])  # fmt: skip
async def test_where_the_web_side_fails_the_daemon_tells_and_it_is_said_so(fault: Any):
    async with stage("ks3m", fault, late=True) as on:
        reading = await on.driver.read(Depth.FULL)
        assert reading.moving.hashrate_hs == pytest.approx(on.miner.hashrate_hs, rel=0.1)
        assert reading.slow is not None
        assert [each.code for each in reading.slow.faults] == ["web_down"]
        again = await on.driver.read(Depth.SLOW)  # a look of the daemon alone
        assert again.slow is not None
        assert again.slow.faults == reading.slow.faults
        assert reading.static is not None
        assert reading.static.mac == on.miner.mac
        assert (await state.look(on.driver)).mac == on.miner.mac
        assert (await state.config(on.driver)).mode is PowerMode.NORMAL


async def test_a_quote_in_a_pool_password_breaks_the_web_side_and_not_the_reading():
    async with stage("ks3m") as on:
        on.miner.pools[0]["pass"] = 'a"b'
        with pytest.raises(MalformedError):
            await on.driver.web.ask(*PANEL)
        assert (await on.driver.read()).moving.pools[0].url == on.miner.pools[0]["url"]
        assert (await state.config(on.driver)).slots[0].password == 'a"b'


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("dead", UnreachableError),
        ("daemon_down", ServiceAwayError),
        ("hangs", MalformedError),
        ("resets", MinerError),
        ({"fault": "cuts", "bytes": 20}, MalformedError),
        ({"fault": "garbage", "variant": "html"}, MalformedError),
        ({"fault": "garbage", "variant": "nested"}, MalformedError),
        ("endless", MalformedError),
        ("gzip_bomb", MinerError),
        ("redirect", MinerError),
    ],
)
async def test_whatever_a_miner_does_ends_in_a_named_error(fault: Any, kind: type[MinerError]):
    async with stage("ks5l", fault, late=True, read_s=1.0) as on:
        on.faults.add("refuses_4111")
        with pytest.raises(kind):
            await on.driver.read(Depth.SLOW)


@pytest.mark.parametrize("faults", [LINE, QUIRKS], ids=["line", "quirks"])
async def test_every_fault_of_the_simulator_ends_in_a_reading_or_a_named_error_in_time(
    faults: tuple[Spec, ...],
):
    at_once = asyncio.Semaphore(12)
    patience = timing(read_s=1.0, connect_s=1.0)
    keys = itertools.islice(itertools.cycle(STOCK), len(faults))
    farm = await Farm.start([f"iceriver/{key}" for key in keys], base=next_base(), time_scale=1.0)

    async def look(miner: Any, fault: Spec) -> int:
        async with at_once:
            healthy = await open_driver(miner, patience)
            miner.faults.replace([fault])
            readings = 0
            with suppress(MinerError):
                await seen(miner, patience)
            for depth in Depth:
                began = asyncio.get_running_loop().time()
                try:
                    reading = await healthy.read(depth)
                except MinerError:
                    continue
                finally:
                    # a panel and eight questions to the daemon, each with its own deadline
                    assert asyncio.get_running_loop().time() - began < 12 * patience.read_s, fault
                msgspec.json.encode(reading)
                readings += 1
            return readings

    try:
        found = await asyncio.gather(*map(look, farm.miners, faults))
    finally:
        await farm.stop()
    assert any(found)


async def test_a_daemon_that_goes_away_between_two_commands_gives_no_half_a_reading():
    async with stage("ks5l") as on:
        asked_first = await panel.from_daemon(on.driver.daemon, ("boardpow",))
        assert asked_first["rtpow"]
        on.faults.add("refuses_4111")
        with pytest.raises(UnreachableError):
            await panel.from_daemon(on.driver.daemon, ("boardpow", "board"))


async def test_a_firmware_that_wants_a_login_gets_it_once_and_is_asked_again():
    async with stage("ks5l", "refuses_4111", "wants_login", late=True) as on:
        on.farm.tap(True)
        assert (await on.driver.read()).moving.hashrate_hs
        assert asked(on) == ["userpanel 4", "loginpost 6&user=admin&pwd=12345678", "userpanel 4"]
        assert (await on.driver.read()).moving.hashrate_hs
        assert asked(on) == ["userpanel 4"]


async def test_a_password_that_is_wrong_stops_no_reading_while_the_daemon_is_open():
    async with stage("ks5l", "wants_login", late=True) as on:
        on.driver.web.replace_credentials(Credentials("admin", "wrong"))
        reading = await on.driver.read(Depth.SLOW)
        assert reading.moving.hashrate_hs
        assert reading.slow is not None
        assert ["refuses our user or password" in each.text for each in reading.slow.faults] == [
            True
        ]


async def test_a_panel_without_a_mac_makes_no_other_miner():
    async with stage("ks5l") as on:
        on.miner.shown_mac = lambda: ""
        await on.driver.read()
        assert on.driver.identity.mac == on.miner.mac
        assert (await on.driver.identify()).mac is None


async def test_a_refused_password_is_not_offered_again_and_again():
    async with stage("ks5l", "refuses_4111", "wants_login", late=True) as on:
        on.driver.web.replace_credentials(Credentials("admin", "wrong"))
        on.farm.tap(True)
        for _ in range(3):
            with pytest.raises(AuthFailedError):
                await on.driver.read()
        assert sum(each.startswith("loginpost") for each in asked(on)) == 1
        on.driver.web.replace_credentials(None)
        with pytest.raises(AuthFailedError, match="no password is configured"):
            await on.driver.read()
        on.driver.web.replace_credentials(Credentials("admin", "12345678"))
        assert (await on.driver.read()).moving.hashrate_hs


async def test_an_order_behind_a_login_is_given_once():
    async with stage("ks5l", "wants_login", late=True) as on:
        permit = on.permit()
        await on.driver.web.order("userpanel", 5, {"locate": "1"}, permit)
        assert [line["after"] for line in on.ledger("light")] == [{"on": True}]


@pytest.mark.parametrize(("action", "post"), [("userpanel", 2), ("userpanel", 6), ("ipconfig", 2), ("systemconfig", 2)])  # fmt: skip
async def test_what_wipes_or_locks_a_miner_cannot_be_sent_by_any_call(action: str, post: int):
    async with stage("ks5l") as on:
        on.farm.tap(True)
        permit = on.permit()
        with pytest.raises(PolicyRefusedError):
            await on.driver.web.ask(action, post)
        with pytest.raises(PolicyRefusedError):
            await on.driver.web.order(action, post, {}, permit)
        for command in ("resetfactory", "changepass", "setchip", "setnet"):
            with pytest.raises(PolicyRefusedError):
                await on.driver.daemon.ask(command)
            with pytest.raises(PolicyRefusedError):
                await on.driver.daemon.order(command, permit)
        assert on.miner.wire_log == []
        assert permit.sent == 0


async def test_a_read_is_no_order_and_an_order_no_read():
    async with stage("ks5l") as on:
        permit = on.permit()
        for operation in (("userpanel", 3), ("userpanel", 5), ("machineconfig", 2)):
            with pytest.raises(PolicyRefusedError):
                await on.driver.web.ask(*operation)
        with pytest.raises(PolicyRefusedError):
            await on.driver.web.order(*PANEL, {}, permit)
        with pytest.raises(RefusedError):
            await on.driver.daemon.order("setlocate", permit, {"on": "maybe"})
        assert (await on.driver.daemon.order("setlocate", permit, {"on": True}))["code"] == 0
        assert on.miner.light
        assert permit.sent == 2


async def test_a_cookie_is_given_back_only_as_long_as_it_is_plain():
    kept = "sid=abc-1.2; Path=/; HttpOnly, bad=a\tb, lang=zh; Expires=Wed, 21 Oct 2026 07:28:00 GMT"
    reply = (
        f"HTTP/1.1 200 OK\r\nSet-Cookie: {kept}\r\nContent-Type: image/png\r\n\r\n"
        '{"error":0,"data":{"softver1":"5977449_ks3m_miner"},"message":""}'
    ).encode()
    heard: list[bytes] = []

    async def behave(reader: Any, writer: Any) -> None:
        heard.append(await reader.read(4096))
        writer.write(reply)

    async with serving(behave) as endpoint:
        web = IceriverWeb(Wire(endpoint, VirtualClock(), timing()), None)
        for _ in range(2):
            await web.ask(*PANEL)
    assert b"Cookie" not in heard[0]
    assert b"Cookie: sid=abc-1.2; bad=a; lang=zh\r\n" in heard[1]
