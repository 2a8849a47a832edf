"""Whatever answers on port 4028: only the documented errors, and readings that hold together."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

from contract.errors import MalformedError
from contract.miner import Moving
from drivers.antminer.driver import _split
from drivers.antminer.identify import findings_of
from drivers.antminer.models import GENERATIONS, spec_for
from drivers.antminer.protocol.replies import (
    AntminerJoined,
    decode_joined,
    decode_reply,
)
from drivers.antminer.protocol.replies import AntminerReply as ApiReply
from drivers.antminer.protocol.rpc import MOVING
from drivers.antminer.reading import braiins
from drivers.antminer.reading.snapshot import new_api_snapshot_of, snapshot_of
from drivers.protocol.cgminer import NulDecoder
from tests.fuzz.harness import (
    ANY,
    Source,
    Way,
    at_both_sizes,
    check_comes_back,
    given_at_both_sizes,
    spoilt,
    spoilt_from,
)

HEAD = {
    "BMMiner": "1.0.0",
    "Miner": "49.0.1.3",
    "CompileTime": "Tue Dec 6 2022",
    "Type": "Antminer S19",
}
STATUS = [{"STATUS": "S", "When": 1, "Code": 70, "Msg": "CGMiner stats", "Description": "cgminer"}]
CHAIN = {
    "chain_acs1": " ooo xoo", "chain_acn1": 76, "chain_rate1": "31000.1", "chain_hw1": 3, "temp_chip1": "50-60-70-2",
    "temp_pcb1": "-1--2-3", "temp_pic1": "1-2-3-4", "freq1": 525, "CHAIN AVG HASHRATE1": "5463.34 MH/s", "temp2_1": 60,
}  # fmt: skip
DATA = {
    "Elapsed": 100, "GHS 5s": "95000.1", "GHS av": 94000.0, "total_rateideal": 95000.0, "rate_unit": "GH", "Mode": 2,
    "fan_num": 4, "fan1": 5000, "fan2": 5000, "fan3": 0, "fan4": 5000, "no_matching_work": 5, "chain_power": "3250 W",
} | CHAIN  # fmt: skip
SUMMARY = {
    "Elapsed": 100, "GHS 5s": 95000.1, "GHS av": 94000, "Accepted": 5, "Rejected": 0, "Hardware Errors": 3,
    "RT HASHRATE": "9529.46 MH/s", "THEORY HASHRATE": "9500GH/s",
    "status": [{"type": "rate", "status": "e", "code": 1, "msg": "x"}],
}  # fmt: skip
NEW = {
    "elapsed": 5, "rate_5s": "1.0", "rate_avg": 1, "rate_ideal": 1, "rate_unit": "GH/s", "miner-mode": 0, "fan": [1, 2],
    "chain": [{"index": 0, "rate_real": 1.0, "asic_num": 88, "asic": "oox", "temp_pic": [1, 2, 3, 4], "sn": "A"}],
}  # fmt: skip
POOL = {
    "POOL": 0, "URL": "stratum+tcp://a:1", "User": "u", "Status": "Alive", "Priority": 0, "Accepted": 5, "Diff": "262K",
    "Stratum Active": True, "Last Share Time": "0:00:12", "Stale": 0, "Rejected": 0,
}  # fmt: skip
WHOLE: list[dict[str, Any]] = [
    {"STATUS": STATUS, "STATS": [HEAD, DATA], "id": 1},
    {"STATUS": STATUS, "SUMMARY": [SUMMARY], "id": 1},
    {"STATUS": STATUS, "POOLS": [POOL, POOL | {"POOL": 1, "URL": ""}], "id": 1},
    {"STATUS": STATUS, "VERSION": [HEAD], "id": 1},
    {"STATUS": STATUS[0], "INFO": {"type": "Antminer S19"}, "STATS": [NEW]},
    {"STATUS": [{"STATUS": "E", "Code": 14, "Msg": "Invalid command"}]},
]
ARRAY = {"summary": WHOLE[1], "stats": WHOLE[0], "pools": WHOLE[2]}
PLUS = {name: [part] for name, part in ARRAY.items()} | {"id": 1}
SINGLES = [json.dumps(each).encode() for each in WHOLE]
SINGLES.append(SINGLES[0].replace(b"}, {", b"}{"))
JOINEDS = [json.dumps(each).encode() for each in (ARRAY, PLUS, WHOLE[5])]
SPECS = [None, *(spec_for(name) for name in ("S19", "S21 Hyd.", "E9 Pro", "S9", "Z11"))]


def whole(data: bytes) -> bytes:
    """What is left of them once the bytes are collected."""
    decoder = NulDecoder()
    return decoder.feed(data) or decoder.feed(b"") or b""


def use_joined(joined: AntminerJoined | None, at: int) -> None:
    if joined is not None:
        for command in MOVING:
            if part := joined.part(command):
                use(part, at)
        sound(braiins.snapshot_of(joined).moving)


def use(reply: ApiReply, at: int) -> None:
    findings_of(reply)
    _, data = _split(reply)
    summary = reply.SUMMARY[0] if reply.SUMMARY else None
    spec, generation = SPECS[at % len(SPECS)], (*GENERATIONS, None)[at % 4]
    sound(snapshot_of(summary, data, reply.POOLS, spec, generation).moving)
    new = new_api_snapshot_of(summary, reply.STATS[-1] if reply.STATS else None, spec)
    if new.moving is not None:
        sound(new.moving)
    everything = AntminerJoined(summary=reply, pools=reply, devs=reply, temps=reply, fans=reply)
    sound(braiins.snapshot_of(everything).moving)


def sound(moving: Moving) -> None:
    """A reading can be sent, comes back the same, and holds no impossible figure."""
    check_comes_back(moving)
    for value in (moving.hashrate_hs, moving.hashrate_avg_hs, moving.temp_chip_c, moving.uptime_s):
        assert value is None or math.isfinite(value)


PORT_4028 = Source(
    spoilt_from(*SINGLES, *JOINEDS),
    (
        Way(lambda data, _: decode_reply(whole(data)), (MalformedError,), use),
        Way(lambda data, _: decode_joined(whole(data), MOVING), (MalformedError,), use_joined),
    ),
)


@at_both_sizes
def test_spoilt_bytes_raise_only_documented_errors(number: int, seed: int) -> None:
    PORT_4028.shake(number, seed)


@given_at_both_sizes(
    st.fixed_dictionaries(
        {
            "STATUS": st.just(STATUS) | ANY,
            "STATS": st.lists(spoilt(DATA) | spoilt(NEW) | spoilt(HEAD), max_size=2) | ANY,
            "SUMMARY": st.lists(spoilt(SUMMARY), max_size=1) | ANY,
            "POOLS": st.lists(spoilt(POOL), max_size=2) | ANY,
        }
    ),
    st.integers(0, 100),
)
def test_any_value_in_any_place_is_read_or_malformed(reply: dict[str, Any], at: int) -> None:
    joined = {"stats": reply, "summary": [reply], "pools": reply}
    for each in (reply, joined):
        PORT_4028.take(json.dumps(each).encode(), at)
