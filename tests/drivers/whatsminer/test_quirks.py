"""Quirks of WhatsMiners that only some devices have: with its guard all is well, without it this is seen.

A row is a check that passes, and the guard of the driver to switch off so that it fails.
"""

from __future__ import annotations

from typing import Any

import pytest

from contract.errors import MalformedError
from contract.miner import Endpoint, Reading
from drivers import registry
from drivers.antminer import identify as antminers
from drivers.base import Credentials, Depth
from drivers.whatsminer import identify, reading, reading3
from simulator.farm import Farm
from tests.drivers.antminer.quirk import (
    Patch,
    Quirk,
    fails_without_its_guard,
    returning,
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
        driver = await registry.recognise(
            endpoint, clock=VirtualClock(), timing=timing(), credentials=factory_login
        )
        assert driver is not None
        assert (driver.make, driver.identity.model) == ("whatsminer", "M3")
        assert not driver.identity.drivable
        look = await driver.read(Depth.FULL)
        assert look.moving.hashrate_hs == pytest.approx(miner.hashrate_hs, rel=0.1)
        assert len(look.moving.boards) == 3


async def a_reply_too_long_for_one_recogniser_is_no_answer_for_the_others() -> None:
    """What no driver claims is just that, however much it says of itself."""
    async with await Farm.start("whatsminer/m3", base=next_base()) as farm:
        miner: Any = farm.miners[0]
        wire = registry.Wire(
            Endpoint(host=miner.ip, http_port=miner.http_port, rpc_port=miner.rpc_port),
            VirtualClock(),
            timing(),
        )
        found = await registry.antminer.recognise(
            wire, VirtualClock(), timing(), lambda _: Credentials("root", "root")
        )
        assert found is None


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


# --- the guards, switched off --------------------------------------------------------------------


def any_window(patch: Patch) -> None:
    """What the whole did in five minutes beside what its boards did in five seconds."""
    patch.setattr(reading, "_WINDOWS", (("HS RT", "rate_5s"),))


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
    Quirk(boards_by_4028_a_thousand_times_too_high, returning(reading, "doubt_of", None)),
    Quirk(boards_in_terahash_a_thousand_times_too_high, returning(reading, "doubt_of", None)),
    Quirk(boards_by_v3_a_thousand_times_too_low, returning(reading3, "doubt_of", None)),
    Quirk(windows_differ_while_it_ramps_up, any_window),
]
IDS = [quirk.name for quirk in QUIRKS]


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_with_its_guard_the_quirk_does_no_harm(quirk: Quirk) -> None:
    await quirk.check()


@pytest.mark.parametrize("quirk", QUIRKS, ids=IDS)
async def test_without_its_guard_the_quirk_is_seen(quirk: Quirk, monkeypatch: Patch) -> None:
    await fails_without_its_guard(quirk, monkeypatch)
