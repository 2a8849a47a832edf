"""Facts out of replies: units, sensors, fans, boards, faults."""

from __future__ import annotations

from typing import Any

import pytest

from contract.miner import PowerMode
from drivers.antminer.identify import who_of
from drivers.antminer.models import NEW_BM, OLD, clean_model, spec_for
from drivers.antminer.protocol.replies import AntminerJoined, AntminerReply, AntminerStatus
from drivers.antminer.reading import braiins
from drivers.antminer.reading.figures import ago_s, number, rate_hs, scaled, temps_c, unit_hs, watts
from drivers.antminer.reading.snapshot import mode_of, new_api_snapshot_of, snapshot_of


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


@pytest.mark.parametrize(
    ("name", "boards", "chips", "fans"),
    [
        ("Antminer S21++", 3, 55, 4),
        ("Antminer S21 Pro+", 3, 65, 4),
        ("Antminer S21j XP Hyd.", 3, 42, 0),
        ("Antminer S21 XP Hyd.", 3, 160, 0),
        ("Antminer S23 Hyd.", 3, 84, 0),
        ("Antminer L9", 3, 110, 4),
        ("Antminer L11", 3, 88, 4),
        ("Antminer KS5 Pro", 3, 92, 4),
        ("Antminer DR5", 3, 72, 2),
        ("Antminer Z15", 3, 3, 2),
        ("Antminer Z15 Pro", 3, 6, 2),
    ],
)
def test_models_of_late_are_known(name: str, boards: int, chips: int, fans: int):
    model = clean_model(name)
    found = spec_for(model)
    assert found is not None
    assert (found.name, found.boards, found.chips, found.fans) == (model, boards, chips, fans)


def test_a_unit_that_is_named_beats_the_table():
    l7 = spec_for("L7")
    row = {"GHS 5s": 9.5, "GHS av": 9.5, "total_rateideal": 9.5}
    assert snapshot_of(None, row, None, l7, None).moving.hashrate_hs == pytest.approx(9.5e6)
    named = snapshot_of(None, row | {"rate_unit": "GH/s"}, None, l7, None)
    assert named.moving.hashrate_hs == pytest.approx(9.5e9)
    text = snapshot_of({"RT HASHRATE": "9529.46 MH/s"}, row | {"rate_unit": "GH"}, None, l7, None)
    assert text.moving.hashrate_hs == pytest.approx(9.52946e9)


@pytest.mark.parametrize("ideal", [225.257, 0.0001, 225257000.0])
def test_an_ideal_of_another_unit_is_flagged_and_not_used(ideal: float):
    look = snapshot_of(
        None, {"GHS 5s": 16000, "GHS av": 16000, "total_rateideal": ideal}, None, None, None
    )
    assert look.has_doubtful_unit
    assert look.ideal_hs is None
    assert look.moving.hashrate_hs == 16e12


CHAINS = {f"chain_acn{n}": 3 for n in (1, 2, 3)} | {f"chain_acs{n}": " ooo" for n in (1, 2, 3)}


def chains(*rates: object) -> dict[str, object]:
    return CHAINS | {f"chain_rate{n}": rate for n, rate in enumerate(rates, 1)}


@pytest.mark.parametrize(
    ("whole", "boards"),
    [
        (141540.0, ("53.24", "42.26", "46.03")),
        (0.14154, ("53.24", "42.26", "46.03")),
        ("430", (53.24, 42.26, 46.03)),  # three times and a little
        ("141540", (141.5, "", "")),  # two do not tell, which makes no factor of a thousand
    ],
)
def test_a_whole_that_its_boards_contradict_is_no_rate(whole: object, boards: tuple[object, ...]):
    row = {"GHS 5s": whole, "GHS av": whole, "total_rateideal": whole} | chains(*boards)
    look = snapshot_of(None, row, None, spec_for("Z11"), OLD)
    moving = look.moving
    assert moving.hashrate_hs is moving.hashrate_avg_hs is look.ideal_hs is None
    assert {board.hashrate_hs for board in moving.boards} == {None}
    assert moving.hashrate_doubt is not None
    assert "141.5 kH/s" in moving.hashrate_doubt
    assert moving.hashes
    assert all(board.temp_chip_c is None and board.chips == 3 for board in moving.boards)


@pytest.mark.parametrize(
    ("whole", "boards"),
    [
        ("141.54", ("53.24", "42.26", "46.03")),
        ("420", ("53.24", "42.26", "46.03")),  # not quite three times
        ("0.00", ("53.24", "42.26", "46.03")),  # no work for five seconds
        ("141.54", ("0.00", "0.00", "0.00")),
        ("141.54", ("46.03", "", "")),  # two do not tell
        ("141.54", ("46.03",)),  # they are not even listed
        ("141.54", ()),
    ],
)
def test_boards_that_do_not_contradict_change_nothing(whole: object, boards: tuple[object, ...]):
    row: dict[str, object] = {"GHS 5s": whole, "GHS av": 139.59} | chains(*boards)
    row |= {f"chain_acs{n}": "" for n in range(len(boards) + 1, 4)}
    row |= {f"chain_acn{n}": 0 for n in range(len(boards) + 1, 4)}
    moving = snapshot_of(None, row, None, spec_for("Z11"), OLD).moving
    assert moving.hashrate_doubt is None
    assert moving.hashrate_hs == pytest.approx(float(str(whole)) * 1e3)
    assert moving.hashes is (moving.hashrate_hs > 0)


@pytest.mark.parametrize(
    ("now", "mean", "told"),
    [
        ("0.12", 500.28, "126.12"),  # no work for half a minute
        ("150.00", 500.28, "126.12"),  # and for some seconds
        ("504.00", 12.6, "126.12"),  # the first work for long
    ],
)
def test_work_that_begins_or_stops_is_no_wrong_unit(now: str, mean: float, told: str):
    row: dict[str, object] = {"GHS 5s": now, "GHS av": mean}
    row |= {f"chain_acn{n}": 72 for n in range(1, 5)}
    row |= {f"chain_rate{n}": told for n in range(1, 5)}
    moving = snapshot_of(None, row, None, spec_for("L3+"), OLD).moving
    assert moving.hashrate_doubt is None
    assert moving.hashrate_hs == pytest.approx(float(now) * 1e6)


def test_boards_that_died_leave_their_mean_behind():
    summary = {"RT HASHRATE": "2350.11 MH/s", "AV HASHRATE": "9410.02 MH/s"}
    row: dict[str, object] = {f"chain_acn{n}": 120 for n in range(1, 5)}
    row |= {f"CHAIN AVG HASHRATE{n}": "2352.50 MH/s" for n in range(1, 5)}
    moving = snapshot_of(summary, row, None, spec_for("L7"), None).moving
    assert (moving.hashrate_doubt, moving.hashrate_hs) == (None, pytest.approx(2.35011e9))


@pytest.mark.parametrize(
    ("now", "mean"),
    [
        ("0.00", 12.0),  # it worked for minutes, days ago
        ("14000", 12.0),  # it works again, since minutes
        ("14000", 0.0),
    ],
)
def test_a_mean_that_is_low_is_no_wrong_unit(now: str, mean: float):
    row = {"GHS 5s": now, "GHS av": mean, "total_rateideal": 14000.0}
    look = snapshot_of(None, row, None, spec_for("S9"), OLD)
    assert not look.has_doubtful_unit
    assert look.ideal_hs == 14e12


def test_what_stands_for_no_serial_hides_none():
    assert who_of({"serinum": "Unknown", "serial_no": "SMTT1"}).serial == "SMTT1"
    assert who_of({"serinum": 7, "serial_no": ["SMTT1"]}).serial is None
    assert who_of({"serinum": "Unknown", "serial_no": "unknow"}).serial is None


def test_the_newer_api_is_held_to_its_boards_too():
    chain = [{"index": n, "rate_real": 68000.0, "rate_ideal": 66000.0} for n in range(3)]
    stats = {"rate_5s": 204.0, "rate_ideal": 200.0, "rate_unit": "GH/s", "chain": chain}
    new = new_api_snapshot_of(None, stats, spec_for("S21"))
    assert new.moving is not None
    assert (new.moving.hashrate_hs, new.ideal_hs) == (None, None)
    assert new_api_snapshot_of(None, stats | {"rate_unit": "TH/s"}, None).moving != new.moving
    starting = stats | {"rate_5s": 20_000.0, "rate_avg": 204_000.0}
    seen = new_api_snapshot_of(None, starting, spec_for("S21")).moving
    assert seen is not None
    assert seen.hashrate_hs == 20e12


@pytest.mark.parametrize(
    ("stats", "power_w"),
    [
        ({"power": 3358}, 3358),
        ({"watt": "5525"}, 5525),
        ({"power": 0, "watt": 3412}, 3412),
        ({"watt": 0}, None),  # hydros that do not measure it
        ({"power": "3358 W"}, 3358),
        ({"power": "3.358 kW", "watt": 3412}, 3412),
        ({"power": {"in": 3358}}, None),
        ({"power": None, "watt": True}, None),
        ({"power": float("nan"), "watt": float("inf")}, None),
        ({"power": -1, "watt": "-3358"}, None),
        ({}, None),
    ],
)
def test_watts_of_the_newer_api(stats: dict[str, object], power_w: float | None):
    assert new_api_snapshot_of(None, {"rate_5s": 1.0} | stats, None).power_w == power_w


def test_a_bare_figure_counts_in_the_unit_that_the_same_has_in_text():
    summary = {"GHS av": 12.85, "RT HASHRATE": "11.49 GH/s", "AV HASHRATE": "12.85 GH/s"}
    stats = {"GHS 5s": 11.48, "GHS av": 12.85, "rate_30m": 11.47} | chains(5.66, 5.65, 0.2)
    look = snapshot_of(summary, stats, None, spec_for("L7"), None)
    assert look.moving.hashrate_30m_hs == pytest.approx(11.47e9)
    assert look.moving.boards[0].hashrate_hs == pytest.approx(5.66e9)
    mega = {"AV HASHRATE": "9529.46 MH/s", "GHS av": 9529.46}
    assert snapshot_of(mega, {"rate_30m": 9500}, None, None, None).moving.hashrate_30m_hs == 9.5e9


def test_a_figure_that_names_its_unit_counts_in_that():
    row: dict[str, object] = {
        "GHS 5s": "13.52 TH/s",
        "GHS av": "13520.1",
        "chain_rate6": "4.51TH/s ",
    }
    row |= {"chain_acn6": 63, "chain_rate7": "4.50 T?H", "chain_acn7": 63}
    moving = snapshot_of(None, row, None, spec_for("S9"), OLD).moving
    assert moving.hashrate_hs == pytest.approx(13.52e12)
    assert moving.hashrate_avg_hs == pytest.approx(13.5201e12)
    assert [board.hashrate_hs for board in moving.boards] == [pytest.approx(4.51e12), None]


@pytest.mark.parametrize(
    ("now", "mean", "told_hs"),
    [
        (13.5e6, 13.5e6, 13.5e12),
        (0.2e6, 13.5e6, 0.2e12),  # its pool is away
        ("-1", 13.5e6, None),
        ("13.5 TH/s", 13.5e6, None),
        (13.5e3, 13.5e3, None),
    ],
)
def test_braiins_is_held_to_its_boards_too(now: object, mean: object, told_hs: float | None):
    good = AntminerStatus(status="S")
    rows = [{"ID": each, "MHS 5s": 4.5e6} for each in (6, [7], {"a": 8})]
    heats = [{"ID": 6, "Chip": 81.0}, {"ID": [7], "Chip": 82.0}]
    joined = AntminerJoined(
        summary=AntminerReply(STATUS=good, SUMMARY=[{"MHS 5s": now, "MHS av": mean}]),
        devs=AntminerReply(STATUS=good, DEVS=rows),
        temps=AntminerReply(STATUS=good, TEMPS=heats),
    )
    moving = braiins.snapshot_of(joined).moving
    assert moving.hashrate_hs == (None if told_hs is None else pytest.approx(told_hs))
    assert (moving.hashrate_doubt is not None) is (now == 13.5e3)
    assert moving.boards[0].temp_chip_c == 81.0


def test_a_fan_that_stands_still_is_seen_where_slots_are_counted_through():
    s19, s9 = spec_for("S19"), spec_for("S9")
    row = {"fan_num": 4, "fan1": 0, "fan2": 5000, "fan3": 5000, "fan4": 0}
    assert snapshot_of(None, row, None, s19, NEW_BM).moving.fan_rpm == (0, 5000, 5000, 0)
    old = {"fan_num": 2, "fan1": 0, "fan3": 4300, "fan6": 4400, "fan8": 0}
    assert snapshot_of(None, old, None, s9, OLD).moving.fan_rpm == (4300, 4400)
    hydro = {"fan_num": 4, "fan1": 0, "fan2": 0, "fan3": 0, "fan4": 0}
    assert snapshot_of(None, hydro, None, spec_for("S21 Hyd."), NEW_BM).moving.fan_rpm == ()


def test_a_board_with_some_bad_chips_is_bad_and_one_with_all_is_off():
    row = {
        "chain_acs1": " oxo", "chain_acn1": 3,
        "chain_acs2": " xxx", "chain_acn2": 3,
        "chain_acs3": " ooo", "chain_acn3": 3,
        "chain_acs4": "", "chain_acn4": 0,
        "chain_acs5": " xoX", "chain_acn5": 1,
        "chain_acs6": " XXX", "chain_acn6": 3,
    }  # fmt: skip
    look = snapshot_of(None, row, None, None, None)
    assert [(b.index, b.state, b.chips_bad) for b in look.moving.boards] == [
        (1, "bad", 1),
        (2, "off", 3),
        (3, "ok", 0),
        (5, "bad", 2),
        (6, "off", 3),
    ]
    assert not look.is_powered_down


@pytest.mark.parametrize("row", [None, {}])
def test_nothing_said_is_nothing_known(row: Any):
    moving = snapshot_of(row, row, None, None, None).moving
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
    faults = new_api_snapshot_of(summary, None, None).faults
    assert [(fault.code, fault.text) for fault in faults] == [
        ("fans:2", "Wrong number"),
        ("network", "Can not connect to pool"),
    ]
