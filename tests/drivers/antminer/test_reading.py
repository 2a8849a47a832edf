"""Facts out of replies: units, sensors, fans, boards, faults."""

from __future__ import annotations

from typing import Any

import pytest

from contract.miner import PowerMode
from drivers.antminer.models import NEW_BM, OLD, clean_model, spec_for
from drivers.antminer.reading import look_of, mode_of, new_look_of
from drivers.antminer.units import ago_s, number, rate_hs, scaled, temps_c, unit_hs, watts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("GH", 1e9),
        ("GH/s", 1e9),
        ("MH/s", 1e6),
        ("TH/s", 1e12),
        ("KSol/s", 1e3),
        ("Sol/s", 1.0),
        ("", None),
        (None, None),
        ("degC", None),
        (7, None),
    ],
)
def test_units_of_rates(text: Any, value: float | None):
    assert unit_hs(text) == value


def test_rates_with_their_unit_need_no_table():
    assert rate_hs("9529.46 MH/s") == pytest.approx(9.52946e9)
    assert rate_hs("21632.89GH/s") == pytest.approx(21.63289e12)
    assert rate_hs("9529.46") is None
    assert rate_hs(9529.46) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("73-45-64-65", [73, 45, 64, 65]),
        ("2--1-20-22", [2, -1, 20, 22]),
        ("-8--11-10-12", [-8, -11, 10, 12]),
        ("0-0-0-0", []),
        ("m-m-m-m", []),
        ("-", []),
        ("66", [66]),
        (66, [66]),
        ([40.0, 0, "x", 47], [40, 47]),
        (None, []),
        ("9" * 500, []),
    ],
)
def test_sensors_joined_by_dashes(text: Any, value: list[float]):
    assert temps_c(text) == value


def test_numbers_that_are_none():
    for value in (None, "", "x", True, [], {}, float("nan"), float("inf"), 10**400, -(10**400)):
        assert number(value) is None, value
    assert number("1600M") == 1600
    assert number("54997.01") == 54997.01
    assert scaled("262K") == 262000
    assert scaled(" 69.2461") == 69.2461
    assert scaled("") is None
    assert ago_s("66:18:15") == 238695
    assert ago_s("0") is None
    assert watts("3250 W") == 3250
    assert watts("34.65 (AB)") is None


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("Antminer L3+ (024)", "L3+"),
        ("Antminer S9\nV1.3.58", "S9"),
        ("Antminer S9 Hiveon", "S9"),
        ("Antminer S21 Pro (Vnish 1.2.7)", "S21 Pro"),
        ("Antminer BHB42XXX", None),
        ("Antminer HHB68XXX", None),
        ("Antminer S21 Hyd.", "S21 Hyd."),
        ("", None),
        (None, None),
    ],
)
def test_a_model_out_of_a_type(text: str | None, model: str | None):
    assert clean_model(text) == model


def test_spellings_of_a_model_are_one():
    for name in ("S21 Hyd.", "S21 Hydro", "s21hyd", "S21 HYD"):
        found = spec_for(name)
        assert found is not None
        assert found.name == "S21 Hyd."
    assert spec_for("Q99") is None
    later = spec_for("S19 Imaginary")
    assert later is not None
    assert (later.generation, later.boards) == (NEW_BM, None)


def test_a_unit_that_is_named_beats_the_table():
    l7 = spec_for("L7")
    row = {"GHS 5s": 9.5, "GHS av": 9.5, "total_rateideal": 9.5}
    assert look_of(None, row, None, l7, None).moving.hashrate_hs == pytest.approx(9.5e6)
    named = look_of(None, row | {"rate_unit": "GH/s"}, None, l7, None)
    assert named.moving.hashrate_hs == pytest.approx(9.5e9)
    text = look_of({"RT HASHRATE": "9529.46 MH/s"}, row | {"rate_unit": "GH"}, None, l7, None)
    assert text.moving.hashrate_hs == pytest.approx(9.52946e9)


@pytest.mark.parametrize("ideal", [225.257, 0.0001, 225257000.0])
def test_an_ideal_of_another_unit_is_flagged_and_not_used(ideal: float):
    look = look_of(
        None, {"GHS 5s": 16000, "GHS av": 16000, "total_rateideal": ideal}, None, None, None
    )
    assert look.has_doubtful_unit
    assert look.ideal_hs is None
    assert look.moving.hashrate_hs == 16e12


def test_a_fan_that_stands_still_is_seen_where_slots_are_counted_through():
    s19, s9 = spec_for("S19"), spec_for("S9")
    row = {"fan_num": 4, "fan1": 0, "fan2": 5000, "fan3": 5000, "fan4": 0}
    assert look_of(None, row, None, s19, NEW_BM).moving.fan_rpm == (0, 5000, 5000, 0)
    old = {"fan_num": 2, "fan1": 0, "fan3": 4300, "fan6": 4400, "fan8": 0}
    assert look_of(None, old, None, s9, OLD).moving.fan_rpm == (4300, 4400)
    hydro = {"fan_num": 4, "fan1": 0, "fan2": 0, "fan3": 0, "fan4": 0}
    assert look_of(None, hydro, None, spec_for("S21 Hyd."), NEW_BM).moving.fan_rpm == ()


def test_a_board_with_some_bad_chips_is_bad_and_one_with_all_is_off():
    row = {
        "chain_acs1": " oxo", "chain_acn1": 3,
        "chain_acs2": " xxx", "chain_acn2": 3,
        "chain_acs3": " ooo", "chain_acn3": 3,
        "chain_acs4": "", "chain_acn4": 0,
    }  # fmt: skip
    look = look_of(None, row, None, None, None)
    assert [(b.index, b.state, b.chips_bad) for b in look.moving.boards] == [
        (1, "bad", 1),
        (2, "off", 3),
        (3, "ok", 0),
    ]
    assert not look.is_powered_down


@pytest.mark.parametrize("row", [None, {}])
def test_nothing_said_is_nothing_known(row: Any):
    moving = look_of(row, row, None, None, None).moving
    assert moving.hashrate_hs is None
    assert moving.uptime_kind is None
    assert moving.boards == ()


def test_modes_by_number_and_generation():
    assert [mode_of(word, NEW_BM) for word in (0, "0", "", 1, 2, 3, 7, None)] == [
        PowerMode.NORMAL,
        PowerMode.NORMAL,
        PowerMode.NORMAL,
        PowerMode.SLEEP,
        PowerMode.LOW,
        PowerMode.LOW,
        None,
        None,
    ]
    assert mode_of(254, OLD) is PowerMode.SLEEP
    assert mode_of(1, OLD) is PowerMode.NORMAL


def test_faults_of_the_newer_api_are_named():
    summary = {
        "rate_5s": 1,
        "status": [
            {"type": "rate", "status": "s", "code": 0, "msg": ""},
            {"type": "fans", "status": "e", "code": 2, "msg": "Wrong number"},
            {"type": "network", "status": "E", "code": 0, "msg": "Can not connect to pool"},
            "nonsense",
        ],
    }
    faults = new_look_of(summary, None, None).faults
    assert [(fault.code, fault.text) for fault in faults] == [
        ("fans:2", "Wrong number"),
        ("network", "Can not connect to pool"),
    ]
