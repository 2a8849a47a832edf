"""Bytes of both ports: where a reply ends, what its codes mean, what figures are, and what may never be sent."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    AuthFailedError,
    BadFirmwareError,
    BadParamsError,
    BusyError,
    MalformedError,
    MinerError,
    OutcomeUnknownError,
    RefusedError,
    ServiceAwayError,
    UnsupportedError,
)
from contract.miner import Algorithm, Firmware, PowerMode
from drivers.iceriver.changes import state
from drivers.iceriver.identify import findings_of
from drivers.iceriver.models import firmware_of, model_name, model_of, plain_name
from drivers.iceriver.protocol import daemon, web
from drivers.iceriver.protocol.forms import FIELD_CAP_BYTES, TOTAL_CAP_BYTES, form_of
from drivers.iceriver.protocol.replies import (
    DaemonDecoder,
    DaemonSilentError,
    LoginExpiredError,
    checked,
    decode_web,
    error_of,
)
from drivers.iceriver.reading import figures
from drivers.iceriver.reading.figures import fans_rpm, percent, rate_hs, runtime_s, temp_c, truth
from drivers.iceriver.reading.snapshot import (
    algorithm_of,
    boards_of,
    faults_of,
    pools_of,
    snapshot_of,
)
from drivers.protocol.log import EmptyLogError
from drivers.protocol.objects import ObjectReader

FAN = b'{"id":"fan","ret":{"code":0,"fans":[1028,1028,1028,1072]}}'
BARE = b'{"ret":{"code":1007,"msg":"invalid"}'


class Memory:
    """A sink in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drain(self) -> None: ...


def fed(decoder: Any, *pieces: bytes) -> Any:
    for piece in pieces:
        if (found := decoder.feed(piece)) is not None:
            return found
    return None


def panel(**changes: Any) -> dict[str, Any]:
    return {
        "softver1": "5977449_ks3m_miner", "softver2": "5977449_ks3m_bg", "model": "none",
        "mac": "52-8c-03-36-ec-e7", "rtpow": "6226G", "avgpow": "6308G", "unit": "G",
        "runtime": "00:09:36:02", "reject": 2.4, "fans": [1028, 1028, 1028, 1072],
    } | changes  # fmt: skip


# --- the web side --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["{}", "[]", "null", '"text"'])
@pytest.mark.parametrize("code", ["0", "0.0", '"0"'])
def test_data_of_any_kind_is_a_reply(code: str, data: str):
    answer = decode_web(f'{{"error":{code},"data":{data},"message":"(null)"}}'.encode())
    assert (answer.code, answer.fields) == (0, {})
    assert checked(answer, "userpanel 4") == {}


@pytest.mark.parametrize(
    "word", ["userpanel", "machineConfig", "ipConfig2", "firConfig", "systemConfig", "logConfig"]
)
def test_a_reply_without_error_says_that_the_firmware_lacks_the_operation(word: str):
    answer = decode_web(json.dumps({"data": word}).encode())
    with pytest.raises(UnsupportedError, match="no machineconfig 3"):
        checked(answer, "machineconfig 3")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!DOCTYPE html><HTML><HEAD><TITLE>login</TITLE></HEAD></HTML>",
        b'{"error":0,"data":{"softver1":"5977449_k',
        b'{"error":0,"data":{"pass":"a"b"}}',
        b'{"error":true,"data":{}}',
        b'{"error":"many","data":{}}',
        b'{"error":0.5,"data":{}}',
        b'{"error":1e400,"data":{}}',
        b"{}",
        b'{"message":"ok"}',
        b'{"data":{"softver1":"5977449_ks3m_miner"}}',
        b"[]",
        b"\xff\xfe\x00",
        b'{"error":' * 9999,
        b'{"error":0,"data":{"a":"\xff"}}',
    ],
)
def test_what_is_no_reply_is_malformed(body: bytes):
    with pytest.raises(MalformedError):
        decode_web(body)


def test_a_page_is_named_as_one():
    with pytest.raises(MalformedError, match="a page instead of an answer"):
        decode_web(b"\r\n<html><title>\xe7\x94\xa8</title></html>")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, UnsupportedError),
        (1, ServiceAwayError),
        (2, DaemonSilentError),
        (3, DaemonSilentError),
        (1001, AuthFailedError),
        (1002, AuthFailedError),
        (1004, LoginExpiredError),
        (1005, RefusedError),
        (1006, BadFirmwareError),
        (1007, RefusedError),
        (1010, BadFirmwareError),
        (1011, BadFirmwareError),
        (1012, BadFirmwareError),
        (1013, BadFirmwareError),
        (1017, RefusedError),
        (7001, BusyError),
        (7003, BusyError),
        (-5, RefusedError),
        (123456, RefusedError),
    ],
)
def test_every_code_is_a_named_error(code: int | None, kind: type[MinerError]):
    error = error_of(code, "(null)", "userpanel 4")
    assert type(error) is kind
    assert "userpanel 4" in str(error)


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("char", ['"', "\\", "%", "\n", "\x00", "\x7f", "\t"])
def test_what_sprintf_would_break_on_is_not_sent(char: str):
    with pytest.raises(BadParamsError, match="pool1miner"):
        form_of(2, {"pool1miner": f"wallet{char}1"})


def test_a_field_and_a_form_have_caps():
    form_of(2, {"a": "x" * FIELD_CAP_BYTES})
    with pytest.raises(BadParamsError, match="over 256 bytes"):
        form_of(2, {"a": "é" * (FIELD_CAP_BYTES // 2 + 1)})
    nine = {f"f{at}": "x" * (TOTAL_CAP_BYTES // 6) for at in range(6)}
    form_of(2, nine)
    with pytest.raises(BadParamsError, match="1501 bytes together"):
        form_of(2, nine | {"more": "x"})


def test_half_a_character_is_refused():
    with pytest.raises(BadParamsError):
        form_of(2, {"a": "\ud800"})


def test_a_form_is_its_number_and_its_fields():
    assert form_of(4, {}) == b"post=4"
    text = {"pool1address": "stratum+tcp://a:1", "pool1miner": "kaspa:qq.1 &=", "pool1pwd": ""}
    assert form_of(2, text) == (
        b"post=2&pool1address=stratum%2Btcp%3A%2F%2Fa%3A1&pool1miner=kaspa%3Aqq.1+%26%3D&pool1pwd="
    )


def test_what_wipes_the_device_is_in_no_list():
    wiping = {("userpanel", 2), ("systemconfig", 2), ("ipconfig", 2)}
    assert not wiping & set(web.READS)
    assert not wiping & set(web.ORDERS)
    assert not set(web.READS) & set(web.ORDERS)
    wiping_commands = {"resetfactory", "changepass", "setchip", "setnet", "firmupdate"}
    assert not wiping_commands & (daemon.READS | daemon.ORDERS)
    assert not daemon.READS & daemon.ORDERS


# --- the daemon ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pieces",
    [
        (FAN,),  # the line stays open
        (FAN + b"\n",),
        (FAN + b" ", b""),
        (FAN + b"\x00",),
        (FAN[:20], FAN[20:]),
        (FAN[:-1], b"}", b""),
        (b"\r\n", FAN),
    ],
)
def test_a_reply_ends_with_its_object(pieces: tuple[bytes, ...]):
    assert fed(DaemonDecoder("fan"), *pieces)["fans"] == [1028, 1028, 1028, 1072]


@given(st.lists(st.integers(0, len(FAN)), max_size=6))
def test_where_the_network_cuts_a_reply_does_not_matter(cuts: list[int]):
    edges = [0, *sorted(cuts), len(FAN)]
    pieces = [FAN[a:b] for a, b in itertools.pairwise(edges) if a < b]
    assert fed(DaemonDecoder("fan"), *pieces)["fans"][0] == 1028


@pytest.mark.parametrize(
    "pieces",
    [(BARE,), (BARE + b"\n",), (BARE[:10], BARE[10:]), (BARE + b"}",), (BARE + b"\n", b"}")],
)
def test_the_refusal_without_its_last_brace_is_not_waited_for(pieces: tuple[bytes, ...]):
    with pytest.raises(RefusedError, match="invalid"):
        fed(DaemonDecoder("fan"), *pieces)


@pytest.mark.parametrize(
    "reply",
    [
        b'{"id":"board","ret":{"code":0}}',
        b'{"id":"fan","ret":[]}',
        b'{"id":"fan"}',
        b'{"id":"fan","ret":{"code":"x"}}',
        b'{"id":"fan","ret":{"code":0,}}',
        b"[1]",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-dropbear\r\n",
        b"",
    ],
)
def test_what_is_no_reply_of_the_daemon_is_malformed(reply: bytes):
    with pytest.raises(MalformedError):
        fed(DaemonDecoder("fan"), *([reply] if reply else []), b"")


def test_a_hang_up_in_the_middle_is_malformed():
    with pytest.raises(MalformedError, match="hung up"):
        fed(DaemonDecoder("fan"), FAN[:30], b"")


def test_the_light_is_believed_beside_a_failed_code():
    reply = b'{"id":"getlocate","ret":{"code":1005,"on":true}}'
    assert fed(DaemonDecoder("getlocate"), reply)["on"] is True
    for bare in (b'{"id":"getlocate","ret":{"code":1005,"msg":"failed"}}',):
        with pytest.raises(RefusedError):
            fed(DaemonDecoder("getlocate"), bare)
    with pytest.raises(RefusedError):
        fed(DaemonDecoder("fan"), b'{"id":"fan","ret":{"code":1005,"on":true}}')


def test_an_object_that_does_not_end_is_cut_off():
    reader = ObjectReader(1000)
    with pytest.raises(MalformedError, match="does not end"):
        for _ in range(1000):
            reader.feed(b'{"a":')


@given(st.binary(max_size=60), st.integers(1, 7))
def test_the_end_of_an_object_is_the_same_however_it_comes(junk: bytes, step: int):
    text = json.dumps({"a": junk.decode("latin-1"), "b": [{"c": "}"}], "d": '\\"{'}).encode()
    whole = text + b"REST"
    reader = ObjectReader()
    found = None
    for at in range(0, len(whole), step):
        found = reader.feed(whole[at : at + step])
        if found is not None:
            break
    assert found == text


# --- logs ----------------------------------------------------------------------------------------


def log_reply(log: bytes, end: bytes = b"\n", size: Any = None) -> bytes:
    head = {"code": 0, "ctime": 1, "mtime": 2, "len": len(log) if size is None else size}
    return json.dumps({"id": "log", "ret": head}).encode() + end + log


@pytest.mark.parametrize("end", [b"\n", b" ", b"\x00", b""])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_log_is_the_bytes_announced_wherever_the_network_cuts(end: bytes, step: int):
    log, sink = b"boot 1\nline {two}\n", Memory()
    data = log_reply(log, end) + b"{"
    decoder = daemon.DaemonLogDecoder(sink, 1000)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert fed(decoder, *pieces) is False
    assert sink.data == log


def test_a_log_over_the_cap_is_cut_and_says_so():
    sink = Memory()
    assert fed(daemon.DaemonLogDecoder(sink, 10), log_reply(b"0123456789abc")) is True
    assert sink.data == b"0123456789"


def test_a_log_that_ends_early_and_one_without_a_length_are_malformed():
    with pytest.raises(MalformedError, match="cut"):
        fed(daemon.DaemonLogDecoder(Memory(), 1000), log_reply(b"abc", size=10), b"")
    for size in ("many", -1, [], 1e300):
        with pytest.raises(MalformedError):
            fed(daemon.DaemonLogDecoder(Memory(), 1000), log_reply(b"abc", size=size))
    with pytest.raises(EmptyLogError):
        fed(daemon.DaemonLogDecoder(Memory(), 1000), log_reply(b"", size=0))
    with pytest.raises(RefusedError):
        fed(
            daemon.DaemonLogDecoder(Memory(), 1000),
            b'{"id":"log","ret":{"code":1005,"msg":"failed"}}',
        )


# --- figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "rate"),
    [
        ("11258G", "G", 11258e9),
        ("5160.37G", "G", 5160.37e9),
        ("0.00G", "G", 0.0),
        ("15T", "G", 15e12),
        ("15 T", "G", 15e12),
        ("60M", "G", 60e6),
        ("60m", "G", 60e6),
        ("2E", "G", 2e18),
        ("3PH/s", "G", 3e15),
        ("140737.49 G", None, 140737.49e9),
        ("6226", "G", 6226e9),
        ("6226", "GH/s", 6226e9),
        (6226, "T", 6226e12),
        (1.0, "G", 1e9),
        ("6226", None, None),
        ("6226", "", None),
        ("6226", "X", None),
        ("6226X", "G", None),
        (6226, "\u212a", None),  # the sign of Kelvin, which is a small k to some
        ("6226GG", "G", None),
        ("-6226G", "G", None),
        (-1, "G", None),
        ("G", "G", None),
        ("", "G", None),
        (None, "G", None),
        ([], "G", None),
        (True, "G", None),
        ("1e9G", "G", None),
        (float("inf"), "G", None),
        (float("nan"), "G", None),
        ("9" * 400 + "G", "G", None),
    ],
)
def test_a_rate_is_right_or_absent_but_never_wrong(text: Any, unit: Any, rate: float | None):
    assert rate_hs(text, unit) == (None if rate is None else pytest.approx(rate))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:09:36:02", 34_562),
        ("01:04:29:02", 102_542),
        ("99:23:59:59", 8_639_999),
        ("100:00:00:00", 8_640_000),
        ("1234:01:02:03", 106_621_323),
        ("09:36:02", 34_562),
        ("00:00:00:00", 0),
        (" 00:00:00:05 ", 5),
        ("00:24:00:00", None),
        ("00:00:60:00", None),
        ("00:00:00:60", None),
        ("-1:00:00:00", None),
        ("1 day", None),
        ("", None),
        (None, None),
        (3600, None),
        ("٠٠:٠٩:٣٦:٠٢", None),
        ("9999999:00:00:00", None),
    ],
)
def test_a_runtime_of_any_number_of_days_is_read(text: Any, seconds: int | None):
    assert runtime_s(text) == seconds


@pytest.mark.parametrize(
    ("value", "degrees"),
    [
        (26, 26.0),
        ("61.5", 61.5),
        (120, 120.0),
        (0, None),
        (-5, None),
        ("-40", None),
        (126, None),
        (121, None),
        ("(null)", None),
        (None, None),
    ],
)
def test_a_sensor_that_fails_shows_nothing(value: Any, degrees: float | None):
    assert temp_c(value) == degrees


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        (True, True), (False, False), (1.0, True), (-1.0, False), (0, False), (1, True),
        ("true", True), ("False", False), ("1", True), ("", None), (None, None), ([], None),
    ],
)  # fmt: skip
def test_yes_and_no_come_as_booleans_and_as_numbers(value: Any, is_true: bool | None):
    assert truth(value) is is_true


@pytest.mark.parametrize(
    ("told", "expected", "fans"),
    [
        ([1028, 1028, 1028, 1072], 4, (1028, 1028, 1028, 1072)),
        ([1877, 1901, 0, 0], None, (1877, 1901)),
        ([0, 0, 0, 0], None, ()),
        ([0, 0, 0, 0], 4, (0, 0, 0, 0)),  # a model with four fans has none that turns
        ([5900, 5900, 0, 0], 4, (5900, 5900, 0, 0)),
        ([0, 5900, 0, 0], None, (0, 5900)),
        ([5900.0, "5855", None, -1], None, (5900, 5855)),
        ("none", 4, ()),
        (None, None, ()),
        ([1] * 100, None, (1,) * 16),
    ],
)
def test_zeros_at_the_end_are_fans_that_are_not_there(
    told: Any, expected: int | None, fans: tuple[int, ...]
):
    assert fans_rpm(told, expected) == fans


def test_a_percentage_is_one():
    assert (percent(2.4), percent("2.4"), percent(100.1), percent(-1)) == (2.4, 2.4, None, None)


# --- who it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "package", "model"),
    [
        ("none", "5977449_ks3m_miner", "KS3M"),
        ("none", "ICM168_3_2_10_ks5L_miner", "KS5L"),
        ("none", "0627_v1_ks0miner", "KS0"),
        ("KS0", "pbv077c_ks0miner", "KS0"),
        ("none", "pbv077c_ks0miner", "KS0"),
        (None, "ICM168_3_3_1_10306_miner", "AL3"),
        (None, "ICM168_4_0_3_11304_miner", "KS7"),
        (None, "ICM168_4_0_3_12345_miner", "IceRiver 12345"),
        (None, "ICM168_3_4_0_ae0_miner", "AE0"),
        (None, "ICM168_3_4_0_rx0_miner", "RX0"),
        ("KS0 Pro", "0627_v1_x_miner", "KS0 PRO"),
        (None, "1.2.3", "IceRiver 1.2.3"),
        (None, "Incidr-Exo160_miner", None),
        (None, "miner", None),
        (None, "", None),
        (None, None, None),
    ],
)
def test_the_model_stands_in_the_name_of_the_software(
    told: str | None, package: str | None, model: str | None
):
    assert model_name(told, package) == model


@pytest.mark.parametrize(
    ("package", "firmware"),
    [
        ("5977449_ks3m_miner", Firmware.STOCK),
        ("0627_v1_ks0miner", Firmware.STOCK),
        ("ICM168_4_0_3_11304_miner", Firmware.STOCK),
        ("pbv077c_ks0miner", Firmware.PBFARMER),
        ("pbv110_ks5lminer", Firmware.PBFARMER),
        ("Incidr-Exo160_miner", Firmware.OTHER),
        ("tswift_v2_ks5M_miner", Firmware.OTHER),
        ("xyys_ks0_miner", Firmware.OTHER),
        ("something", Firmware.OTHER),
        ("5977449_ks3m_miner; reboot", Firmware.OTHER),
        (None, Firmware.OTHER),
    ],
)
def test_whose_firmware_it_is(package: str | None, firmware: Firmware):
    assert firmware_of(package) is firmware


@pytest.mark.parametrize(
    ("name", "algorithm", "chips"),
    [
        ("KS3M", Algorithm.KHEAVYHASH, 54),
        ("KS0 PRO", Algorithm.KHEAVYHASH, 18),
        ("KS7", Algorithm.KHEAVYHASH, None),
        ("AL3", Algorithm.BLAKE3, 468),
        ("AL2LITE", Algorithm.BLAKE3, None),
        ("RX0", Algorithm.SHA512_256D, None),
        ("AE1", Algorithm.ZKSNARK, None),
    ],
)
def test_what_is_known_of_a_model(name: str, algorithm: Algorithm, chips: int | None):
    model = model_of(name)
    assert model is not None
    assert (model.algorithm, model.chips) == (algorithm, chips)
    assert algorithm_of(model, "something else") is algorithm


def test_a_model_we_do_not_know_is_read_and_not_driven():
    found = findings_of(panel(softver1="ICM168_4_0_3_12345_miner", algo="kHeavyHash"))
    assert found is not None
    assert found.identity.model == "IceRiver 12345"
    assert not found.identity.drivable
    assert "12345" in (found.identity.reason or "")
    assert model_of(found.identity.model) is None
    assert algorithm_of(None, found.algorithm_word) is Algorithm.KHEAVYHASH
    assert snapshot_of(panel(), None).moving.hashrate_hs == 6226e9


def test_two_spellings_of_a_model_are_one():
    assert plain_name("KS0 Pro") == plain_name("ks0_pro") == plain_name("KS0PRO")


@pytest.mark.parametrize(
    "fields", [{}, {"softver1": ""}, {"softver1": 5}, {"mac": "00:0a:35:01:02:03"}]
)
def test_without_the_name_of_its_software_nothing_is_an_iceriver(fields: dict[str, Any]):
    assert findings_of(fields) is None


# --- what a panel means --------------------------------------------------------------------------


def test_a_board_without_its_own_average_and_with_strange_kinds_is_read():
    rows = [
        {"no": 1.0, "chipnum": 18.0, "freq": 875.0, "rtpow": "37.68X", "false": "", "state": 1.0},
        "no board",
        {"no": "2", "rtpow": 12, "intmp": "-3", "outtmp": "49", "error": "7", "state": False},
    ]
    first, second = boards_of(rows, "G", None)
    assert (first.index, first.hashrate_hs, first.hashrate_30m_hs) == (0, None, None)
    assert (first.chips, first.frequency_hz, first.state) == (18, 875e6, "ok")
    assert (second.index, second.hashrate_hs, second.temp_pcb_c) == (1, 12e9, None)
    assert (second.temp_outlet_c, second.hw_errors, second.state) == (49.0, 7, "bad")
    assert boards_of("x", "G", None) == boards_of(None, "G", None) == ()


@pytest.mark.parametrize(
    ("ideal", "rate", "told"),
    [("0.00G", "2151G", None), ("2000G", "2151G", 2e12), ("1.18G", "37.68G", None)],
)
def test_a_rated_speed_that_cannot_be_is_none(ideal: str, rate: str, told: float | None):
    look = snapshot_of(panel(boards=[{"no": 1, "idealpow": ideal, "rtpow": rate}]), None)
    assert look.ideal_hs == told


def test_empty_slots_are_no_pools():
    rows = [
        {"no": 1, "addr": "", "user": "", "connect": False},
        {"no": 2, "addr": "stratum+tcp://a:1", "user": "u", "connect": 1.0, "state": 1.0},
        {"no": 3, "addr": "stratum+tcp://b:1", "user": "u", "connect": -1.0, "state": 1.0},
        None,
    ]
    pools = pools_of(rows, "G")
    assert [(pool.index, pool.status, pool.active) for pool in pools] == [
        (1, "alive", True),
        (2, "dead", False),
    ]


def test_health_flags_are_faults_and_the_one_for_heat_only_with_a_failed_sensor():
    flags = {"powstate": False, "netstate": 0.0, "fanstate": "false", "tempstate": False}
    well = boards_of([{"no": 1, "intmp": 40, "outtmp": 50, "state": True}], "G", None)
    blind = boards_of([{"no": 1, "intmp": 40, "outtmp": 126, "state": False}], "G", None)
    assert [each.code for each in faults_of(flags, well)] == ["hashrate", "network", "fans"]
    assert [each.code for each in faults_of({"tempstate": False}, blind)] == [
        "temperature",
        "board",
    ]
    assert faults_of({"tempstate": False}, well) == ()
    assert faults_of({"powstate": True, "online": True}, well) == ()


@pytest.mark.parametrize(
    ("told", "mode"),
    [
        (1, PowerMode.NORMAL),
        (0.0, PowerMode.SLEEP),
        ("1", PowerMode.NORMAL),
        ("sleep", PowerMode.SLEEP),
        ("Normal", PowerMode.NORMAL),
        (2, None),
        ("sleeps", None),
        (None, None),
        (True, None),
    ],
)
def test_a_mode_is_a_number_or_its_word(told: Any, mode: PowerMode | None):
    assert figures.mode_of(told) is mode


def test_on_other_firmware_a_mode_is_a_word():
    told = [1, 0.0, "1", "sleep", "Normal", None]
    assert [figures.mode_in_words(each) for each in told] == [
        *(None, None, None),
        *(PowerMode.SLEEP, PowerMode.NORMAL, None),
    ]


def test_all_three_slots_are_there_in_the_order_of_their_numbers():
    rows = [
        {"no": 3.0, "addr": "c", "user": "w", "pass": "x", "connect": -1.0, "state": 0.0},
        {"no": 1.0, "addr": "a", "user": "u", "pass": " p ", "connect": 1.0, "state": 1.0},
        {"no": 9, "addr": "z"},
    ]
    found = state.config_of({"pools": rows, "ratio": 60.0, "mode": 1.0})
    assert [slot.url for slot in found.slots] == ["a", "", "c"]
    assert (found.slots[0].password, found.slots[0].connected, found.slots[0].active) == (
        " p ",
        True,
        True,
    )
    assert (found.ratio, found.mode) == (60, PowerMode.NORMAL)
    assert state.config_of({"pools": [], "getratio": 101, "getmode": 0}).ratio is None
    with pytest.raises(MalformedError):
        state.config_of({"pools": None})


def test_an_order_whose_reply_is_a_page_is_unknown_and_one_that_is_refused_is_refused():
    def judged(operation: web.Operation, status: int, body: bytes) -> Any:
        return web._judged(web.Response(status=status, headers={}, body=body), operation)

    def said(code: int) -> bytes:
        return json.dumps({"error": code, "data": {}, "message": "m"}).encode()

    assert judged(web.LIGHT, 200, said(0)).code == 0
    for status, body in ((200, b"<html>"), (200, b""), (500, said(0)), (302, b""), (200, said(2))):
        with pytest.raises(OutcomeUnknownError):
            judged(web.LIGHT, status, body)
    with pytest.raises(ServiceAwayError):  # one command lies behind it, and it was never given
        judged(web.LIGHT, 200, said(1))
    with pytest.raises(OutcomeUnknownError):  # several do
        judged(web.SET_POOLS, 200, said(1))
    with pytest.raises(UnsupportedError):
        judged(web.SET_FAN_AND_MODE, 200, b'{"data":"machineConfig"}')
    with pytest.raises(UnsupportedError):
        judged(web.LIGHT, 404, b"")
    with pytest.raises(BadFirmwareError):
        judged(web.UPLOAD, 200, said(1010))
