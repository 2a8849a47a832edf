"""What single keys of API v3 say, in every way in which devices write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.miner import Moving
from drivers.whatsminer.protocol.frames import PoolRow3, StatusReply, decode_status
from drivers.whatsminer.reading.snapshot import WhatsminerSnapshot
from drivers.whatsminer.reading.snapshot_v3 import (
    heat_mode,
    power_limit_w,
    reject_percent,
    snapshot_of_status,
    with_coolant,
)


@pytest.mark.parametrize(
    ("rows", "percent"),
    [
        ([PoolRow3(active=True, reject_percent=0.35)], 0.35),
        ([PoolRow3(active=True, reject_rate="0.35")], 0.35),
        ([PoolRow3(active=False, reject_rate=9.0), PoolRow3(active=True, reject_rate=0)], 0.0),
        ([PoolRow3(active=True, reject_rate=-1)], None),
        ([PoolRow3(active=True, reject_rate=35000)], None),
        ([PoolRow3(reject_rate=0.35)], None),
        ([], None),
    ],
)
def test_rejected_is_that_of_the_pool_in_use(rows: list[PoolRow3], percent: float | None):
    assert reject_percent(rows) == percent


@pytest.mark.parametrize(
    ("told_w", "setting", "miner", "watts"),
    [
        (3600.0, {"power-limit": 3100}, {"power-limit-set": "3000"}, 3600),
        (None, {"power-limit": 3100}, {"power-limit-set": "3000"}, 3100),
        (None, {}, {"power-limit-set": "3000"}, 3000),
        (None, {"power-limit": 0}, {"power-limit-set": ""}, None),
    ],
)
def test_the_power_limit_is_the_summarys_or_what_is_set(
    told_w: float | None, setting: dict[str, Any], miner: dict[str, Any], watts: float | None
):
    assert (
        power_limit_w(WhatsminerSnapshot(moving=Moving(), power_limit_w=told_w), setting, miner)
        == watts
    )


@pytest.mark.parametrize(
    ("setting", "miner", "word"),
    [
        ({"heat-mode": "normal"}, {"heatmode": ""}, None),
        ({}, {"heatmode": "Normal"}, None),
        ({"heat-mode": "anti-freezing"}, {"heatmode": ""}, "anti-freezing"),
        ({"heat-mode": "normal"}, {"heatmode": "heating"}, "heating"),
        ({}, {}, None),
    ],
)
def test_heating_is_told_and_mining_alone_is_not(
    setting: dict[str, Any], miner: dict[str, Any], word: str | None
):
    assert heat_mode(setting, miner) == word


@pytest.mark.parametrize(
    ("is_liquid", "inlet_c", "told", "seen"),
    [
        (None, None, 38.4, (True, 38.4)),
        (True, 41.0, 38.4, (True, 41.0)),  # of every look, so its own
        (True, None, "38.4", (True, 38.4)),
        (None, None, 0, (None, None)),
        (None, None, -1, (None, None)),  # how these devices say that they do not know
        (None, None, "-1.0", (None, None)),
        (True, None, -3.5, (True, -3.5)),
        (None, None, None, (None, None)),
        (False, None, 38.4, (False, None)),  # the model says air
    ],
)
def test_a_supply_that_tells_of_coolant_has_some(
    is_liquid: bool | None, inlet_c: float | None, told: object, seen: tuple[Any, Any]
):
    look = WhatsminerSnapshot(moving=Moving(temp_inlet_c=inlet_c), is_liquid=is_liquid)
    after = with_coolant(look, {"liquid-temperature": told})
    assert (after.is_liquid, after.moving.temp_inlet_c) == seen


def status(*boards: dict[str, Any]) -> StatusReply:
    summary = {"hash-realtime": 120.0, "hash-average": 119.0}
    message = {"summary": summary, "edevs": boards}
    return decode_status(json.dumps({"code": 0, "when": 1, "msg": message}).encode())


@pytest.mark.parametrize(
    ("boards", "is_doubted"),
    [
        (({"hash-realtime": 40.0}, {"hash-realtime": 40.0}, {}), False),
        (({"hash-realtime": 40.0}, {}, {}), False),
        (({"hash-realtime": 40_000.0}, {}, {}), True),
        (({"hash-realtime": 0.04}, {"hash-realtime": 0.04}, {}), True),
        (({"hash-realtime": 0.04}, {"hash-average": 40.0}, {"hash-average": 40.0}), False),
        (({"hash-realtime": "x"}, {"hash-average": -1}, {}), False),
        ((), False),
    ],
)
def test_boards_that_do_not_tell_may_do_as_much_as_the_others(
    boards: tuple[dict[str, Any], ...], is_doubted: bool
):
    look = snapshot_of_status(status(*boards), None)
    assert look is not None
    assert (look.moving.hashrate_doubt is not None) is is_doubted
