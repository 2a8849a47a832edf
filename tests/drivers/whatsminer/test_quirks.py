"""Quirks of WhatsMiners that only some devices have: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import MalformedError
from contract.miner import Endpoint, PowerMode, Reading
from drivers import registry
from drivers.antminer import identify as antminer
from drivers.antminer import identify as antminers
from drivers.antminer.protocol.rpc import AntminerRpc
from drivers.base import Depth
from drivers.stranger import Stranger
from drivers.whatsminer import driver, identify
from drivers.whatsminer.protocol.frames import PoolRow3
from drivers.whatsminer.reading import snapshot, snapshot_v3
from drivers.whatsminer.reading.snapshot import WhatsminerSnapshot
from simulator.farm import Farm
from tests.drivers.antminer.quirk import (
    Patch,
    Quirk,
    fails_without_its_guard,
    returning,
    set_to,
)
from tests.drivers.whatsminer.stage import factory_login, next_base, stage, timing
from tests.virtual_time import VirtualClock

# --- who it is -----------------------------------------------------------------------------------


async def an_m3_names_neither_itself_nor_its_supply() -> None:
    async with await Farm.start("whatsminer/m3", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        endpoint = Endpoint(
            host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port, v3_port=9
        )
        found = await registry.recognise(
            endpoint, clock=VirtualClock(), timing=timing(), credentials=factory_login
        )
        assert not isinstance(found, Stranger)
        assert (found.make, found.identity.model) == ("whatsminer", "M3")
        assert not found.identity.drivable
        look = await found.read(Depth.FULL)
        assert look.moving.hashrate_hs == pytest.approx(miner.hashrate_hs, rel=0.1)
        assert len(look.moving.boards) == 3


async def a_reply_too_long_for_one_recogniser_is_no_answer_for_the_others() -> None:
    """What no driver claims is just that, however much it says of itself."""
    async with await Farm.start("whatsminer/m3", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        endpoint = Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port)
        rpc = AntminerRpc(registry.Wire(endpoint, VirtualClock(), timing()), None)
        assert await antminer.hear(rpc, await antminer.ask_version(rpc)) is None


# --- figures -------------------------------------------------------------------------------------


def doubted(look: Reading) -> bool:
    """Whether no rate of it is given, and both figures are in the fault."""
    moving, slow = look.moving, look.slow
    assert slow is not None
    texts = [fault.text for fault in slow.faults if fault.code == "rate_unit_doubtful"]
    if not texts:
        return False
    assert moving.hashrate_hs is moving.hashrate_avg_hs is moving.hashrate_1m_hs is None
    assert {board.hashrate_hs for board in moving.boards} == {None}
    assert texts[0].count("H/s") == 2
    assert moving.hashes
    return True


async def boards_by_4028_a_thousand_times_too_high() -> None:
    for key in ("m3", "m20s", "m50s"):
        async with stage(key, "board_unit_off") as on:
            assert doubted(await on.driver.read(Depth.SLOW))


async def boards_in_terahash_a_thousand_times_too_high() -> None:
    async with stage("m60s-compat", "board_unit_off") as on:
        assert doubted(await on.driver.read(Depth.SLOW))


async def boards_by_v3_a_thousand_times_too_low() -> None:
    async with stage("m60s", {"fault": "board_unit_off", "factor": 0.001}) as on:
        assert doubted(await on.driver.read(Depth.SLOW))


async def windows_differ_while_it_ramps_up() -> None:
    """A mean of five minutes beside one of five seconds is no wrong unit."""
    async with stage("m20s") as on:
        on.miner.restart_process()
        for _ in range(24):
            await on.miner.clock.sleep(5.0)
            if not on.miner.process.is_up:
                continue
            assert not doubted(await on.driver.read(Depth.SLOW))


# --- API v3 ------------------------------------------------------------------------------------------


async def coolant_only_by_the_supply() -> None:
    async with stage("m63s++") as on:
        seen = await on.driver.read(Depth.FULL)
        assert seen.moving.temp_env_c is None
        assert seen.moving.temp_inlet_c == on.miner.env_c()
        assert seen.moving.fan_rpm == ()
        assert seen.static is not None
        assert seen.static.psu is not None
        assert seen.static.psu.model == "P566Z"


async def rejected_by_its_other_name() -> None:
    for key in ("m63s", "m63s++"):
        async with stage(key) as on:
            percent = (await on.driver.read()).moving.pool_reject_percent
            assert percent == pytest.approx(
                100 * on.miner.process.rejected() / on.miner.process.accepted(), abs=0.1
            )


async def the_power_limit_of_one_without_a_summary() -> None:
    async with stage("m60s", "joined_refused") as on:
        on.miner.settings["power_limit"] = 3100
        seen = await on.driver.read(Depth.SLOW)
        assert seen.slow is not None
        assert seen.slow.power_limit_w == 3100


async def a_miner_that_heats() -> None:
    async with stage("m63s") as on:
        on.miner.settings["heat_mode"] = "heating"
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert (seen.mode, seen.mode_preset) == (PowerMode.NORMAL, "heating")
        on.miner.settings["heat_mode"] = "normal"
        seen = (await on.driver.read(Depth.SLOW)).slow
        assert seen is not None
        assert seen.mode_preset is None


# --- the guards, switched off --------------------------------------------------------------------


def any_window(patch: Patch) -> None:
    """What the whole did in five minutes beside what its boards did in five seconds."""
    patch.setattr(snapshot, "_WINDOWS", (("HS RT", "rate_5s"),))


def as_it_was(look: WhatsminerSnapshot, *_: Any) -> WhatsminerSnapshot:
    return look


def by_the_summary_alone(look: WhatsminerSnapshot, *_: Any) -> float | None:
    return look.power_limit_w


def by_one_name(rows: list[PoolRow3]) -> float | None:
    return next((row.reject_percent for row in rows if row.active), None)


def a_cap_ends_it(patch: Patch) -> None:
    class NeverError(MalformedError):
        pass

    patch.setattr(antminers, "TooLongError", NeverError)


QUIRKS = [
    Quirk(
        an_m3_names_neither_itself_nor_its_supply,
        returning(identify, "may_be_m3", value=False),
    ),
    Quirk(a_reply_too_long_for_one_recogniser_is_no_answer_for_the_others, a_cap_ends_it),
    Quirk(boards_by_4028_a_thousand_times_too_high, returning(snapshot, "doubt_of", None)),
    Quirk(boards_in_terahash_a_thousand_times_too_high, returning(snapshot, "doubt_of", None)),
    Quirk(boards_by_v3_a_thousand_times_too_low, returning(snapshot_v3, "doubt_of", None)),
    Quirk(windows_differ_while_it_ramps_up, any_window),
    Quirk(coolant_only_by_the_supply, set_to(driver, "with_coolant", as_it_was)),
    Quirk(rejected_by_its_other_name, set_to(snapshot_v3, "reject_percent", by_one_name)),
    Quirk(
        the_power_limit_of_one_without_a_summary,
        set_to(driver, "power_limit_w", by_the_summary_alone),
    ),
    Quirk(a_miner_that_heats, returning(driver, "heat_mode", "normal")),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
