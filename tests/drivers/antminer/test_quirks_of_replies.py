"""The quirks of the API's replies and of what stands in them: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from contract.errors import MalformedError, RefusedError, ServiceAwayError
from contract.miner import Endpoint, Firmware, Identity, Moving, PowerMode, Reading
from drivers import wire as wire_module
from drivers.antminer import driver, identify
from drivers.antminer.changes import pools
from drivers.antminer.protocol import cgi, repair, replies, rpc
from drivers.antminer.reading import figures, slow, snapshot
from drivers.base import Credentials, Depth
from drivers.protocol import cgminer, lenient
from drivers.wire import Wire
from simulator.antminer.device import POWER_PORT
from simulator.farm import Farm
from tests.drivers.antminer.quirk import (
    Patch,
    Quirk,
    all_of,
    fails_without_its_guard,
    one_pool,
    returning,
    set_to,
)
from tests.drivers.antminer.stage import Stage, next_base, open_driver, stage, timing
from tests.drivers.meeting import meet

_ROOT = Credentials("root", "root")


async def moving_of(key: str, *faults: Any) -> Moving:
    async with stage(key, *faults) as on:
        return (await on.driver.read()).moving


async def slow_of(key: str, *faults: Any) -> Any:
    async with stage(key, *faults) as on:
        return (await on.driver.read(Depth.SLOW)).slow


# --- frames and forms ------------------------------------------------------------------------------


async def a_nul_behind_the_text() -> None:
    assert (await moving_of("s19pro")).hashrate_hs


async def a_line_end_in_place_of_the_nul() -> None:
    assert (await moving_of("s19pro", "newline_end")).hashrate_hs


async def a_name_longer_than_the_buffer() -> None:
    async with stage("s19pro") as on:
        with pytest.raises(ValueError):
            await on.driver.rpc.ask("summary-of-today")


async def a_request_longer_than_one_recv() -> None:
    async with stage("s19pro") as on:
        with pytest.raises(ValueError):
            await on.driver.rpc.ask_all(("summary",) * 500)


async def a_silent_client_blocks_the_others() -> None:
    async with stage("s19pro", read_s=1.0) as on:
        try:
            assert await on.driver.wire.probe(on.miner.rpc_port)
            assert (await on.driver.read()).moving.hashrate_hs
        finally:
            while _idle:
                writer = _idle.pop()
                writer.close()
                await writer.wait_closed()


async def the_api_is_away_while_its_process_restarts() -> None:
    async with stage("s19pro") as on:
        on.miner.crash_process()
        with pytest.raises(ServiceAwayError):
            await on.driver.identify()


async def one_of_several_is_refused() -> None:
    async with stage("s19pro") as on:
        joined = await on.driver.rpc.ask_all(("summary", "temps"))
        assert joined.part("summary")
        assert joined.part("temps") is None


async def the_new_api_refuses_in_words_of_its_own() -> None:
    async with stage("s19pro") as on:
        await on.driver.read()
        joined = await on.driver.rpc.ask_all(("stats", "temps"), new_api=True)
        assert joined.part("stats")
        assert joined.part("temps") is None


async def old_firmware_denies_most_commands() -> None:
    async with stage("s9") as on:
        with pytest.raises(RefusedError):
            await on.driver.rpc.ask("devdetails")


async def new_status_is_an_object() -> None:
    await _knows_its_boards()


async def new_status_is_a_list() -> None:
    await _knows_its_boards("status_array")


async def _knows_its_boards(*faults: Any) -> None:
    async with stage("s21", *faults) as on:
        boards = (await on.driver.read(Depth.SLOW)).moving.boards
        assert [board.serial for board in boards] == on.miner.board_serials


async def a_raw_line_end_in_a_text() -> None:
    slip = {"fault": "json_slips", "variant": "raw_newline"}
    assert (await moving_of("s9", slip)).boards


# --- figures ---------------------------------------------------------------------------------------


async def rates_are_texts() -> None:
    assert (await moving_of("s9")).hashrate_hs


async def an_empty_text_is_absent() -> None:
    assert (await moving_of("s19pro")).pools[1].difficulty is None


async def difficulties_are_shortened() -> None:
    assert (await moving_of("s19pro")).pools[0].difficulty == 262_000


async def never_a_share_is_no_age() -> None:
    assert (await moving_of("s19pro")).pools[1].last_share_s is None


async def an_unset_slot_is_listed() -> None:
    assert len((await moving_of("s19pro")).pools) == 2


async def a_dead_pool_is_deed() -> None:
    async with stage("s19pro", {"fault": "pools_dead", "word": "Deed"}) as on:
        assert (await on.carry_out(one_pool())).after["working_for"] is None


async def rates_are_in_terahash() -> None:
    async with stage("s19pro", {"fault": "rate_unit_ths", "legacy": True}) as on:
        rate = (await on.driver.read()).moving.hashrate_hs
        assert rate == pytest.approx(on.miner.hashrate_hs, rel=0.3)


async def new_rates_are_in_terahash() -> None:
    async with stage("s19pro", "wrong_unit", "rate_unit_ths") as on:
        await on.driver.read(Depth.SLOW)  # the legacy nominal rate is not to be believed here
        assert on.driver.ideal_hs == pytest.approx(on.miner.hashrate_hs, rel=0.1)


async def new_figures_are_texts() -> None:
    async with stage("s19pro", "wrong_unit", "new_numbers_as_text") as on:
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert seen.mode is PowerMode.NORMAL
        assert on.driver.ideal_hs == pytest.approx(on.miner.hashrate_hs, rel=0.1)


async def rates_name_their_unit() -> None:
    async with stage("e9pro") as on:
        on.driver._spec = None  # a model that is in no table
        rate = (await on.driver.read()).moving.hashrate_hs
        assert rate == pytest.approx(on.miner.hashrate_hs, rel=0.3)


async def a_unit_without_a_blank() -> None:
    assert figures.rate_hs("21632.89GH/s") == pytest.approx(21_632.89e9)


async def boards_count_in_another_unit() -> None:
    async with stage("e9pro", "no_rate_texts") as on:
        boards = (await on.driver.read()).moving.boards
        total = sum(board.hashrate_hs or 0.0 for board in boards)
        assert total == pytest.approx(on.miner.hashrate_hs, rel=0.3)


async def sixteen_slots_for_three_boards() -> None:
    assert len((await moving_of("s17pro")).boards) == 3


async def boards_are_counted_from_zero() -> None:
    await _knows_its_boards()


async def a_frequency_with_a_letter() -> None:
    async with stage("e3") as on:
        boards = (await on.driver.read()).moving.boards
        assert {board.frequency_hz for board in boards} == {on.miner.spec.frequency * 1e6}


async def water_has_no_fans() -> None:
    assert (await moving_of("s21hyd")).fan_rpm == ()


async def water_sensors_by_their_side() -> None:
    moving = await moving_of("s21hyd")
    assert moving.temp_inlet_c is not None
    assert moving.temp_outlet_c is not None
    assert moving.temp_inlet_c < moving.temp_outlet_c


async def the_mode_two_of_every_s19() -> None:
    assert (await slow_of("s19pro")).mode is PowerMode.NORMAL


@asynccontextmanager
async def metered(*faults: Any) -> AsyncIterator[Stage]:
    farm = await Farm.start("antminer/s21", base=next_base(), ports={"power": POWER_PORT})
    try:
        farm.miners[0].faults.replace(faults)
        yield Stage(farm, await open_driver(farm.miners[0], timing()))
    finally:
        await farm.stop()


async def watts_on_a_port_of_their_own() -> None:
    async with metered() as on:
        seen = await on.driver.read(Depth.SLOW)
        assert seen.moving.power_w == pytest.approx(on.miner.spec.power_w, rel=0.2)
        assert seen.slow is not None
        assert seen.slow.metered_power_w == seen.moving.power_w


async def a_meter_that_is_none() -> None:
    async with metered("meter_unknown") as on:
        assert (await on.driver.read(Depth.SLOW)).moving.power_w is None


# --- who it is -------------------------------------------------------------------------------------


async def a_line_behind_the_model() -> None:
    async with stage("s9", {"fault": "type_suffix", "text": "\nV1.3.58"}) as on:
        assert on.driver.identity.model == "S9"


async def a_type_that_is_empty() -> None:
    async with stage("s19pro", {"fault": "platform_type", "text": ""}) as on:
        assert (on.driver.identity.model, on.driver.identity.drivable) == ("S19 Pro", True)


async def a_name_two_makers_use() -> None:
    async with stage("ks5") as on:
        assert on.driver.identity.model == "KS5"


async def a_serial_that_is_unknown() -> None:
    async with stage("s21", "serial_unknown") as on:
        assert on.driver.identity.serial is None


async def no_mac_for_seconds_after_a_boot() -> None:
    async with stage("s21", "mac_late") as on:
        assert on.driver.identity.mac == on.miner.mac
        on.miner.booted_at = on.miner.clock.now()
        assert (await on.met_anew()).identity.mac is None


async def another_firmware_keeps_the_realm() -> None:
    async with await Farm.start("foreign/hiveon", base=next_base()) as farm:
        identity = await _met(farm)
        assert not identity.drivable
        assert not any(each.had_credentials for each in farm.miners[0].wire_log)


async def another_firmware_keeps_the_text() -> None:
    faults = {"*": ["realm_other"]}
    async with await Farm.start("antminer/s21", base=next_base(), faults=faults) as farm:
        farm.tap(True)
        identity = await _met(farm)
        assert not identity.drivable
        assert not any(each.had_credentials for each in farm.miners[0].wire_log)


async def rwglr_is_not_hiveons_alone() -> None:
    async with await Farm.start("foreign/mskminer", base=next_base()) as farm:
        assert (await _met(farm)).firmware is Firmware.MSKMINER
    async with await Farm.start("foreign/hiveon", base=next_base()) as farm:
        assert (await _met(farm)).firmware is Firmware.HIVEON


async def another_firmware_names_itself_in_its_date() -> None:
    async with await Farm.start("foreign/chipless", base=next_base()) as farm:
        farm.tap(True)
        identity = await _met(farm)
        assert (identity.firmware, identity.model) == (Firmware.CHIPLESS, "Z11")
        assert identity.firmware_version == "Chipless v3.0 Auto Paid"
        assert not identity.drivable
        assert not any(each.had_credentials for each in farm.miners[0].wire_log)


async def a_whole_in_sol_beside_boards_in_ksol() -> None:
    seen = await _read("foreign/chipless")
    assert seen.moving.hashrate_hs is None
    assert seen.slow is not None
    (fault,) = [each for each in seen.slow.faults if each.code == "rate_unit_doubtful"]
    assert "139.6 MH/s" in fault.text
    assert "139.6 kH/s" in fault.text


async def a_constant_mode_of_another_firmware() -> None:
    seen = await _read("foreign/luxos-s19kpro")
    assert seen.slow is not None
    assert (seen.slow.mode, seen.slow.mode_raw) == (None, None)


async def a_model_that_only_its_system_information_names() -> None:
    async with stage("z15") as on:
        identity = on.driver.identity
        assert (identity.model, identity.mac) == ("Z15", on.miner.mac)
        assert not identity.drivable
        moving = (await on.driver.read()).moving
        assert moving.hashrate_hs == pytest.approx(420e3, rel=0.1)


async def a_serial_under_its_other_name() -> None:
    async with stage("s21", "serial_no") as on:
        assert on.driver.identity.serial == on.miner.serial


async def watts_in_the_newer_stats() -> None:
    for key in ("l9-2026", "l11", "s23hyd"):
        async with stage(key) as on:
            seen = await on.driver.read(Depth.SLOW)
            assert seen.moving.power_w == pytest.approx(on.miner.spec.power_w, rel=0.2)
            assert seen.slow is not None
            assert seen.slow.metered_power_w == seen.moving.power_w


async def a_meter_that_stands_at_zero() -> None:
    async with stage("s21hyd", {"fault": "stats_watt", "zero": True}) as on:
        assert (await on.driver.read(Depth.SLOW)).moving.power_w is None


async def _read(spec: str) -> Reading:
    async with await Farm.start(spec, base=next_base()) as farm:
        miner: Any = farm.miners[0]
        endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)
        found = await meet(endpoint, lambda _: _ROOT, timing())
        seen: Reading = await found.read(Depth.SLOW)
        return seen


async def _met(farm: Farm) -> Identity:
    miner: Any = farm.miners[0]
    endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)
    identity: Identity = (await meet(endpoint, lambda _: _ROOT, timing())).identity
    return identity


# --- the guards, switched off ----------------------------------------------------------------------

_idle: list[asyncio.StreamWriter] = []


def until_the_end(self: cgminer.NulDecoder, data: bytes) -> bytes | None:
    if not data:
        return b"".join(self._parts)
    self._parts.append(data)
    return None


def until_nul(self: cgminer.NulDecoder, data: bytes) -> bytes | None:
    if not data:
        raise MalformedError("the reply was cut")
    self._parts.append(data)
    whole = b"".join(self._parts)
    return whole[: whole.index(b"\0")] if b"\0" in whole else None


def as_it_came(data: bytes) -> bytes:
    return data


async def stays_connected(self: Wire, port: int) -> bool:
    _, writer = await asyncio.open_connection(self.endpoint.host, port)
    _idle.append(writer)
    return True


async def nothing_there(_: Wire, __: int) -> bool:
    return False


def whatever_it_is(self: replies.AntminerJoined, command: str) -> Any:
    found = getattr(self, command)
    return found[0] if isinstance(found, list) else found


def only_shape(kind: type) -> property:
    """A driver that knows one shape of STATUS in the newer API, whose replies alone have INFO."""

    def verdict(self: replies.AntminerReply) -> Any:
        if self.INFO is not None and not isinstance(self.STATUS, kind):
            raise MalformedError("the STATUS is in another shape")
        return self.STATUS[0] if isinstance(self.STATUS, list) else self.STATUS

    return property(verdict)


def only_numbers(value: Any) -> float | None:
    return float(value) if value.__class__ in (int, float) else None


def never_absent(value: Any) -> float:
    return figures.scaled(value) or 0.0


def alive_unless_known_dead(pool: Any) -> bool:
    return pool.status not in ("dead", "disabled", "rejecting", None)


def boards_like_the_whole(patch: Patch) -> None:
    kept = driver.spec_for

    def spec_for(model: str | None) -> Any:
        found = kept(model)
        return msgspec.structs.replace(found, board_unit_hs=None) if found else None

    patch.setattr(driver, "spec_for", spec_for)


def every_slot_is_a_board(patch: Patch) -> None:
    kept = snapshot._boards

    def boards(two: Any, *more: Any) -> Any:
        return kept({k: v or (k.startswith("chain_acn") and 1) for k, v in two.items()}, *more)

    patch.setattr(snapshot, "_boards", boards)


def every_slot_is_a_pool(patch: Patch) -> None:
    kept = snapshot.pools_of

    def pools_of(rows: Any) -> Any:
        return kept([msgspec.structs.replace(row, url=row.url or "-") for row in rows])

    patch.setattr(snapshot, "pools_of", pools_of)


def numbers_as_they_are(patch: Patch) -> None:
    kept = driver.with_serials
    patch.setattr(
        driver, "with_serials", lambda moving, by: kept(moving, {n - 1: s for n, s in by.items()})
    )


def all_slots(two: Any, *_: Any) -> tuple[int, ...]:
    return tuple(int(two[key]) for key in snapshot._FAN_KEYS if key in two)


def both_sides(sensors: list[float], _: int) -> float | None:
    return max(sensors, default=None)


def any_figure(text: str) -> float | None:
    found = re.search(r"\d+", text)
    return float(found.group()) if found else None


async def unmetered(_: slow.Meter) -> None:
    return None


def without_a_second_line(text: str | None) -> str | None:
    return text.removeprefix("Antminer ") if text else None


def models_first(patch: Patch) -> None:
    patch.setattr(identify, "MARKS", ((("ks5",), None), *identify.MARKS))


def hiveon_by_rwglr(patch: Patch) -> None:
    patch.setattr(identify, "MARKS", ((("rwglr",), Firmware.HIVEON), *identify.MARKS))


def no_mark(word: str) -> Any:
    marks = tuple(row for row in identify.MARKS if word not in row[0])
    return set_to(identify, "MARKS", marks)


def any_number(look: Any, new: Any, _: Any) -> int | None:
    return new.mode_number if look.mode_number is None else look.mode_number


def named_by_its_script_alone(patch: Patch) -> None:
    kept = cgi.Cgi.get_object

    async def without_minertype(web: cgi.Cgi, name: str) -> dict[str, Any]:
        found = await kept(web, name)
        return {key: value for key, value in found.items() if key != "minertype"}

    patch.setattr(cgi.Cgi, "get_object", without_minertype)


def any_watts(two: Any) -> float | None:
    return figures.number(two.get("watt"))


def no_nul_is_cut(patch: Patch) -> None:
    patch.setattr(cgminer.NulDecoder, "feed", until_the_end)
    patch.setattr(rpc, "strip_reply", as_it_came)
    patch.setattr(repair, "strip_reply", as_it_came)
    patch.setattr(repair, "_TAIL", re.compile(""))


QUIRKS = [
    Quirk(a_nul_behind_the_text, no_nul_is_cut),
    Quirk(a_line_end_in_place_of_the_nul, set_to(cgminer.NulDecoder, "feed", until_nul)),
    Quirk(a_name_longer_than_the_buffer, set_to(rpc, "COMMAND_CAP", 99)),
    Quirk(
        a_request_longer_than_one_recv,
        all_of(set_to(rpc, "SEND_CAP_BYTES", 10**6), set_to(rpc, "_REQUESTS", {})),
    ),
    Quirk(a_silent_client_blocks_the_others, set_to(wire_module.Wire, "probe", stays_connected)),
    Quirk(
        the_api_is_away_while_its_process_restarts,
        set_to(wire_module.Wire, "probe", nothing_there),
    ),
    Quirk(one_of_several_is_refused, set_to(replies.AntminerJoined, "part", whatever_it_is)),
    Quirk(
        the_new_api_refuses_in_words_of_its_own,
        set_to(replies.AntminerJoined, "part", whatever_it_is),
    ),
    Quirk(
        old_firmware_denies_most_commands,
        set_to(replies.AntminerReply, "refusal", property(lambda _: None)),
    ),
    Quirk(new_status_is_an_object, set_to(replies.AntminerReply, "verdict", only_shape(list))),
    Quirk(
        new_status_is_a_list,
        set_to(replies.AntminerReply, "verdict", only_shape(replies.AntminerStatus)),
    ),
    Quirk(a_raw_line_end_in_a_text, set_to(lenient, "_LENIENT", json.JSONDecoder())),
    Quirk(rates_are_texts, set_to(snapshot, "number", only_numbers)),
    Quirk(an_empty_text_is_absent, set_to(snapshot, "scaled", never_absent)),
    Quirk(difficulties_are_shortened, set_to(snapshot, "scaled", figures.number)),
    Quirk(never_a_share_is_no_age, set_to(snapshot, "ago_s", figures.number)),
    Quirk(an_unset_slot_is_listed, every_slot_is_a_pool),
    Quirk(a_dead_pool_is_deed, set_to(pools, "_is_alive", alive_unless_known_dead)),
    Quirk(rates_are_in_terahash, returning(snapshot, "unit_hs", None)),
    Quirk(new_rates_are_in_terahash, returning(snapshot, "unit_hs", None)),
    Quirk(new_figures_are_texts, set_to(snapshot, "number", only_numbers)),
    Quirk(rates_name_their_unit, returning(snapshot, "rate_hs", None)),
    Quirk(
        a_unit_without_a_blank,
        set_to(figures, "_RATE", re.compile(r"(-?\d+(?:\.\d+)?) ([a-zA-Z/]+)")),
    ),
    Quirk(boards_count_in_another_unit, boards_like_the_whole),
    Quirk(sixteen_slots_for_three_boards, every_slot_is_a_board),
    Quirk(boards_are_counted_from_zero, numbers_as_they_are),
    Quirk(a_frequency_with_a_letter, set_to(snapshot, "number", only_numbers)),
    Quirk(water_has_no_fans, set_to(snapshot, "_fans", all_slots)),
    Quirk(water_sensors_by_their_side, set_to(snapshot, "_side", both_sides)),
    Quirk(
        the_mode_two_of_every_s19,
        set_to(snapshot, "number_of_mode", lambda value, _: value),
    ),
    Quirk(watts_on_a_port_of_their_own, set_to(slow.Meter, "watts", unmetered)),
    Quirk(a_meter_that_is_none, set_to(slow, "meter_watts", any_figure)),
    Quirk(a_line_behind_the_model, set_to(identify, "clean_model", without_a_second_line)),
    Quirk(a_type_that_is_empty, returning(identify, "is_nameless", value=False)),
    Quirk(a_name_two_makers_use, models_first),
    Quirk(a_serial_that_is_unknown, set_to(identify, "_NO_SERIAL", frozenset())),
    Quirk(
        no_mac_for_seconds_after_a_boot,
        set_to(identify, "normalize_mac", lambda text: text or ""),
    ),
    Quirk(another_firmware_keeps_the_realm, returning(identify, "classify", Firmware.STOCK)),
    Quirk(another_firmware_keeps_the_text, returning(cgi, "is_stock_realm", value=True)),
    Quirk(rwglr_is_not_hiveons_alone, hiveon_by_rwglr),
    Quirk(another_firmware_names_itself_in_its_date, no_mark("chipless")),
    Quirk(a_whole_in_sol_beside_boards_in_ksol, returning(snapshot, "doubt_of", None)),
    Quirk(a_constant_mode_of_another_firmware, set_to(slow, "running_number", any_number)),
    Quirk(a_model_that_only_its_system_information_names, named_by_its_script_alone),
    Quirk(a_serial_under_its_other_name, set_to(identify, "_SERIAL_KEYS", ("serinum",))),
    Quirk(watts_in_the_newer_stats, set_to(snapshot, "_WATT_KEYS", ())),
    Quirk(a_meter_that_stands_at_zero, set_to(snapshot, "_watts", any_watts)),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
