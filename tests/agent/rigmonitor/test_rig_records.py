"""What the monitor is told of a rig's reading, field by field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.rigmonitor.rig_records import (
    CPU,
    GPU_1,
    GPU_2,
    NO_COIN,
    SEVERAL,
    Mined,
    rig_record_of,
    rig_spec_of,
)
from contract.miner import Board, BoardState, Make, Moving, RigPart, RigWork, Static
from contract.rigmonitor.rig import RigLog, RigSpec
from tests.agent.rigmonitor import strict_rigs
from tests.agent.rigmonitor.strict_rigs import StrictRigs

RAVEN = Mined(coin_name="Ravencoin", algorithm="KawPow", wallet_address="RXa")


def card(number: int, **more):
    return Board(
        index=number - 1,
        part=RigPart.GPU,
        bus_id=f"0000:{number:02x}:00.0",
        **{
            "name": f"RTX 308{number}",
            "hashrate_hs": 60.52e6,
            "temp_chip_c": 65.4,
            "temp_memory_c": 88.0,
            "frequency_hz": 1.835e9,
            "memory_hz": 9.505e9,
            "power_w": 105.32,
            "fan_percent": 35.0,
            "state": BoardState.OK,
        }
        | more,
    )


def work(part: RigPart = RigPart.GPU, slot: int = 1, **more):
    return RigWork(
        part=part,
        slot=slot,
        **{
            "program": "T-Rex",
            "algorithm": "kawpow",
            "pool": "stratum+tcp://rvn.example.net:3333",
            "hashrate_hs": 363e6,
            "paused": False,
        }
        | more,
    )


XMRIG = work(
    RigPart.CPU,
    program="XMRig",
    algorithm="rx/0",
    pool="pool.hashvault.pro:443",
    hashrate_hs=9563.2,
)
MOVING = Moving(
    hashrate_hs=363e6,
    temp_cpu_c=84.875,
    uptime_s=7 * 86400 + 23 * 3600 + 50 * 60 + 20,
    boards=tuple(card(n) for n in range(1, 7)),
    works=(work(), XMRIG),
)


def told(moving: Moving, mined=None, **more):
    """The body, with what the strict server finds wrong with it, which is nothing."""
    record = rig_record_of(moving, mined or {}, **({"lan_ip": "192.168.18.60"} | more))
    body = msgspec.to_builtins(record.log)
    faults: list[str] = []
    assert StrictRigs(faults).check_log(body) == {}
    assert faults == []
    return body


def test_all_fields_are_those_of_the_reference() -> None:
    assert set(RigLog.__struct_fields__) == set(strict_rigs.LOG_FIELDS)
    assert set(RigSpec.__struct_fields__) == set(strict_rigs.SPEC_FIELDS)


def test_cards_and_processor_are_told_in_whole_numbers_and_one_unit_for_each_algorithm() -> None:
    body = told(MOVING, {GPU_1: RAVEN, CPU: Mined(coin_name="Monero", wallet_address="48edf")})
    cards = {name for name in body if name.startswith("gpu_") and name[4].isdigit()}
    assert {name: body[name] for name in cards if name.startswith("gpu_6_")} == {
        "gpu_6_hashrate_1": 60520,
        "gpu_6_core_temp": 65,
        "gpu_6_mem_temp": 88,
        "gpu_6_core_clock": 1835,
        "gpu_6_mem_clock": 9505,
        "gpu_6_power": 105,
        "gpu_6_fan": 35,
    }
    assert len(cards) == 6 * 7
    assert {name: value for name, value in body.items() if name not in cards} == {
        "cpu_temp": 85,
        "cpu_hashrate": 9563,
        "cpu_hashrate_uom": "H/s",
        "cpu_algorithm": "rx/0",
        "cpu_coin_name": "Monero",
        "cpu_pool_address": "pool.hashvault.pro:443",
        "cpu_wallet": "48edf",
        "cpu_wallet_address": "48edf",
        "gpu_fan_uom": "%",
        "gpu_hashrate_uom_1": "KH/s",
        "gpu_algorithm_1": "KawPow",
        "gpu_coin_name_1": "Ravencoin",
        "gpu_pool_address_1": "stratum+tcp://rvn.example.net:3333",
        "gpu_wallet_address_1": "RXa",
        "lan_ip": "192.168.18.60",
        "uptime": "07:23:50:20",
    }


def test_a_second_algorithm_has_a_group_and_a_unit_of_its_own() -> None:
    moving = Moving(
        boards=tuple(card(n, hashrate_hs=60e6 * n, hashrate_2_hs=1.2e9) for n in (1, 2)),
        works=(work(), work(slot=2, algorithm="kheavyhash", hashrate_hs=2.4e9)),
    )
    body = told(moving)
    assert (body["gpu_1_hashrate_1"], body["gpu_2_hashrate_1"]) == (60_000, 120_000)
    assert body["gpu_hashrate_uom_1"] == "KH/s"
    assert (body["gpu_1_hashrate_2"], body["gpu_hashrate_uom_2"]) == (1200, "MH/s")
    assert body["gpu_coin_name_2"] == "Kaspa"


@pytest.mark.parametrize(
    ("rate_hs", "number", "unit"),
    [
        (0.0, 0, "H/s"),
        (63.4, 63, "H/s"),
        (999.4, 999, "H/s"),
        (999_999.0, 999_999, "H/s"),
        (1e6, 1000, "KH/s"),
        (60.52e6, 60_520, "KH/s"),
        (9.9e20, 990_000, "PH/s"),
    ],
)
def test_the_unit_is_the_largest_that_keeps_four_digits(rate_hs, number, unit) -> None:
    body = told(Moving(boards=(card(1, hashrate_hs=rate_hs),), works=(work(),)))
    assert (body["gpu_1_hashrate_1"], body["gpu_hashrate_uom_1"]) == (number, unit)


def test_a_card_that_mines_nothing_is_told_with_0_and_one_that_fell_off_is_not_told() -> None:
    cards = (card(1), card(2, hashrate_hs=0.0), card(3, state=BoardState.BAD), card(4))
    body = told(Moving(boards=cards, works=(work(),)))
    assert body["gpu_2_hashrate_1"] == 0
    assert [name for name in body if name.startswith("gpu_3")] == []
    assert body["gpu_4_hashrate_1"] == 60_520
    spec = rig_spec_of(Static(make=Make.RIG), Moving(boards=cards))
    assert spec.gpu_3_name == "RTX 3083"


def test_cards_are_counted_by_their_bus_and_eight_of_them_are_told() -> None:
    cards = tuple(card(n, temp_chip_c=30.0 + n) for n in reversed(range(1, 11)))
    body = told(Moving(boards=cards))
    assert [body[f"gpu_{n}_core_temp"] for n in range(1, 9)] == [30 + n for n in range(1, 9)]
    assert not any(name.startswith(("gpu_9", "gpu_10")) for name in body)


@pytest.mark.parametrize(
    "works",
    [
        pytest.param((), id="no program"),
        pytest.param((work(paused=True, hashrate_hs=0.0),), id="paused"),
    ],
)
def test_an_idle_rig_sends_no_group(works) -> None:
    body = told(Moving(boards=(card(1, hashrate_hs=0.0),), works=works), {GPU_1: RAVEN})
    assert [name for name in body if "hashrate" in name or "coin" in name] == []
    assert body["gpu_1_core_temp"] == 65


def test_a_program_that_tells_no_rate_leaves_its_whole_group_out() -> None:
    moving = Moving(boards=(card(1, hashrate_hs=None),), works=(work(hashrate_hs=None), XMRIG))
    body = told(moving)
    assert [name for name in body if name.startswith(("gpu_1_hash", "gpu_coin", "gpu_alg"))] == []
    assert body["cpu_hashrate"] == 9563


def test_rates_without_a_coin_and_of_several_algorithms_are_left_out_and_why_is_said() -> None:
    cards = (card(1), card(2))
    odd = rig_record_of(
        Moving(boards=cards, works=(work(algorithm="qhash"),)), {}, lan_ip="192.168.18.60"
    )
    assert odd.left_out == {GPU_1: NO_COIN}
    assert odd.log.gpu_1_hashrate_1 is None
    two = (work(), work(program="lolMiner", algorithm="etchash"))
    several = rig_record_of(Moving(boards=cards, works=two), {GPU_1: RAVEN}, lan_ip=None)
    assert several.left_out == {GPU_1: SEVERAL}
    assert several.log.gpu_hashrate_uom_1 is None
    one_rests = (work(), work(program="lolMiner", algorithm="etchash", hashrate_hs=0.0))
    assert told(Moving(boards=cards, works=one_rests))["gpu_coin_name_1"] == "Ravencoin"


def test_what_is_known_better_comes_before_what_a_program_says() -> None:
    known = Mined(coin_name="Zephyr", algorithm="RandomX", pool_address="p:1", wallet_address="Z")
    body = told(MOVING, {CPU: known})
    assert (body["cpu_coin_name"], body["cpu_algorithm"]) == ("Zephyr", "RandomX")
    assert (body["cpu_pool_address"], body["cpu_wallet"]) == ("p:1", "Z")


@pytest.mark.parametrize(
    ("ram_bytes", "size"),
    [
        (16_680_570_880, "16GB"),
        (134_900_000_000, "126GB"),
        (8_000_000_000, "8GB"),
        (900_000_000, "1GB"),
        (None, "unknown"),
    ],
)
def test_the_memory_is_told_in_even_gigabytes(ram_bytes, size) -> None:
    static = Static(make=Make.RIG, ram_bytes=ram_bytes)
    assert rig_spec_of(static, Moving()).ram_size == size


def test_a_spec_has_what_is_required_and_the_names_of_the_cards() -> None:
    static = Static(
        make=Make.RIG,
        control_board="Supermicro X10DRL-i 1.01",
        cpu_name=" Xeon ",
        ram_bytes=16_680_570_880,
    )
    body = msgspec.to_builtins(rig_spec_of(static, Moving(boards=(card(1), card(2, name=None)))))
    assert body == {
        "motherboard_name": "Supermicro X10DRL-i 1.01",
        "cpu_name": "Xeon",
        "ram_size": "16GB",
        "gpu_1_name": "RTX 3081",
    }
    faults: list[str] = []
    bare = msgspec.to_builtins(rig_spec_of(Static(make=Make.RIG), Moving()))
    assert StrictRigs(faults).check_spec(bare) == {}
    assert faults == []
    assert bare["motherboard_name"] == "unknown"


_RATES = st.none() | st.floats() | st.sampled_from([0.0, 1e3, 9.99e8, 1e40])
_TEXTS = st.none() | st.sampled_from(["", "  ", "x" * 400, "rx/0", "kawpow", "Kaspa"])
_WORKS = st.builds(
    RigWork,
    part=st.sampled_from(RigPart),
    slot=st.sampled_from([1, 2, 3]),
    program=st.sampled_from(["XMRig", "T-Rex"]),
    algorithm=_TEXTS,
    pool=_TEXTS,
    hashrate_hs=_RATES,
    paused=st.none() | st.booleans(),
)
_CARDS = st.builds(
    Board,
    index=st.integers(0, 20),
    part=st.none() | st.sampled_from(RigPart),
    name=_TEXTS,
    bus_id=st.none() | st.sampled_from(["0000:01:00.0", "0000:0a:00.0"]),
    hashrate_hs=_RATES,
    hashrate_2_hs=_RATES,
    frequency_hz=_RATES,
    temp_chip_c=_RATES,
    power_w=_RATES,
    fan_percent=_RATES,
    state=st.sampled_from([None, "ok", "bad"]),
)


@given(
    st.builds(
        Moving,
        temp_cpu_c=_RATES,
        uptime_s=_RATES.filter(lambda value: value is None or value < 1e9),
        boards=st.lists(_CARDS, max_size=10).map(tuple),
        works=st.lists(_WORKS, max_size=5).map(tuple),
    ),
    st.builds(
        Mined, coin_name=_TEXTS, algorithm=_TEXTS, pool_address=_TEXTS, wallet_address=_TEXTS
    ),
)
def test_whatever_a_rig_says_the_strict_server_takes_what_is_told(moving, known) -> None:
    told(moving, {CPU: known, GPU_1: known, GPU_2: known}, wan_ip=" ")
    static = Static(make=Make.RIG, control_board=" ", cpu_name="x" * 300)
    faults: list[str] = []
    body = msgspec.to_builtins(rig_spec_of(static, moving))
    assert StrictRigs(faults).check_spec(body) == {}
    assert faults == []
