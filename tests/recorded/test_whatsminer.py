"""Every recorded reply of a real WhatsMiner is understood as a human understands it, and tokens come out exactly."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from contract.errors import MinerError
from contract.miner import Board, Pool, Psu
from drivers.base import Credentials
from drivers.whatsminer.identify import from_device, from_version, with_info
from drivers.whatsminer.protocol import api, frames
from drivers.whatsminer.protocol.envelope import (
    Token,
    decrypt,
    encrypt,
    padded_pkcs7,
    seal,
    token_of,
    unseal,
)
from drivers.whatsminer.protocol.tokens import opened
from drivers.whatsminer.reading import figures, snapshot, snapshot_v3
from drivers.whatsminer.reading.faults import codes_of, faults_of
from tests.recorded.where import needs, recordings_of
from tests.recordings.whatsminer import (
    EXPECTED,
    Accepted,
    B,
    Boards,
    Boards3,
    Details,
    Device,
    Errors,
    Info,
    Joined,
    Mock,
    P,
    Pools,
    Refused,
    Rows,
    S,
    Salts,
    Setting,
    Status,
    Summary3,
    Supply,
    Version,
)

ROOT = recordings_of("whatsminer")
VECTORS = "token-vectors.json"
pytestmark = needs(ROOT)


def reply_of(name: str) -> api.WhatsminerReply:
    decoder = api.reply_decoder()
    return decoder.feed((ROOT / name).read_bytes()) or decoder.feed(b"") or api.WhatsminerReply()


def body_of(name: str) -> bytes:
    return (ROOT / name).read_bytes()


def named(*kinds: type) -> list[str]:
    return [name for name, expected in EXPECTED.items() if isinstance(expected, kinds)]


def near(value: float | None, unit: float = 1.0) -> Any:
    return None if value is None else pytest.approx(value * unit, rel=1e-9)


def test_every_recording_has_an_expectation():
    files = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file() and path.name not in {"INDEX.md", VECTORS}
    }
    assert files == set(EXPECTED)


# --- port 4028 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named(S))
def test_what_the_summary_says(name: str):
    check_summary(
        snapshot.snapshot_of(api.WhatsminerJoined(summary=reply_of(name)), None), EXPECTED[name]
    )


@pytest.mark.parametrize("name", named(Boards))
def test_what_its_boards_do(name: str):
    check_boards(reply_of(name), EXPECTED[name])


def test_boards_that_count_in_tera_are_known_by_the_whole_alone():
    rows = reply_of("v2-compat/m7bs-rel3-edevs.json").DEVS or []
    whole = reply_of("v2-compat/m7bs-rel3-summary.json")
    look = snapshot.snapshot_of(api.WhatsminerJoined(summary=whole), None)
    boards, _ = snapshot.boards_of(rows, rate_hs=look.moving.hashrate_hs, in_tera=False)
    assert sum(board.hashrate_hs or 0 for board in boards) == near(692.63, 1e12)


@pytest.mark.parametrize("name", [name for name in named(Pools) if not name.startswith("v3/")])
def test_which_pools_it_has(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Pools)
    check_pools(snapshot.pools_of(reply_of(name)), expected.pools)


@pytest.mark.parametrize("name", named(Joined))
def test_what_a_joined_reply_says(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Joined)
    decoder = api.joined_decoder()
    joined = decoder.feed(body_of(name)) or decoder.feed(b"")
    assert joined is not None
    look = snapshot.snapshot_of(joined, None)
    check_summary(look, expected.summary)
    devs = joined.part("edevs")
    assert devs is not None
    check_boards(devs, expected.boards)
    check_pools(look.moving.pools, expected.pools.pools)


@pytest.mark.parametrize("name", named(Version))
def test_who_speaks(name: str):
    found = from_version(reply_of(name))
    assert found is not None
    identity = found.identity
    assert (
        Version(
            identity.firmware_version or "",
            identity.generation or "",
            identity.model,
            found.platform,
        )
        == EXPECTED[name]
    )
    assert identity.drivable


@pytest.mark.parametrize("name", named(Status))
def test_whether_it_is_off(name: str):
    found = snapshot.status_of(reply_of(name).fields)
    assert (
        Status(
            off=bool(found.is_off),
            firmware=found.firmware_version or "",
            mode=found.mode_word,
            limit_w=found.power_limit_w,
        )
        == EXPECTED[name]
    )


@pytest.mark.parametrize("name", named(Info))
def test_its_addresses_and_its_light(name: str):
    found = from_version(
        api.WhatsminerReply(
            STATUS="S", Code=131, Msg={"api_ver": "2.0.5", "fw_ver": "20230803.11.REL"}
        )
    )
    assert found is not None
    fields = reply_of(name).fields
    identity = with_info(found, fields).identity
    light = snapshot.light_of(fields.get("ledstat"))
    assert (
        Info(identity.mac or "", identity.hostname, light=bool(light), serial=identity.serial)
        == EXPECTED[name]
    )


@pytest.mark.parametrize("name", named(Supply))
def test_its_power_supply(name: str):
    check_supply(snapshot.psu_of(reply_of(name).fields), EXPECTED[name])


@pytest.mark.parametrize("name", named(Errors))
def test_which_faults_it_has(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Errors)
    faults = faults_of(codes_of(reply_of(name).fields["error_code"]))
    assert tuple((fault.code, fault.severity) for fault in faults) == expected.faults


@pytest.mark.parametrize("name", named(Details))
def test_which_model_it_is(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Details)
    rows = reply_of(name).DEVDETAILS or []
    assert {row["Model"] for row in rows} == {expected.model}


@pytest.mark.parametrize("name", named(Salts))
def test_what_tokens_are_made_of(name: str):
    fields = reply_of(name).fields
    assert Salts(fields["time"], fields["salt"], fields["newsalt"]) == EXPECTED[name]


@pytest.mark.parametrize("name", named(Accepted))
def test_what_is_accepted(name: str):
    assert api.refusal_of(reply_of(name)) is None


@pytest.mark.parametrize("name", named(Refused))
def test_what_is_refused(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Refused)
    try:
        error: MinerError | None = api.refusal_of(reply_of(name))
    except MinerError as raised:
        error = raised
    assert error is not None
    assert (error.code, expected.says in str(error)) == (expected.code, True), error


@pytest.mark.parametrize("name", named(Rows))
def test_what_else_there_is(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Rows)
    value = msgspec.json.decode(body_of(name))
    assert set(value.get("msg", value)) == set(expected.keys)


# --- API v3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", named(Device))
def test_who_a_device_info_shows(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Device)
    reply = frames.decode_reply(body_of(name), "get.device.info")
    found = from_device(reply)
    assert found is not None
    power, miner = (snapshot_v3.part_of(reply.fields, part) for part in ("power", "miner"))
    serials = snapshot_v3.serials_of(miner)
    faults = faults_of(snapshot_v3.codes_of_device(reply.fields))
    assert (
        Device(
            model=found.identity.model or "",
            firmware=found.identity.firmware_version or "",
            mac=found.identity.mac or "",
            serial=found.identity.serial,
            supply=expected.supply,
            working=bool(figures.truth(miner.get("working"))),
            mode=snapshot_v3.mode_word({}, power) or "",
            salt=reply.fields["salt"],
            serials=tuple(serials[slot] for slot in sorted(serials)),
            control_board=found.control_board or "",
            platform=found.platform or "",
            faults=tuple((fault.code, fault.severity, fault.text) for fault in faults),
        )
        == expected
    )
    check_supply(snapshot_v3.psu_of(power), expected.supply)


@pytest.mark.parametrize("name", named(Summary3))
def test_what_a_v3_summary_says(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Summary3)
    reply = frames.decode_status(body_of(name))
    look = snapshot_v3.snapshot_of_status(reply, None)
    assert look is not None
    check_summary(look, expected.summary)
    rows = [frames.BoardRow(slot=slot) for slot in range(len(expected.board_temps_c))]
    assert isinstance(reply.msg, frames.StatusMsg)
    assert reply.msg.summary is not None
    boards = snapshot_v3.boards_of(rows, reply.msg.summary["board-temperature"])
    assert tuple(board.temp_pcb_c for board in boards) == expected.board_temps_c


@pytest.mark.parametrize("name", named(Boards3))
def test_what_v3_boards_do(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Boards3)
    value = msgspec.json.decode(body_of(name))
    rows = value if isinstance(value, list) else value["msg"]["edevs"]
    found = snapshot_v3.boards_of(msgspec.convert(rows, list[frames.BoardRow]), [])
    assert shown(found) == told(expected.boards)


@pytest.mark.parametrize("name", [name for name in named(Pools) if name.startswith("v3/")])
def test_which_pools_v3_has(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Pools)
    msg = frames.decode_status(body_of(name)).msg
    assert isinstance(msg, frames.StatusMsg)
    check_pools(snapshot_v3.pools_of(msg.pools or [], None), expected.pools)


@pytest.mark.parametrize("name", named(Setting))
def test_which_mode_is_set(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Setting)
    assert snapshot_v3.mode_word(msgspec.json.decode(body_of(name)), {}) == expected.mode


@pytest.mark.parametrize("name", named(Mock))
def test_the_shapes_of_the_vendors_mock(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Mock)
    value = msgspec.json.decode(body_of(name))
    pools = msgspec.convert(value["pools"], list[frames.PoolRow3])
    check_pools(snapshot_v3.pools_of(pools, 1692685476.0), expected.pools)
    boards = msgspec.convert(value["edevs"], list[frames.BoardRow])
    assert shown(snapshot_v3.boards_of(boards, [])) == told(expected.boards)
    assert snapshot_v3.mode_word(value["setting"], {}) == expected.mode


# --- tokens --------------------------------------------------------------------------------------


def vectors() -> dict[str, Any]:
    if not ROOT.is_dir():
        return {"v2": [], "v3": [], "misc": {}}
    found: dict[str, Any] = json.loads(body_of(VECTORS))
    return found


def token_as_told(case: dict[str, Any]) -> Token:
    """What comes of a reply to `get_token`, which is exactly what the vector says."""
    given = case["get_token_msg"]
    token = token_of(case["password"], given["salt"], given["newsalt"], given["time"])
    assert (token.key, token.sign, token.aes_key.hex()) == (
        case["key"],
        case["sign"],
        case["aes256_key_hex"],
    )
    return token


@pytest.mark.parametrize("case", vectors()["v2"], ids=lambda case: case["name"])
def test_v2_tokens_and_envelopes_come_out_exactly(case: dict[str, Any]):
    token = token_as_told(case)
    for each in case["commands"]:
        plain = each["plaintext"].encode()
        exact = base64.b64decode(each["data_zero_padded"])
        filled = plain + bytes(-len(plain) % 16)
        assert encrypt(filled, token.aes_key) == exact
        assert decrypt(exact, token.aes_key) == filled
        request = seal(each["command"], token)
        if len(plain) % 16:
            assert request == each["wire"].encode()
        else:  # we always end in a NUL, which costs a block here
            sent = base64.b64decode(json.loads(request)["data"])
            assert sent == exact + encrypt(bytes(16), token.aes_key)
        for padding in ("data_zero_padded", "data_pkcs7_padded"):
            assert unseal(each[padding], token) == plain
        assert unseal(each["pyasic_data"], token).decode() == each["pyasic_plaintext"]
        reply = json.loads(each["reply_wire"])["enc"]
        assert unseal(reply, token).decode() == each["reply_plaintext"]


def test_frames_of_another_client_are_read_and_written_exactly():
    case = vectors()["v2_recorded"]
    token = token_as_told(case)
    for each in case["frames"]:
        assert unseal(each["base64"], token).decode() == each["plaintext"]
        if each["direction"] == "request":
            command = json.loads(each["plaintext"])
            del command["token"]
            assert json.loads(seal(command, token))["data"] == each["base64"]
    sealed = [
        api.WhatsminerReply(enc=each["base64"])
        for each in case["frames"]
        if each["direction"] == "reply"
    ]
    assert opened(sealed[0], token).Code == 131
    with pytest.raises(MinerError) as caught:
        opened(sealed[1], token)
    assert caught.value.code == "write_disabled"


@pytest.mark.parametrize("case", vectors()["v3"], ids=lambda case: f"{case['cmd']}-{case['token']}")
def test_v3_requests_come_out_exactly(case: dict[str, Any]):
    login = Credentials(case["account"], case["password"])
    wanted = json.loads(case["request_json"])
    param = wanted.get("param")
    if "param_plaintext" in case:
        param = json.loads(case["param_plaintext"])
        digest = bytes.fromhex(case["sha256_hex"])
        plain = case["param_plaintext"].encode()
        exact = base64.b64decode(case["param_pkcs7_base64"])
        assert encrypt(padded_pkcs7(plain), digest) == exact
        assert decrypt(exact, digest) == padded_pkcs7(plain)
    sent = frames.signed(case["cmd"], param, login, case["salt"], case["ts"])
    assert sent == bytes.fromhex(case["frame_prefix_hex"]) + case["request_json"].encode()
    assert len(sent) == 4 + case["frame_len"]
    assert frames.FrameReader().feed(sent) == case["request_json"].encode()


def test_a_heartbeat_is_an_empty_frame():
    reader = frames.FrameReader()
    assert reader.feed(bytes.fromhex(vectors()["misc"]["v3_heartbeat_hex"])) is None
    assert frames.frame(b"").hex() == vectors()["misc"]["v3_heartbeat_hex"]
    assert reader.feed(frames.frame(b"{}")) == b"{}"


# --- what is compared ----------------------------------------------------------------------------


def check_summary(look: snapshot.WhatsminerSnapshot, expected: Any) -> None:
    assert isinstance(expected, S)
    moving = look.moving
    found = {
        "now": moving.hashrate_hs,
        "mean": moving.hashrate_avg_hs,
        "m1": moving.hashrate_1m_hs,
        "m5": moving.hashrate_5m_hs,
        "m15": moving.hashrate_15m_hs,
        "ideal": look.ideal_hs,
    }
    assert found == {key: near(getattr(expected, key), 1e12) for key in found}
    assert (
        msgspec.structs.asdict(look)
        | msgspec.structs.asdict(moving)
        | {"uptime_kind": moving.uptime_kind}
    ).items() >= {
        "power_w": expected.power_w,
        "power_limit_w": expected.limit_w,
        "mode_word": expected.mode,
        "temp_chip_c": expected.chip_c,
        "temp_board_c": expected.board_c,
        "temp_env_c": expected.env_c,
        "fan_rpm": expected.fans,
        "fan_psu_rpm": expected.psu_rpm,
        "elapsed_s": expected.elapsed_s,
        "uptime_s": expected.elapsed_s,
        "uptime_kind": "process",
        "boot_s": expected.boot_s,
        "accepted": expected.accepted,
        "rejected": expected.rejected,
        "stale": expected.stale,
        "hw_errors": expected.hw,
        "mac": expected.mac,
        "firmware_version": expected.firmware,
        "control_board": expected.control_board,
        "is_ramping": expected.ramping,
    }.items()
    assert tuple(code.number for code in look.codes) == expected.codes


def check_boards(reply: api.WhatsminerReply, expected: Any) -> None:
    assert isinstance(expected, Boards)
    boards, is_ramping = snapshot.boards_of(
        reply.DEVS or [], rate_hs=None, in_tera=expected.in_tera
    )
    assert shown(boards) == told(expected.boards)
    assert is_ramping == expected.ramping


def shown(boards: tuple[Board, ...]) -> list[Any]:
    return [
        (
            board.index,
            board.hashrate_hs,
            board.chips,
            board.frequency_hz,
            board.temp_chip_c,
            board.temp_pcb_c,
            board.serial,
            board.hashrate_ideal_hs,
            board.hw_errors,
            board.state,
        )
        for board in boards
    ]


def told(boards: tuple[B, ...]) -> list[Any]:
    return [
        (
            board.slot,
            near(board.rate, 1e12),
            board.chips,
            near(board.mhz, 1e6),
            board.chip_c,
            board.pcb_c,
            board.serial,
            near(board.ideal, 1e12),
            board.hw,
            board.state,
        )
        for board in boards
    ]


def check_pools(found: tuple[Pool, ...], expected: tuple[P, ...]) -> None:
    assert [
        P(
            pool.index,
            pool.url,
            pool.user or "",
            pool.status or "",
            active=bool(pool.active),
            priority=pool.priority or 0,
            accepted=pool.accepted,
            rejected=pool.rejected,
            stale=pool.stale,
            difficulty=pool.difficulty,
            ago_s=pool.last_share_s,
        )
        for pool in found
    ] == list(expected)


def check_supply(found: Psu | None, expected: Any) -> None:
    assert isinstance(expected, Supply)
    assert found is not None
    assert (
        Supply(
            found.model or "",
            found.version,
            found.serial,
            found.input_v,
            found.input_a,
            found.output_v,
            found.fan_rpm,
            found.temp_c,
        )
        == expected
    )
