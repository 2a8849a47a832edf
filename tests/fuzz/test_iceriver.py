"""Mutated and made-up replies of IceRivers on either port: read soundly, or named as malformed or refused."""

from __future__ import annotations

import io
import json
import math
import re
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st

from contract.errors import (
    AuthFailedError,
    BadFirmwareError,
    MalformedError,
    OutcomeUnknownError,
    RefusedError,
    ServiceAwayError,
    UnsupportedError,
)
from contract.miner import Moving, PowerMode
from drivers.iceriver.changes import logs, state
from drivers.iceriver.driver import _raw, _slow
from drivers.iceriver.identify import findings_of, is_front_page
from drivers.iceriver.models import model_of
from drivers.iceriver.protocol import daemon, image, web
from drivers.iceriver.protocol.replies import DaemonDecoder, checked, decode_web
from drivers.iceriver.reading import figures
from drivers.iceriver.reading.snapshot import algorithm_of, snapshot_of
from drivers.protocol.http import Response
from tests.fuzz.harness import (
    ANY,
    Source,
    Way,
    answer,
    at_both_sizes,
    check_comes_back,
    check_possible,
    given_at_both_sizes,
    halves,
    spoilt,
    spoilt_from,
)

POOL: dict[str, Any] = {
    "no": 1.0, "addr": "stratum+tcp://pool.example.com:3333", "user": "kaspa:w.1", "pass": "x",
    "connect": 1.0, "diff": "140737.49 G", "priority": 1.0, "accepted": 7225.0, "rejected": 2.0,
    "diffa": 0.0, "diffr": 0.0, "state": 1.0, "lsdiff": 0.0, "lstime": "00:00:00",
}  # fmt: skip
BOARD: dict[str, Any] = {
    "no": 1, "chipnum": 18, "chipsuc": 0, "error": 0, "freq": 875.0, "rtpow": "5160.37G",
    "avgpow": "3831.19G", "idealpow": "0.00G", "tempnum": "(null)", "intmp": 61, "outtmp": 126,
    "pcbtemp": "0.00-0.00-0.00-0.00", "state": True, "false": [1, 2, 3],
}  # fmt: skip
PANEL: dict[str, Any] = {
    "model": "none", "algo": "none", "online": True, "firmver1": "BOOT_3_1", "firmver2": "image_1",
    "softver1": "ICM168_3_2_10_ks5L_miner", "softver2": "ICM168_3_2_10_ks5L_bg", "nic": "eth0",
    "mac": "52-8c-03-36-ec-e7", "ip": "192.0.2.7 192.0.2.8", "host": "miner", "dhcp": False,
    "gateway": "192.0.2.1fe80::1", "locate": False, "rtpow": "15011G", "avgpow": "10789G",
    "reject": 0.5, "runtime": "101:04:29:02", "unit": "G", "powstate": True, "netstate": 1.0,
    "fanstate": True, "tempstate": False, "fans": [5900, 5900, 0, 0],
    "pools": [POOL, POOL | {"no": 2.0, "addr": ""}, POOL | {"no": 3.0, "connect": -1.0}],
    "boards": [BOARD, BOARD | {"no": 2}, BOARD | {"no": 3}],
}  # fmt: skip
CONFIG = {"pools": PANEL["pools"], "ratio": 60, "mode": 1, "locate": 0}


def web_reply(data: Any, error: int = 0, message: str = "(null)") -> bytes:
    return json.dumps({"error": error, "data": data, "message": message}).encode()


def daemon_reply(command: str, **ret: Any) -> bytes:
    return json.dumps({"id": command, "ret": {"code": 0, **ret}}).encode() + b"\n"


WEB = [
    web_reply(PANEL),
    web_reply(CONFIG),
    web_reply({}, 1, "Connect miner failed!"),
    web_reply([], 1004),
    b'{"data":"machineConfig"}',
    "<HTML><HEAD><TITLE>用户界面</TITLE></HEAD></HTML>".encode(),
]
SAID = {
    "info": {key: PANEL[key] for key in ("model", "algo", "softver1", "firmver1")},
    "board": {"chainnum": 3, "boards": PANEL["boards"]},
    "boardpow": {"rtpow": "15011G", "avgpow": "1G", "unit": "G", "runtime": "1:2:3:4", "pows": [1]},
    "fan": {"fans": [1028, 1028, 1028, 1072]},
    "getpool": {"pools": PANEL["pools"]},
    "gethw": {"getratio": 60, "getmode": 1.0},
    "getlocate": {"code": 1005, "on": True},
}
DAEMON = [
    *(daemon_reply(command, **ret) for command, ret in SAID.items()),
    b'{"ret":{"code":1007,"msg":"invalid"}\n',
    b'{"id":"fan","ret":{"code":1005,"msg":"failed"}}\n',
]
CAP = 200  # of a log's bytes
LOG = daemon_reply("log", ctime=1, mtime=2, len=300) + b"a line\n" * 50

PAGE = web_reply({"text": 'a&nbsp;&nbsp;b &lt;c&gt;<br/>\u00e9 "q" } ' * 30}, message="900")
IMAGES = [
    b"ICERIVER-KAS-KS3L-20230916 " + bytes(range(256)) * 8,
    b"\x1f\x8bKS0-PRO " + bytes(2048),
    b"KS5L" + bytes(253) + b"ustar" + bytes(2048),
    b"<html>10306_miner</html>" * 64,
]
# What the code in a reply may mean, and what comes of any bytes where a reply was asked for.
REFUSALS = (
    AuthFailedError,
    BadFirmwareError,
    RefusedError,
    ServiceAwayError,
    UnsupportedError,
)
NO_REPLY = (MalformedError, *REFUSALS)


class Memory:
    """A sink that counts."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    async def drain(self) -> None: ...


def response(body: bytes, at: int) -> Response:
    return Response(status=(200, 200, 200, 404, 500)[at % 5], headers={}, body=body)


def judged(operation: Any) -> Way:
    def is_done(code: int, at: int) -> None:
        del at
        assert code == 0

    errors = (*REFUSALS, OutcomeUnknownError)
    return Way(lambda body, at: web._judged(response(body, at), operation).code, errors, is_done)


def said_to(command: str) -> Way:
    return Way(lambda data, at: answer(DaemonDecoder(command), data, at), NO_REPLY, use)


def log(data: bytes, at: int) -> tuple[bool, int]:
    sink: Any = Memory()
    return answer(daemon.DaemonLogDecoder(sink, CAP), data, at), sink.size


def page(data: bytes, at: int) -> tuple[bool, int]:
    sink: Any = Memory()
    whole = logs.LogPage(sink, CAP)
    for piece in halves(data, at):
        whole.write(piece)
    return whole.finish(truncated=at % 5 == 0), sink.size


def check_kept(kept: tuple[bool, int], at: int) -> None:
    del at
    is_cut, size = kept
    assert isinstance(is_cut, bool)
    assert size <= CAP


def name_of(data: bytes, at: int) -> str:
    return data[:80].decode("utf-8", "replace") + (".bgz", ".tar", ".tar.gz")[at % 3]


def check_name(name: str, at: int) -> None:
    del at
    image.models_in(name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", image.sent_name(name))


def names_of_image(data: bytes, at: int) -> tuple[str, str]:
    name = name_of(data, at)
    found = image.check(io.BytesIO(data), len(data) if at % 2 else 4096, name)
    return found.name, image.sent_name(name)


def check_equal(names: tuple[str, str], at: int) -> None:
    del at
    assert names[0] == names[1]


def use(fields: dict[str, Any], at: int) -> None:
    """Everything that is made of a reply's fields."""
    del at
    found = findings_of(fields)
    model = None
    if found is not None:
        msgspec.json.encode(found)
        model = model_of(found.identity.model)
        algorithm_of(model, found.algorithm_word)
    look = snapshot_of(fields, model)
    sound(look.moving)
    slow = _slow(look, PowerMode.NORMAL, "1", trouble="x" * 999)
    check_comes_back(slow)
    assert look.ideal_hs is None or 0 < look.ideal_hs < math.inf
    msgspec.json.encode(_raw(fields))
    figures.mode_of(fields.get("getmode"))
    now = state.state_of(fields)
    assert len(now.slots) == state.SLOTS
    msgspec.json.encode(now)
    try:
        config = state.config_of(fields)
    except MalformedError:
        return
    assert config.ratio is None or 0 <= config.ratio <= 100
    assert len(config.slots) == state.SLOTS


def sound(moving: Moving) -> None:
    """A reading can be sent, and holds no impossible figure."""
    check_comes_back(moving)
    check_possible(moving.hashrate_hs, moving.hashrate_30m_hs, moving.uptime_s)
    for board in moving.boards:
        for temp in (board.temp_pcb_c, board.temp_outlet_c, board.temp_chip_c):
            assert temp is None or 0 < temp <= 120
    assert moving.pool_reject_percent is None or 0 <= moving.pool_reject_percent <= 100
    assert all(rpm >= 0 for rpm in moving.fan_rpm)


SOURCES = {
    "the_web_side": Source(
        spoilt_from(*WEB),
        (
            Way(response, (), lambda found, _: is_front_page(found)),
            judged(web.LIGHT),
            judged(web.SET_POOLS),
            Way(lambda body, _: checked(decode_web(body), "userpanel 4"), NO_REPLY, use),
        ),
    ),
    "the_daemon": Source(spoilt_from(*DAEMON), tuple(said_to(command) for command in SAID)),
    "logs": Source(spoilt_from(LOG, *DAEMON), (Way(log, NO_REPLY, check_kept),)),
    "log_pages": Source(spoilt_from(PAGE, *WEB), (Way(page, NO_REPLY, check_kept),)),
    "firmware_files": Source(
        spoilt_from(*IMAGES),
        (
            Way(name_of, (), check_name),
            Way(names_of_image, (BadFirmwareError,), check_equal),
        ),
    ),
}


@at_both_sizes
@pytest.mark.parametrize("source", SOURCES)
def test_spoilt_bytes_raise_only_documented_errors(source: str, number: int, seed: int) -> None:
    SOURCES[source].shake(number, seed)


@given_at_both_sizes(
    spoilt(PANEL),
    st.lists(spoilt(BOARD) | ANY, max_size=4),
    st.lists(spoilt(POOL) | ANY, max_size=4),
)
def test_a_panel_of_any_kinds_of_values_is_read_or_left_out(
    fields: dict[str, Any], boards: list[Any], pools: list[Any]
) -> None:
    use(fields, 0)
    use(fields | {"boards": boards, "pools": pools}, 0)


@given_at_both_sizes(ANY, ANY)
def test_a_reply_of_any_kinds_of_values_is_a_reply_or_a_named_error(error: Any, data: Any) -> None:
    try:
        body = json.dumps({"error": error, "data": data}).encode("utf-8", "surrogatepass")
    except (ValueError, OverflowError):
        return
    SOURCES["the_web_side"].take(body, 0)
    SOURCES["the_daemon"].take(
        json.dumps({"id": "fan", "ret": data}).encode("utf-8", "surrogatepass"), 0
    )
