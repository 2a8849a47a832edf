"""Every recorded reply of a real IceRiver is understood as a human understands it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.errors import MalformedError
from contract.miner import BoardState, Firmware, Make, UptimeKind, normalize_mac
from drivers.iceriver.changes import state
from drivers.iceriver.identify import findings_of, is_front_page
from drivers.iceriver.models import model_of
from drivers.iceriver.protocol.forms import form_of
from drivers.iceriver.protocol.replies import checked, decode_daemon, decode_web
from drivers.iceriver.protocol.web import PANEL
from drivers.iceriver.reading import figures
from drivers.iceriver.reading.snapshot import snapshot_of
from drivers.protocol.http import ResponseDecoder
from tests.recorded.where import needs, recordings_of
from tests.recordings.iceriver import EXPECTED, B, Config, Exchange, Foreign, Network, P, Panel

ROOT = recordings_of("iceriver")
pytestmark = needs(ROOT)
GIGA = 1e9


def body_of(name: str) -> bytes:
    return (ROOT / name).read_bytes()


def fields_of(name: str) -> dict[str, Any]:
    return checked(decode_web(body_of(name)), name)


def named(kind: type) -> list[str]:
    return [name for name, expected in EXPECTED.items() if isinstance(expected, kind)]


def near(value: float | None, unit: float = GIGA) -> Any:
    return None if value is None else pytest.approx(value * unit, rel=1e-9)


def test_every_recording_has_an_expectation():
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file()}
    assert files - {"INDEX.md"} == set(EXPECTED)


@pytest.mark.parametrize("name", named(Panel))
def test_who_it_is(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Panel)
    found = findings_of(fields_of(name))
    assert found is not None
    identity = found.identity
    assert (identity.make, identity.model) == (Make.ICERIVER, expected.model)
    assert identity.firmware is Firmware(expected.firmware)
    assert (identity.firmware_version, found.package) == (expected.package, expected.package)
    assert (identity.mac, identity.hostname) == (expected.mac, expected.hostname)
    assert identity.drivable is expected.drivable
    assert (identity.reason is None) is expected.drivable
    assert found.system_version == expected.system_version
    assert found.software_version == expected.software_version


@pytest.mark.parametrize("name", named(Panel))
def test_what_it_does(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Panel)
    look = snapshot_of(fields_of(name), model_of(expected.model))
    moving = look.moving
    assert moving.hashrate_hs == moving.hashrate_5m_hs == near(expected.rate)
    assert moving.hashrate_30m_hs == near(expected.rate_30m)
    assert moving.pool_reject_percent == expected.reject_percent
    assert (moving.uptime_s, moving.uptime_kind) == (expected.uptime_s, UptimeKind.PROCESS)
    assert moving.fan_rpm == expected.fans
    assert (moving.accepted, moving.rejected) == (expected.accepted, expected.rejected)
    assert (moving.temp_board_c, moving.temp_outlet_c, moving.temp_chip_c) == (
        expected.board_c,
        expected.outlet_c,
        expected.chip_c,
    )
    assert moving.power_w is None
    assert look.light_on is expected.light_on
    assert look.ideal_hs is None
    assert tuple(fault.code for fault in look.faults) == expected.faults


@pytest.mark.parametrize("name", named(Panel))
def test_what_its_boards_do(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Panel)
    boards = snapshot_of(fields_of(name), model_of(expected.model)).moving.boards
    assert [board.index for board in boards] == list(range(len(expected.boards)))
    for board, wanted in zip(boards, expected.boards, strict=True):
        assert board.hashrate_hs == near(wanted.rate)
        assert board.state == "ok"
        assert board.chips_expected == 18
        assert board == type(board)(
            index=board.index,
            state=BoardState.OK,
            hashrate_hs=board.hashrate_hs,
            chips_expected=18,
            **board_of(wanted),
        )


@pytest.mark.parametrize("name", named(Panel))
def test_which_pools_it_has(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Panel)
    pools = snapshot_of(fields_of(name), None).moving.pools
    assert [pool.index for pool in pools] == list(range(len(expected.pools)))
    for pool, wanted in zip(pools, expected.pools, strict=True):
        check_pool(pool, wanted)


@pytest.mark.parametrize("name", named(Config))
def test_what_is_set(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Config)
    found = state.config_of(fields_of(name))
    slots = [(s.url, s.user, s.password, s.connected, s.active) for s in found.slots]
    assert tuple(slots) == expected.slots
    assert (found.ratio, found.mode) == (expected.ratio, expected.mode)


@pytest.mark.parametrize("name", named(Network))
def test_network_settings_tell_a_mac_and_no_miner(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Network)
    fields = fields_of(name)
    assert normalize_mac(fields["mac"]) == expected.mac
    assert fields["host"] == expected.hostname
    assert findings_of(fields) is None


@pytest.mark.parametrize("name", named(Exchange))
def test_our_request_is_the_one_of_the_makers_page(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Exchange)
    asked, _, answered = body_of(name).decode().partition("\n\n---")
    head, _, body = asked.partition("\n\n")
    assert head.split(" ")[1] == expected.path == f"/user/{PANEL.action}"
    assert body.strip() == expected.body == form_of(PANEL.post, {}).decode()
    raw = answered.partition("\n")[2].strip().replace("\n", "\r\n").encode() + b"\r\n\r\n"
    response = ResponseDecoder(body_cap_bytes=4096).feed(raw + b" " * expected.length)
    assert response is not None
    assert response.status == 200
    assert response.headers["content-type"] == expected.content_type
    assert response.size_bytes == expected.length
    assert not is_front_page(response)


@pytest.mark.parametrize("name", named(Foreign))
def test_nothing_of_another_firmwares_api_passes_for_a_reply_of_ours(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Foreign)
    replies = json.loads(body_of(name))
    assert tuple(replies) == expected.paths
    for path, reply in replies.items():
        raw = json.dumps(reply).encode()
        fields = checked(decode_web(raw), path)  # it has `error` too, but no `data`
        assert fields == {}
        assert findings_of(reply) is None
        with pytest.raises(MalformedError):
            decode_daemon(raw, "info")
    word = replies["/api/machine"]["machine"]["mode"]
    assert (word, figures.mode_of(word)) == (expected.mode_word, expected.mode)
    assert normalize_mac(replies["/api/network"]["network"]["mac"]) == expected.mac


def board_of(wanted: B) -> dict[str, Any]:
    return {
        "hashrate_30m_hs": None if wanted.rate_30m is None else round(wanted.rate_30m * GIGA),
        "chips": wanted.chips,
        "frequency_hz": wanted.mhz * 1e6,
        "temp_chip_c": wanted.chip_c,
        "temp_pcb_c": wanted.board_c,
        "temp_outlet_c": wanted.outlet_c,
        "hw_errors": wanted.hw,
    }


def check_pool(pool: Any, wanted: P) -> None:
    assert (pool.url, pool.user) == (wanted.url, wanted.user)
    assert pool.status == ("alive" if wanted.alive else "dead")
    assert pool.active is wanted.active
    assert pool.priority == wanted.priority
    assert (pool.accepted, pool.rejected) == (wanted.accepted, wanted.rejected)
    assert pool.difficulty == near(wanted.difficulty_g)
