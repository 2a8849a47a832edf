"""Error codes become faults with words and a severity."""

from __future__ import annotations

import pytest

from drivers.whatsminer.models import Cooling, cooling_of, plain_name
from drivers.whatsminer.reading.faults import (
    FAULTS_CAP,
    Code,
    codes_of,
    codes_of_summary,
    faults_of,
)


def test_every_way_of_writing_codes_is_read():
    given = [
        218,
        "110",
        {"531": "2025-03-12 14:52:35", "reason": "Slot1 not found."},
        {"2320": "t", "2010": "t"},
        "btminer process is down err",
        {"reason": "alone"},
        None,
        [7],
        -5,
        10**9,
        True,
    ]
    assert [(code.number, code.text) for code in codes_of(given)] == [
        (218, None),
        (110, None),
        (531, "Slot1 not found."),
        (2320, None),
        (2010, None),
        (None, "btminer process is down err"),
    ]
    for nothing in (None, "", {}, 5):
        assert codes_of(nothing) == ()


def test_factory_error_codes_are_history():
    summary = {"Error Code Count": 1, "Error Code 0": 205, "Factory Error Code 0": 202}
    assert [code.number for code in codes_of_summary(summary)] == [205]
    assert codes_of_summary({"Error Code Count": 10**12, "Error Code 0": "x"}) == ()


@pytest.mark.parametrize(
    ("number", "severity", "says"),
    [
        (110, "error", "fan"),
        (218, "error", "230 V"),
        (233, "error", "stopped"),
        (275, "warning", "temperature"),
        (329, "warning", "control board"),
        (351, "error", "board 1"),
        (531, "error", "board 1 is not found"),
        (610, "error", "high power"),
        (2000, "error", "no pool"),
        (2021, "warning", "pool 1"),
        (2310, "warning", "too low"),
        (5071, "error", "water"),
        (5110, "warning", "in time"),
        (521042, "info", "board 1 chip 42"),
        (810, "error", "cooling"),
        (9999, "warning", "crashed"),
        (100001, "error", "SECURITY"),
        (77, "warning", "77"),
    ],
)
def test_a_code_says_what_is_wrong_and_how_badly(number: int, severity: str, says: str):
    (fault,) = faults_of([Code(number)])
    assert (fault.code, fault.severity) == (str(number), severity)
    assert says in fault.text


def test_the_miners_own_words_come_first():
    (fault,) = faults_of([Code(531, "Slot1 not found.")])
    assert fault.text == "Slot1 not found."


def test_each_code_is_told_once_and_not_without_end():
    assert len(faults_of([Code(110)] * 5)) == 1
    assert len(faults_of([Code(521000 + n) for n in range(500)])) == FAULTS_CAP


def test_what_belongs_to_a_start_or_a_stop_is_no_fault():
    codes = [Code(2310), Code(5110), Code(110)]
    assert [f.code for f in faults_of(codes)] == ["2310", "5110", "110"]
    assert [f.code for f in faults_of(codes, is_ramping=True)] == ["110"]
    assert [f.code for f in faults_of(codes, is_off=True)] == ["110"]
    assert [f.code for f in faults_of(codes, has_fans=False)] == ["2310", "5110"]


@pytest.mark.parametrize(
    ("model", "cooling"),
    [
        ("M20SV10", Cooling.AIR),
        ("M30S++_VH70", Cooling.AIR),
        ("M31S+V30", Cooling.AIR),
        ("M63S_VK30", Cooling.HYDRO),
        ("M56SVH30", Cooling.IMMERSION),
        ("M7BS_VM30", Cooling.HYDRO),
        ("D1", None),
        (None, None),
    ],
)
def test_the_name_tells_the_cooling(model: str | None, cooling: Cooling | None):
    assert cooling_of(model) is cooling


def test_two_spellings_of_a_model_are_one():
    assert plain_name("M30S+_VE40") == plain_name("m30s+VE40")
    assert plain_name("M63SPP_VL20") == plain_name("M63S++ VL20")
    assert cooling_of("M63SPP") is Cooling.HYDRO
