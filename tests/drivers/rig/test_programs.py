"""What the answers of the mining programs mean, each by the field list of its page."""

from __future__ import annotations

import copy
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import MalformedError
from contract.miner import RigPart
from drivers.rig.protocol import (
    bzminer,
    gminer,
    lolminer,
    nbminer,
    rigel,
    srbminer,
    teamredminer,
    trex,
    xmrig,
)
from drivers.rig.protocol.figures import bus_id_of, full_bus_id, unit_factor
from drivers.rig.protocol.report import ProgramReport
from tests.drivers.rig import replies

Works = list[tuple[RigPart, int, str | None, float | None, int | None, int | None]]
CPU, GPU = RigPart.CPU, RigPart.GPU

CASES: list[tuple[ModuleType, dict[str, Any], Works, list[tuple[str | None, tuple[float | None, ...]]]]] = [
    (lolminer, replies.LOLMINER,
     [(GPU, 1, "Etchash", 160.5e6, 12, 1), (GPU, 2, "SHA512256d", 1.5e9, 7, 0)],
     [("0000:01", (98.25e6, 1e9)), ("0000:0c", (62.25e6, 0.5e9))]),
    (lolminer, replies.LOLMINER_OLD, [(GPU, 1, "Etchash", 160.5e6, 12, None)],
     [("0000:01", (98.25e6,)), ("0000:0c", (62.25e6,))]),
    (trex, replies.TREX, [(GPU, 1, "kawpow", 50.5e6, 9, 2)], [("0000:01", (50.5e6,))]),
    (rigel, replies.RIGEL, [(GPU, 1, "octopus", 60.5e6, 4, 1), (GPU, 2, "sha512256d", 1.1e9, 3, 0)],
     [("0000:01:00.0", (60.5e6, 1.1e9)), ("0000:0c:00.0", (0.0, 0.0))]),
    (bzminer, replies.BZMINER, [(GPU, 1, "kaspa", 1.5e9, 8, 1), (GPU, 2, "ergo", 3e8, 2, 0)],
     [("0000:01", (1e9, 2e8)), ("0000:0c", (5e8, 1e8))]),
    (srbminer, replies.SRBMINER, [(CPU, 1, "randomx", 9000.0, 3, 0), (GPU, 1, "autolykos2", 3e8, 6, 1)],
     [("0000:01", (2e8,)), ("0000:0c", (1e8,))]),
    (teamredminer, replies.TEAMREDMINER, [(GPU, 1, None, 121.5e6, 11, 1), (GPU, 2, None, 0.9e6, 5, 0)],
     [("0000:01", (61e6, 0.5e6)), ("0000:0c", (60.5e6, 0.4e6))]),
    (gminer, replies.GMINER, [(GPU, 1, "Equihash 125/4", 135.0, 6, 1)],
     [("0000:01:00.0", (95.0,)), ("0000:0c:00.0", (40.0,))]),
    (nbminer, replies.NBMINER, [(GPU, 1, "ethash", 98e6, 3, 0), (GPU, 2, None, 1.5e6, None, None)],
     [("0000:01", (60e6, 1e6)), ("0000:0c", (38e6, 0.5e6))]),
]  # fmt: skip
NAMES = [f"{each[0].__name__.rpartition('.')[2]}-{at}" for at, each in enumerate(CASES)]


def works(report: ProgramReport) -> Works:
    return [
        (w.part, w.slot, w.algorithm, w.hashrate_hs, w.accepted, w.rejected) for w in report.works
    ]


@pytest.mark.parametrize(("program", "reply", "expected", "cards"), CASES, ids=NAMES)
def test_a_program_tells_rates_in_hashes_per_second_by_algorithm_and_bus(
    program: ModuleType, reply: Any, expected: Works, cards: Any
) -> None:
    report = program.report_of(reply)
    assert works(report) == expected
    assert [(card.bus_id, card.rates_hs) for card in report.cards] == cards


def test_sensors_that_a_program_tells_have_units_and_zero_is_none() -> None:
    card = lolminer.report_of(replies.LOLMINER).cards[0]
    assert (card.temp_c, card.temp_memory_c, card.fan_percent, card.power_w) == (55, 88, 70, 219.5)
    assert (card.core_hz, card.memory_hz) == (1.5e9, 9.501e9)


def test_lolminer_that_starts_has_an_empty_text_for_its_workers() -> None:
    report = lolminer.report_of({"Software": "lolMiner 1.88", "Workers": "", "Algorithms": ""})
    assert (report.cards, report.works) == ((), ())


def test_a_lolminer_rate_without_a_unit_is_none() -> None:
    reply = copy.deepcopy(replies.LOLMINER)
    del reply["Algorithms"][0]["Performance_Factor"]
    assert lolminer.report_of(reply).works[0].hashrate_hs == 160.5e6  # by `Performance_Unit`
    reply["Algorithms"][0]["Performance_Unit"] = "furlongs"
    assert lolminer.report_of(reply).works[0].hashrate_hs is None


def test_teamredminer_without_a_second_algorithm_answers_invalid_command() -> None:
    reply = copy.deepcopy(replies.TEAMREDMINER)
    for name in ("devs2", "summary2", "pools2"):
        reply[name] = [{"STATUS": [{"STATUS": "E", "Msg": "Invalid command"}]}]
    assert [work.slot for work in teamredminer.report_of(reply).works] == [1]


def test_nbminer_without_dual_mining_has_one_algorithm() -> None:
    reply = copy.deepcopy(replies.NBMINER)
    reply["stratum"]["dual_mine"] = False
    report = nbminer.report_of(reply)
    assert ([w.slot for w in report.works], report.cards[0].rates_hs) == ([1], (60e6,))


def xmrig_with(**changed: Any) -> ProgramReport:
    return xmrig.report_of(replies.XMRIG | changed, replies.XMRIG_BACKENDS)


@pytest.mark.parametrize(
    ("total", "rate"),
    [([0, 0, 0], 0.0), ([None, None, None], None), ([29.93, None, None], 29.93), ([9563.2, 9500.5, None], 9500.5),
     (None, None), ("NaN", None)],
)  # fmt: skip
def test_xmrig_tells_the_mean_over_a_minute_once_there_is_one(
    total: Any, rate: float | None
) -> None:
    assert works(xmrig_with(hashrate={"total": total})) == [(CPU, 1, "rx/0", rate, 5, 1)]


def test_a_decaying_rate_after_the_pool_is_gone_is_no_hashing() -> None:
    gone = xmrig_with(
        connection={"pool": "pool.example.org:443", "uptime": 0, "failures": 1, "ip": None},
        hashrate={"total": [7.55, 20.1, None]},
    )
    assert (gone.pool_lost, gone.paused, gone.works[0].hashrate_hs) == (True, False, 0.0)


def test_a_paused_xmrig_hashes_nothing() -> None:
    paused = xmrig_with(paused=True)
    assert (paused.paused, paused.pool_lost, paused.works[0].hashrate_hs) == (True, False, 0.0)


def test_xmrig_tells_cards_and_processor_apart() -> None:
    on_card = {"type": "cuda", "enabled": True, "threads": [
        {"bus_id": "01:00.0", "name": "GeForce RTX 3080", "hashrate": [800.0, 900.0, None]},
        {"bus_id": "01:00.0", "name": "GeForce RTX 3080", "hashrate": [600.0, None, None]},
    ]}  # fmt: skip
    report = xmrig.report_of(replies.XMRIG, [*replies.XMRIG_BACKENDS, on_card])
    assert [(w.part, w.hashrate_hs) for w in report.works] == [(CPU, 8000.5), (GPU, 1500.0)]
    assert [(c.bus_id, c.rates_hs) for c in report.cards] == [("0000:01:00.0", (1500.0,))]


@pytest.mark.parametrize(
    ("told", "bus_id"),
    [("00000000:05:00.0", "0000:05:00.0"), ("0001:AF:00.1", "0001:af:00.1"), ("05:00.0", "0000:05:00.0"), (5, "0000:05"),
     ("45:0", "0000:2d"), ("5", "0000:05"), (5.5, None), (-1, None), (300, None), ("", None), (None, None), ([], None),
     (True, None), ("0:1:2:3", None), (float("nan"), None)],
)  # fmt: skip
def test_a_bus_is_known_however_it_is_told(told: Any, bus_id: str | None) -> None:
    assert bus_id_of(told) == bus_id


def test_a_bus_in_hexadecimal_is_full_or_none() -> None:
    assert (full_bus_id("5"), full_bus_id("05:00.0")) == (None, "0000:05:00.0")


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("H/s", 1), ("kH/s", 1e3), ("MH/s", 1e6), ("Mh/s", 1e6), ("GH/s", 1e9), ("TH/s", 1e12), ("Sol/s", 1), ("G/s", 1),
     ("sol/s", 1), ("furlongs", None), (None, None), ("", None)],
)  # fmt: skip
def test_units_of_rates(unit: Any, factor: float | None) -> None:
    assert unit_factor(unit) == factor


PROGRAMS = [lolminer, trex, rigel, bzminer, srbminer, teamredminer, gminer, nbminer]
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.data(), junk)
def test_one_field_of_nonsense_ends_in_a_report_or_a_named_error(data: Any, value: Any) -> None:
    program, reply, *_ = data.draw(st.sampled_from(CASES))
    spoilt = copy.deepcopy(reply)
    inner: Any = spoilt
    for _ in range(data.draw(st.integers(0, 4))):
        steps = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        deeper = [each for each in steps if isinstance(inner[each], dict | list) and inner[each]]
        if not deeper:
            break
        inner = inner[data.draw(st.sampled_from(deeper))]
    key = data.draw(
        st.sampled_from(list(inner) if isinstance(inner, dict) else list(range(len(inner))))
    )
    inner[key] = value
    try:
        report = program.report_of(spoilt)
    except MalformedError:
        return
    rates = [work.hashrate_hs for work in report.works]
    rates += [rate for card in report.cards for rate in card.rates_hs]
    assert all(rate is None or 0 <= rate < 1e34 for rate in rates)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__.rpartition(".")[2])
@pytest.mark.parametrize("reply", [{}, {"error": "x"}, {"devices": None}, {"gpus": 1, "pools": []}])
def test_another_ones_answer_is_no_report_of_rates(program: ModuleType, reply: Any) -> None:
    try:
        report = program.report_of(reply)
    except MalformedError:
        return
    assert report.cards == ()
    assert all(work.hashrate_hs is None for work in report.works)


def test_the_answer_of_teamredminer_is_read_from_its_bytes() -> None:
    body = json.dumps(replies.TEAMREDMINER).encode()
    report = teamredminer.report_of(teamredminer.fields_of(body))
    assert (report.version, len(report.cards)) == ("0.10.21", 2)
    with pytest.raises(MalformedError):
        teamredminer.fields_of(b"<html>")
    with pytest.raises(MalformedError):
        teamredminer.fields_of(b'{"devs": []}')
