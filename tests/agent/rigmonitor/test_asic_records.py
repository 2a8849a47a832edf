"""What the monitor is told of a reading, field by field."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sinks.rigmonitor.asic_records import IncompleteError, coin_of, log_of, spec_of
from contract.miner import Algorithm, Board, Identity, Make, Moving, Pool, Static
from tests.agent.rigmonitor.strict_server import LOG_FIELDS, SPEC_FIELDS, StrictServer

ICERIVER = Moving(
    hashrate_hs=13135e9,
    hashrate_5m_hs=13135e9,
    hashrate_30m_hs=8642e9,
    fan_rpm=(5855, 5900, 5900, 5855),
    uptime_s=7 * 86400 + 23 * 3600 + 50 * 60 + 20,
    accepted=99_990,
    rejected=10,
    boards=tuple(
        Board(index=n, hashrate_hs=3283.87e9, temp_inlet_c=50.4, temp_outlet_c=55.6)
        for n in (1, 2, 3)
    ),
    pools=(
        Pool(
            index=1,
            url="stratum+tcp://asia1.kaspa-pool.org:4441",
            user="kaspa:abc.worker_1",
            active=True,
            accepted=99_990,
            rejected=10,
        ),
        Pool(index=2, url="stratum+tcp://two.example:4441", user="u", active=False),
    ),
)
ANTMINER = Moving(
    hashrate_hs=201.3e12,
    hashrate_30m_hs=200.25e12,
    hashrate_avg_hs=199e12,
    temp_chip_c=78.0,
    fan_rpm=(5880, 5890, 5900, 5910, 1),
    uptime_s=59.9,
    boards=tuple(
        Board(index=n, hashrate_hs=50e12, temp_pcb_c=60.5, temp_chip_c=78.0) for n in range(4)
    ),
    pools=(Pool(index=0, url="stratum+tcp://p:3333", user="w.1", status="alive"),),
)


def told(moving: Moving, **more):
    given_ = {"lan_ip": "192.168.18.50", "coin_name": "Kaspa", "power_w": 3499.6} | more
    return msgspec.to_builtins(log_of(moving, **given_))


def strict(body: dict, fields=LOG_FIELDS) -> dict:
    """What the strict server finds wrong with it."""
    server = StrictServer()
    errors = dict(server._check(body, fields))
    assert server.faults == []
    return errors


def test_an_iceriver_is_told_as_the_text_shows_it() -> None:
    assert told(ICERIVER, wan_ip="50.85.22.87") == {
        "hashrate_5_min": 13135.0,
        "hashrate_30_min": 8642.0,
        "hashrate_uom": "GH/s",
        "pool_rejection_rate": 0.01,
        "uptime": "07:23:50:20",
        "pool_1_address": "stratum+tcp://asia1.kaspa-pool.org:4441",
        "pool_1_user": "kaspa:abc.worker_1",
        "pool_1_state": "Connected",
        "pool_1_accepted_share": 99_990,
        "pool_1_rejected_share": 10,
        "pool_2_address": "stratum+tcp://two.example:4441",
        "pool_2_user": "u",
        "pool_2_state": "Unconnected",
        "hashboard_1_hashrate_5_min": 3283.87,
        "hashboard_1_temp_1": 50,
        "hashboard_1_temp_2": 56,
        "hashboard_2_hashrate_5_min": 3283.87,
        "hashboard_2_temp_1": 50,
        "hashboard_2_temp_2": 56,
        "hashboard_3_hashrate_5_min": 3283.87,
        "hashboard_3_temp_1": 50,
        "hashboard_3_temp_2": 56,
        "fan_1_speed": 5855,
        "fan_2_speed": 5900,
        "fan_3_speed": 5900,
        "fan_4_speed": 5855,
        "lan_ip": "192.168.18.50",
        "wan_ip": "50.85.22.87",
        "coin_name": "Kaspa",
        "power": 3500,
    }


def test_a_bigger_machine_tells_three_boards_four_fans_and_one_unit() -> None:
    body = told(ANTMINER, coin_name="Bitcoin")
    assert body["hashrate_5_min"] == 200_250.0  # the shortest average over five minutes it has
    assert body["hashrate_uom"] == "GH/s"
    assert body["uptime"] == "00:00:00:59"
    assert body["pool_1_state"] == "Connected"
    assert "hashboard_4_temp_1" not in body
    assert body["hashboard_1_temp_1"] == 60
    assert body["hashboard_1_temp_2"] == 78
    assert "fan_5_speed" not in body
    assert strict(body) == {}


def test_a_hundred_days_are_told_as_99_only_to_the_official_server() -> None:
    long = msgspec.structs.replace(ICERIVER, uptime_s=100 * 86400 + 3723.0)
    assert told(long)["uptime"] == "99:01:02:03"
    assert told(long, official=False)["uptime"] == "100:01:02:03"


def test_without_a_pool_a_dash_stands_there() -> None:
    body = told(msgspec.structs.replace(ICERIVER, pools=()))
    assert (body["pool_1_address"], body["pool_1_user"]) == ("-", "-")
    assert body["pool_1_state"] == "Unconnected"
    blank = Pool(index=0, url="stratum+tcp://x:1", user=" ")
    body = told(msgspec.structs.replace(ICERIVER, pools=(blank,)))
    assert body["pool_1_user"] == "-"
    assert strict(body) == {}


def test_a_miner_without_fans_tells_a_fan_that_stands_still() -> None:
    body = told(msgspec.structs.replace(ICERIVER, fan_rpm=()))
    assert body["fan_1_speed"] == 0
    assert "fan_2_speed" not in body


def test_a_rate_that_really_is_0_is_told() -> None:
    idle = msgspec.structs.replace(ICERIVER, hashrate_5m_hs=0.0)
    assert told(idle)["hashrate_5_min"] == 0.0


def test_what_is_required_and_not_known_is_named_instead_of_invented() -> None:
    with pytest.raises(IncompleteError) as info:
        log_of(Moving(fan_rpm=(1,)), lan_ip="10.0.0.1", coin_name=" ", power_w=None)
    assert set(info.value.fields) == {
        "hashrate_5_min",
        "uptime",
        "hashboard_1_temp_1",
        "coin_name",
        "power",
    }
    with pytest.raises(IncompleteError, match="firmware_version"):
        spec_of(Identity(make=Make.ANTMINER, model="Antminer S9"), None)


def test_numbers_no_column_can_hold_are_left_out() -> None:
    pool = Pool(index=0, url="stratum+tcp://x:1", user="u", accepted=2**40, rejected=-(2**33))
    wild = msgspec.structs.replace(
        ICERIVER, pools=(pool,), fan_rpm=(3, 2**31), hashrate_30m_hs=float("inf")
    )
    body = told(wild)
    assert "pool_1_accepted_share" not in body
    assert "pool_1_rejected_share" not in body
    assert "fan_2_speed" not in body
    assert "hashrate_30_min" not in body
    assert strict(body) == {}


def test_solutions_keep_their_digits() -> None:
    zcash = msgspec.structs.replace(ICERIVER, hashrate_5m_hs=140_123.0)
    assert told(zcash)["hashrate_5_min"] == 0.000140123


@pytest.mark.parametrize(
    ("make", "model", "ideal_hs", "named", "variant"),
    [
        (Make.ICERIVER, "KS5L", 12e12, "Ice River KS5L", "12TH"),
        (Make.ICERIVER, "IceRiver KS0", 1e11, "Ice River KS0", "100GH"),
        (Make.ANTMINER, "Antminer S21", 200.4e12, "Antminer S21", "200.4TH"),
        (Make.ANTMINER, "S21", None, "Antminer S21", None),
        (Make.UNKNOWN, "Something", None, "Something", None),
        (Make.WHATSMINER, "M60S_VK40", None, "WhatsMiner M60S_VK40", None),
        (Make.WHATSMINER, "WhatsMiner M30S", 0.0, "WhatsMiner M30S", None),
    ],
)
def test_a_spec_names_maker_model_and_size(make, model, ideal_hs, named, variant) -> None:
    identity = Identity(make=make, model=model, firmware_version="v1")
    spec = spec_of(identity, Static(make=make, hashrate_ideal_hs=ideal_hs))
    assert (spec.model, spec.model_variant) == (named, variant)
    assert spec.firmware_version == "v1"
    assert spec.software_version
    assert strict(msgspec.to_builtins(spec), SPEC_FIELDS) == {}


def test_a_coin_is_named_only_where_it_is_no_guess() -> None:
    assert coin_of(Algorithm.KHEAVYHASH) == "Kaspa"
    assert coin_of(Algorithm.SHA256) == "Bitcoin"
    assert coin_of(Algorithm.OTHER) is None
    assert coin_of(None) is None


figures = st.none() | st.floats(allow_nan=True, allow_infinity=True)
words = st.none() | st.text(max_size=300)


@given(
    st.builds(
        Moving,
        hashrate_5m_hs=figures,
        hashrate_30m_hs=figures,
        uptime_s=figures,
        temp_board_c=figures,
        accepted=st.none() | st.integers(0, 2**70),
        rejected=st.none() | st.integers(0, 2**70),
        fan_rpm=st.lists(st.integers(-10, 2**40), max_size=6).map(tuple),
        boards=st.lists(
            st.builds(
                Board,
                index=st.integers(0, 9),
                hashrate_hs=figures,
                temp_pcb_c=figures,
                temp_chip_c=figures,
            ),
            max_size=5,
        ).map(tuple),
        pools=st.lists(
            st.builds(
                Pool, index=st.integers(0, 5), url=st.text(max_size=400), user=words, status=words
            ),
            max_size=5,
        ).map(tuple),
    ),
    words,
    figures,
)
def test_whatever_a_miner_says_the_strict_server_takes_it_or_nothing_is_sent(
    moving: Moving, coin: str | None, power_w: float | None
) -> None:
    try:
        record = log_of(moving, lan_ip="10.0.0.1", coin_name=coin, power_w=power_w)
    except IncompleteError:
        return
    assert strict(msgspec.json.decode(msgspec.json.encode(record))) == {}
