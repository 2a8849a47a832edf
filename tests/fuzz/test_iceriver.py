"""Mutated and made-up replies of IceRivers on either port: read soundly, or named as malformed or refused."""

from __future__ import annotations

import io
import json
import math
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import MinerError
from contract.miner import Moving, PowerMode, Slow
from drivers.http import Response
from drivers.iceriver import daemon, image, logs, state, web
from drivers.iceriver.driver import _raw, _slow
from drivers.iceriver.identify import findings_of, is_front_page
from drivers.iceriver.models import model_of
from drivers.iceriver.reading import algorithm_of, look_of
from drivers.iceriver.replies import DaemonDecoder, checked, decode_web
from tests.fuzz.mutations import mutants

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
LOG = daemon_reply("log", ctime=1, mtime=2, len=300) + b"a line\n" * 50

PAGE = web_reply({"text": 'a&nbsp;&nbsp;b &lt;c&gt;<br/>\u00e9 "q" } ' * 30}, message="900")
IMAGES = [
    b"ICERIVER-KAS-KS3L-20230916 " + bytes(range(256)) * 8,
    b"\x1f\x8bKS0-PRO " + bytes(2048),
    b"KS5L" + bytes(253) + b"ustar" + bytes(2048),
    b"<html>10306_miner</html>" * 64,
]


class Memory:
    """A sink that counts."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)

    async def drain(self) -> None: ...


def answer(decoder: Any, data: bytes, at: int) -> Any:
    """What a decoder makes of bytes that come in two pieces, and of the end after them."""
    middle = (at * 37) % (len(data) + 1)
    for piece in (data[:middle], data[middle:]):
        if piece and (found := decoder.feed(piece)) is not None:
            return found
    return decoder.feed(b"")


def digest_web(body: bytes, at: int) -> None:
    """Everything the driver would do with a reply of the web side."""
    response = Response(status=(200, 200, 200, 404, 500)[at % 5], headers={}, body=body)
    is_front_page(response)
    for operation in (web.LIGHT, web.SET_POOLS):
        try:
            assert web._judged(response, operation).code == 0
        except MinerError:
            continue
    try:
        fields = checked(decode_web(body), "userpanel 4")
    except MinerError:
        return
    use(fields)


def digest_daemon(data: bytes, at: int) -> None:
    """Everything the driver would do with a reply of the daemon."""
    for command in SAID:
        try:
            ret = answer(DaemonDecoder(command), data, at)
        except MinerError:
            continue
        use(ret)


def digest_log(data: bytes, at: int) -> None:
    sink: Any = Memory()
    try:
        is_cut = answer(daemon.LogDecoder(sink, 200), data, at)
    except MinerError:
        return
    assert isinstance(is_cut, bool)
    assert sink.size <= 200


def digest_page(data: bytes, at: int) -> None:
    sink: Any = Memory()
    page = logs.LogPage(sink, 200)
    middle = (at * 37) % (len(data) + 1)
    try:
        page.write(data[:middle])
        page.write(data[middle:])
        is_cut = page.finish(truncated=at % 5 == 0)
    except MinerError:
        return
    assert isinstance(is_cut, bool)
    assert sink.size <= 200


def digest_image(data: bytes, at: int) -> None:
    name = data[:80].decode("utf-8", "replace") + (".bgz", ".tar", ".tar.gz")[at % 3]
    image.models_in(name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", image.sent_name(name))
    try:
        found = image.check(io.BytesIO(data), len(data) if at % 2 else 4096, name)
    except MinerError:
        return
    assert found.name == image.sent_name(name)


def use(fields: dict[str, Any]) -> None:
    found = findings_of(fields)
    model = None
    if found is not None:
        msgspec.json.encode(found)
        model = model_of(found.identity.model)
        algorithm_of(model, found.algorithm_word)
    look = look_of(fields, model)
    sound(look.moving)
    slow = _slow(look, PowerMode.NORMAL, "1", trouble="x" * 999)
    assert msgspec.json.decode(msgspec.json.encode(slow), type=Slow) == slow
    assert look.ideal_hs is None or (math.isfinite(look.ideal_hs) and look.ideal_hs > 0)
    msgspec.json.encode(_raw(fields))
    state.mode_of(fields.get("getmode"))
    now = state.state_of(fields)
    assert len(now.slots) == state.SLOTS
    msgspec.json.encode(now)
    try:
        config = state.config_of(fields)
    except MinerError:
        return
    assert config.ratio is None or 0 <= config.ratio <= 100
    assert len(config.slots) == state.SLOTS


def sound(moving: Moving) -> None:
    """A reading can be sent, comes back the same, and holds no impossible figure."""
    assert msgspec.json.decode(msgspec.json.encode(moving), type=Moving) == moving
    for value in (moving.hashrate_hs, moving.hashrate_30m_hs, moving.uptime_s):
        assert value is None or (math.isfinite(value) and value >= 0)
    for board in moving.boards:
        for temp in (board.temp_pcb_c, board.temp_outlet_c, board.temp_chip_c):
            assert temp is None or 0 < temp <= 120
    assert moving.pool_reject_percent is None or 0 <= moving.pool_reject_percent <= 100
    assert all(rpm >= 0 for rpm in moving.fan_rpm)


def fuzz_web(number: int, seed: int) -> None:
    for at, body in enumerate(mutants(WEB, number, seed)):
        digest_web(body, at)


def fuzz_daemon(number: int, seed: int) -> None:
    for at, data in enumerate(mutants(DAEMON, number, seed)):
        digest_daemon(data, at)


def fuzz_logs(number: int, seed: int) -> None:
    for at, data in enumerate(mutants([LOG, *DAEMON], number, seed)):
        digest_log(data, at)


def fuzz_pages(number: int, seed: int) -> None:
    for at, data in enumerate(mutants([PAGE, *WEB], number, seed)):
        digest_page(data, at)


def fuzz_images(number: int, seed: int) -> None:
    for at, data in enumerate(mutants(IMAGES, number, seed)):
        digest_image(data, at)


def test_mutated_replies_of_the_web_side_raise_only_documented_errors():
    fuzz_web(4_000, seed=1)


def test_mutated_replies_of_the_daemon_raise_only_documented_errors():
    fuzz_daemon(4_000, seed=1)


def test_mutated_logs_raise_only_documented_errors():
    fuzz_logs(4_000, seed=1)


def test_mutated_log_pages_raise_only_documented_errors():
    fuzz_pages(4_000, seed=1)


def test_mutated_firmware_files_raise_only_documented_errors():
    fuzz_images(4_000, seed=1)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_log_pages_raise_only_documented_errors():
    fuzz_pages(100_000, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_firmware_files_raise_only_documented_errors():
    fuzz_images(100_000, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_replies_of_the_web_side_raise_only_documented_errors():
    fuzz_web(100_000, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_replies_of_the_daemon_raise_only_documented_errors():
    fuzz_daemon(100_000, seed=2)


@pytest.mark.slow
def test_a_hundred_thousand_mutated_logs_raise_only_documented_errors():
    fuzz_logs(100_000, seed=2)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def spoilt(whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({key: st.just(value) | ANY for key, value in whole.items()})


@settings(max_examples=300, deadline=None)
@given(
    spoilt(PANEL),
    st.lists(spoilt(BOARD) | ANY, max_size=4),
    st.lists(spoilt(POOL) | ANY, max_size=4),
)
def test_a_panel_of_any_kinds_of_values_is_read_or_left_out(
    fields: dict[str, Any], boards: list[Any], pools: list[Any]
):
    use(fields)
    use(fields | {"boards": boards, "pools": pools})


@settings(max_examples=300, deadline=None)
@given(ANY, ANY)
def test_a_reply_of_any_kinds_of_values_is_a_reply_or_a_named_error(error: Any, data: Any):
    try:
        body = json.dumps({"error": error, "data": data}).encode("utf-8", "surrogatepass")
    except (ValueError, OverflowError):
        return
    digest_web(body, 0)
    digest_daemon(json.dumps({"id": "fan", "ret": data}).encode("utf-8", "surrogatepass"), 0)
