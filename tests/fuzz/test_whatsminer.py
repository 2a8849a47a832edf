"""Mutated and made-up replies of WhatsMiners in either API: read soundly, or named as malformed or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from contract.errors import (
    AuthFailedError,
    MalformedError,
    RefusedError,
    UnsupportedError,
    WriteDisabledError,
)
from contract.miner import Moving
from drivers.whatsminer.driver import _slow
from drivers.whatsminer.identify import from_device, from_version, with_info
from drivers.whatsminer.models import Cooling
from drivers.whatsminer.protocol import api, frames
from drivers.whatsminer.protocol.envelope import encrypt, padded, token_of
from drivers.whatsminer.protocol.tokens import SealedAnswerDecoder
from drivers.whatsminer.reading import snapshot, snapshot_v3
from drivers.whatsminer.reading.faults import codes_of, faults_of
from tests.fuzz.harness import (
    ANY,
    Source,
    Way,
    answer,
    at_both_sizes,
    check_comes_back,
    check_possible,
    given_at_both_sizes,
    spoilt,
    spoilt_from,
)
from tests.fuzz.mutations import mutants

TOKEN = token_of("admin", "BQ5hoXV9", "jbzkfQls", "5626")
COOLINGS = (None, *Cooling)
MALFORMED = (MalformedError,)
REFUSALS = (AuthFailedError, RefusedError, UnsupportedError, WriteDisabledError)

STATUS = [
    {"STATUS": "S", "When": 1615249622, "Code": 11, "Msg": "Summary", "Description": "btminer"}
]
SUMMARY: dict[str, Any] = {
    "Elapsed": 1216997, "MHS av": 99793646.89, "MHS 5s": 116472006.19, "MHS 1m": 97878725.92,
    "HS RT": 96417231.65, "Accepted": 457459, "Rejected": 518, "Stale": 95, "Hardware Errors": 0,
    "Temperature": 80, "Fan Speed In": 3870, "Fan Speed Out": 3930, "Power": 3496, "Power_RT": 3488,
    "Uptime": 1224515, "Power Fanspeed": 8784, "Error Code 0": 206, "Error Code 1": 2320,
    "Error Code Count": 2, "Liquid Cooling": False, "Power Mode": "High", "Env Temp": 28.5,
    "Firmware Version": "'20210109.22.REL'", "MAC": "C4:05:09:00:02:9B", "Factory GHS": 100999,
    "Power Limit": 3600, "Chip Temp Max": 94.95,
}  # fmt: skip
DEV: dict[str, Any] = {
    "ASC": 0, "Slot": 0, "Status": "Alive", "Temperature": 79.5, "Chip Frequency": 414,
    "MHS av": 32682582.82, "MHS 5s": 31120845.74, "MHS 1m": 30322743.05, "HS RT": 30322743.05,
    "Factory GHS": 56792, "Hardware Errors": 0, "Upfreq Complete": 1, "Effective Chips": 215,
    "PCB SN": "SKM3CSD7104715KA1227", "Chip Temp Max": 94.95,
}  # fmt: skip
POOL: dict[str, Any] = {
    "POOL": 1, "URL": "stratum+tcp://pool.example.com:700", "User": "a.b", "Status": "Alive",
    "Priority": 0, "Accepted": 457459, "Rejected": 518, "Stale": 95, "Stratum Active": True,
    "Stratum Difficulty": 54954, "Last Share Time": 1615249620,
}  # fmt: skip
VERSION = {"api_ver": "2.0.5", "fw_ver": "20230803.11.REL", "platform": "H616", "miner_type": "M5"}
INFO = {"mac": "D4:01:02:03:04:05", "hostname": "WhatsMiner", "ledstat": "auto", "minersn": "B1"}
OFF = {
    "mineroff": "false",
    "FirmwareVersion": "20230803.11.REL",
    "power_mode": "low",
    "power_limit_set": "3600",
}
PSU = {
    "name": "P221B",
    "iin": "8718",
    "vin": "22400",
    "fan_speed": "6976",
    "serial_no": "A1",
    "temp0": "33.5",
}
ERRORS = {"error_code": [{"218": "2024-06-15 10:30:00"}, {"531": "t", "reason": "Slot1"}, 110, "x"]}


def own(msg: Any) -> dict[str, Any]:
    return {"STATUS": "S", "When": 1, "Code": 131, "Msg": msg, "Description": ""}


REPLIES: list[dict[str, Any]] = [
    {"STATUS": STATUS, "SUMMARY": [SUMMARY], "id": 1},
    {"STATUS": STATUS, "DEVS": [DEV, DEV | {"Slot": 1}], "id": 1},
    {"STATUS": STATUS, "POOLS": [POOL, POOL | {"POOL": 2, "URL": ""}], "id": 1},
    {"STATUS": STATUS, "DEVDETAILS": [{"Name": "SM", "Driver": "bitmicro", "Model": "M30S+VE40"}]},
    own(SUMMARY), own(VERSION), own(INFO), own(OFF), own(PSU), own(ERRORS), own(""),
    {"STATUS": "E", "When": 1, "Code": 45, "Msg": "can't access write cmd", "Description": ""},
]  # fmt: skip
JOINED = {"summary": [REPLIES[0]], "edevs": [REPLIES[1]], "pools": [REPLIES[2]], "id": 1}
COMPAT = {"summary": REPLIES[4], "edevs": [REPLIES[1]], "pools": [REPLIES[2]]}
SINGLES = [json.dumps(each).encode() for each in REPLIES]
SINGLES.append(b'{"STATUS":"S","Code":131,"Msg":{"error_code":["329":"2022-01-17 11:28:11"]}}')
SINGLES.append(b"Socket connect failed: Connection refused\n")
JOINEDS = [json.dumps(each).encode() for each in (JOINED, COMPAT)]

SUMMARY3: dict[str, Any] = {
    "elapsed": 50000, "bootup-time": 1323, "hash-realtime": 171.259, "hash-1min": 171.2,
    "hash-average": 170.8, "factory-hash": 181.051, "power-realtime": 3156.0, "power-limit": 3600,
    "environment-temperature": 28.5, "board-temperature": [41.1, 40.1, 41.5], "chip-temp-max": 82.0,
    "up-freq-finish": 1, "fan-speed-in": 5400, "fan-speed-out": 5280,
}  # fmt: skip
BOARD3 = {
    "id": 0, "slot": 0, "status": "alive", "hash-average": 57.1, "hash-realtime": 57.2,
    "factory-hash": 60.35, "freq": 625.0, "effective-chips": 75, "chip-temp-max": 80.0,
}  # fmt: skip
POOL3 = {
    "id": 1, "url": "stratum+tcp://pool.example:3333", "status": "alive", "account": "worker.1",
    "stratum-active": True, "last-share-time": 1692685469,
}  # fmt: skip
DEVICE: dict[str, Any] = {
    "miner": {"type": "M60S_VK40", "working": "true", "pcbsn0": "B", "pcbsn1": "C", "miner-sn": "M"},
    "network": {"mac": "CE:02:01:00:8C:36", "hostname": "WhatsMiner"},
    "power": {"mode": "1", "model": "P221B", "iin": 14.8, "vin": 220.5, "vout": 1209, "fanspeed": 1},
    "system": {"api": "3.0.2", "fwversion": "20251209.16.Rel2", "ledstatus": "auto", "platform": "H6"},
    "salt": "uhCiDyVj", "error-code": [{"531": "t", "reason": "Slot1 not found."}, 110],
}  # fmt: skip


def v3(msg: Any, cmd: str) -> bytes:
    return json.dumps({"code": 0, "when": 1692685476, "msg": msg, "desc": cmd}).encode()


WHOLE3 = {"summary": SUMMARY3, "edevs": [BOARD3, BOARD3 | {"slot": 1}], "pools": [POOL3]}
BODIES = [
    v3(WHOLE3, "get.miner.status"), v3(DEVICE, "get.device.info"),
    v3({"power-mode": "low"}, "get.miner.setting"), v3("ok", "set.system.led"),
]  # fmt: skip
STREAM = [
    frames.frame(BODIES[0]) + frames.frame(b"") + frames.frame(BODIES[1]) + frames.frame(BODIES[2]),
    frames.frame(BODIES[3]),
]


def use_4028(reply: api.WhatsminerReply | api.WhatsminerJoined, at: int) -> None:
    """Everything that is made of a reply of port 4028."""
    if isinstance(reply, api.WhatsminerJoined):
        if reply.part("summary") is not None:
            use(snapshot.snapshot_of(reply, COOLINGS[at % 4]), ())
    elif api.refusal_of(reply) is None:
        use_reply(reply, at)


def use_reply(reply: api.WhatsminerReply, at: int) -> None:
    fields = reply.fields
    if (found := from_version(reply)) is not None:
        msgspec.json.encode(with_info(found, fields).identity)
    snapshot.pools_of(reply, 5.0)
    snapshot.status_of(fields)
    snapshot.light_of(fields.get("ledstat"))
    msgspec.json.encode(snapshot.psu_of(fields))
    codes = codes_of(fields.get("error_code"))
    boards, _ = snapshot.boards_of(
        reply.DEVS or [], rate_hs=(None, 0.0, 1e14)[at % 3], in_tera=at % 2 == 0
    )
    msgspec.json.encode(boards)
    use(
        snapshot.snapshot_of(
            api.WhatsminerJoined(summary=reply, pools=reply, edevs=reply), COOLINGS[at % 4]
        ),
        codes,
    )


def use(look: snapshot.WhatsminerSnapshot, codes: Any) -> None:
    sound(look.moving)
    slow = _slow(look, is_off=True, word=look.mode_word, light_on=None, codes=(*look.codes, *codes))
    check_comes_back(slow)
    check_possible(look.ideal_hs, look.boot_s, look.elapsed_s, look.power_limit_w)


def sound(moving: Moving) -> None:
    """A reading can be sent, and holds no impossible figure."""
    check_comes_back(moving)
    check_possible(moving.hashrate_hs, moving.hashrate_avg_hs, moving.power_w, moving.uptime_s)
    assert moving.temp_chip_c is None or -100 < moving.temp_chip_c < 300


def use_status(status: frames.StatusReply, at: int) -> None:
    frames.refusal_of(status)
    if (look := snapshot_v3.snapshot_of_status(status, COOLINGS[at % 4])) is not None:
        use(look, ())


def use_fields(reply: frames.Reply3, at: int) -> None:
    del at
    if frames.refusal_of(reply) is not None:
        return
    fields = reply.fields
    if (found := from_device(reply)) is not None:
        msgspec.json.encode(found.identity)
    power = snapshot_v3.part_of(fields, "power")
    msgspec.json.encode(snapshot_v3.psu_of(power))
    snapshot.mode_of(snapshot_v3.mode_word(fields, power))
    snapshot_v3.serials_of(snapshot_v3.part_of(fields, "miner"))
    faults_of(snapshot_v3.codes_of_device(fields))


def asked(cmd: str) -> Way:
    return Way(lambda body, _: frames.decode_reply(body, cmd), MALFORMED, use_fields)


def heard(data: bytes, at: int) -> Any:
    """The messages of a stream of API v3."""
    talk = frames.Talk((b"", b"", b""))
    bodies = answer(talk, data, at)
    talk.say()
    return bodies


def use_bodies(bodies: list[bytes], at: int) -> None:
    for body in bodies:
        V3_BODY.take(body, at)


def sealed_reply(plain: bytes) -> bytes:
    return msgspec.json.encode({"enc": encrypt(padded(plain), TOKEN.aes_key)})


def spoilt_envelopes(number: int, seed: int) -> Iterator[bytes]:
    """Half of them spoilt before they are encrypted, half after."""
    seeds = [*SINGLES[4:12], b'"{\\"STATUS\\":\\"E\\",\\"Code\\":23}"', b""]
    yield from map(sealed_reply, mutants(seeds, number // 2, seed))
    yield from mutants([sealed_reply(each) for each in seeds], number // 2, seed + 1)


def check_accepted(reply: api.WhatsminerReply, at: int) -> None:
    del at
    assert api.refusal_of(reply) is None


PORT_4028 = Source(
    spoilt_from(*SINGLES, *JOINEDS),
    (
        Way(
            lambda data, at: answer(api.reply_decoder(may_be_cut=at % 3 == 0), data, at),
            MALFORMED,
            use_4028,
        ),
        Way(lambda data, at: answer(api.joined_decoder(), data, at), MALFORMED, use_4028),
    ),
)
V3_BODY = Source(
    spoilt_from(*BODIES),
    (
        Way(lambda body, _: frames.decode_status(body), MALFORMED, use_status),
        *(asked(cmd) for cmd in ("get.device.info", "get.miner.setting")),
    ),
)
SOURCES = {
    "port_4028": PORT_4028,
    "api_v3": Source(
        spoilt_from(*STREAM, *BODIES), (Way(heard, MALFORMED, use_bodies), *V3_BODY.ways)
    ),
    "envelopes": Source(
        spoilt_envelopes,
        (
            Way(
                lambda data, at: answer(SealedAnswerDecoder(TOKEN), data, at),
                (*MALFORMED, *REFUSALS),
                check_accepted,
            ),
        ),
    ),
}


@at_both_sizes
@pytest.mark.parametrize("source", SOURCES)
def test_spoilt_bytes_raise_only_documented_errors(source: str, number: int, seed: int) -> None:
    SOURCES[source].shake(number, seed)


@given_at_both_sizes(
    st.fixed_dictionaries(
        {
            "STATUS": st.just(STATUS) | st.just("S") | ANY,
            "Code": st.just(131) | ANY,
            "Msg": spoilt(SUMMARY) | spoilt(VERSION | INFO | OFF | PSU | ERRORS) | ANY,
            "SUMMARY": st.lists(spoilt(SUMMARY), max_size=1) | ANY,
            "DEVS": st.lists(spoilt(DEV), max_size=2) | ANY,
            "POOLS": st.lists(spoilt(POOL), max_size=2) | ANY,
        }
    ),
    st.integers(0, 100),
)
def test_any_value_in_any_place_of_port_4028_is_read_or_malformed(
    whole: dict[str, Any], at: int
) -> None:
    joined = {"summary": [whole], "edevs": whole, "pools": [whole]}
    for reply in (whole, joined):
        PORT_4028.take(json.dumps(reply).encode(), at)


@given_at_both_sizes(
    spoilt({"code": 0, "when": 1, "desc": ""}),
    st.fixed_dictionaries(
        {
            "summary": spoilt(SUMMARY3) | ANY,
            "edevs": st.lists(spoilt(BOARD3), max_size=2) | ANY,
            "pools": st.lists(spoilt(POOL3), max_size=2) | ANY,
        }
    )
    | spoilt(DEVICE)
    | st.fixed_dictionaries(
        {key: spoilt(DEVICE[key]) for key in ("miner", "network", "power", "system")}
    )
    | ANY,
    st.integers(0, 100),
)
def test_any_value_in_any_place_of_api_v3_is_read_or_malformed(
    outer: dict[str, Any], msg: Any, at: int
) -> None:
    V3_BODY.take(json.dumps(outer | {"msg": msg}).encode(), at)
