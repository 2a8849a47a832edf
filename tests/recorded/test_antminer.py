"""Every recorded reply of a real AntMiner is understood as a human understands it."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from contract.errors import MalformedError
from drivers.antminer.driver import _split
from drivers.antminer.identify import classify, findings_of
from drivers.antminer.models import OLD, spec_for
from drivers.antminer.protocol.replies import AntminerReply, decode_reply
from drivers.antminer.reading.snapshot import new_api_snapshot_of, pools_of, snapshot_of
from tests.recorded.where import needs, recordings_of
from tests.recordings.antminer import (
    EXPECTED,
    FOREIGN,
    Pools,
    Rows,
    Stats,
    Summary,
    Text,
    Version,
)

ROOT = recordings_of("antminer")
needs_recordings = needs(ROOT)


def reply_of(name: str) -> AntminerReply:
    return decode_reply((ROOT / name).read_bytes())


def named(kind: type) -> list[str]:
    return [name for name, expected in EXPECTED.items() if isinstance(expected, kind)]


def conf_expectations() -> set[str]:
    """Configurations and requests have theirs in a table of their own."""
    if importlib.util.find_spec("tests.recordings.antminer_conf") is None:
        return set()
    from tests.recordings import antminer_conf

    return set(antminer_conf.EXPECTED)


@needs_recordings
def test_every_recording_has_an_expectation():
    files = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*")
        if path.is_file() and path.name != "INDEX.md"
    }
    expected = set(EXPECTED) | conf_expectations()
    assert files - expected == set()
    assert expected - files == set()


@needs_recordings
@pytest.mark.parametrize("name", named(Version))
def test_who_speaks(name: str):
    check_head(reply_of(name), EXPECTED[name])


@needs_recordings
@pytest.mark.parametrize("name", named(Stats))
def test_what_it_does(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Stats)
    reply = reply_of(name)
    check_head(reply, expected.head)
    spec = spec_for(expected.head.model)
    if expected.new_api:
        assert reply.STATS is not None
        new = new_api_snapshot_of(None, reply.STATS[0], spec)
        moving, ideal, mode = new.moving, new.ideal_hs, new.mode_number
        assert moving is not None
    else:
        generation = expected.head.generation if expected.head.firmware == "stock" else OLD
        look = snapshot_of(None, _split(reply)[1], None, spec, generation)
        moving, ideal, mode = look.moving, look.ideal_hs, look.mode_number
        assert look.is_powered_down == any(board.state == "off" for board in expected.boards)
    assert {
        "rate": moving.hashrate_hs,
        "mean": moving.hashrate_avg_hs,
        "half": moving.hashrate_30m_hs,
        "ideal": ideal,
        "uptime": moving.uptime_s,
        "fans": moving.fan_rpm,
        "chip": moving.temp_chip_c,
        "pcb": moving.temp_board_c,
        "inlet": moving.temp_inlet_c,
        "outlet": moving.temp_outlet_c,
        "hw": moving.hw_errors,
        "power": moving.power_w,
        "mode": mode,
    } == {
        "rate": near(expected.rate),
        "mean": near(expected.mean),
        "half": near(expected.half),
        "ideal": near(expected.ideal),
        "uptime": expected.uptime_s,
        "fans": expected.fans,
        "chip": expected.chip_c,
        "pcb": expected.pcb_c,
        "inlet": expected.inlet_c,
        "outlet": expected.outlet_c,
        "hw": expected.hw,
        "power": expected.power_w,
        "mode": expected.mode,
    }
    assert [
        (
            board.index,
            board.hashrate_hs,
            board.chips,
            board.chips_bad,
            board.temp_chip_c,
            board.temp_pcb_c,
            board.frequency_hz,
            board.hw_errors,
            board.hashrate_ideal_hs,
            board.serial,
            board.state,
        )
        for board in moving.boards
    ] == [
        (
            board.index,
            near(board.rate),
            board.chips,
            board.bad,
            board.chip_c,
            board.pcb_c,
            None if board.mhz is None else near(board.mhz * 1e6),
            board.hw,
            near(board.ideal),
            board.serial,
            board.state,
        )
        for board in expected.boards
    ]


@needs_recordings
@pytest.mark.parametrize("name", named(Summary))
def test_what_the_summary_says(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Summary)
    reply = reply_of(name)
    row = reply.SUMMARY[0] if reply.SUMMARY else None
    if expected.new_api:
        new = new_api_snapshot_of(row, None, None)
        assert new.faults == ()
        moving = new.moving
        if moving is None:
            assert expected.rate is None
            return
    else:
        moving = snapshot_of(row, None, None, None, None).moving
        if row and "MHS 5s" in row:
            assert moving.hashrate_hs == near(expected.rate)
    assert (
        moving.hashrate_hs,
        moving.hashrate_avg_hs,
        moving.hashrate_30m_hs,
        moving.uptime_s,
        moving.accepted,
        moving.rejected,
        moving.stale,
        moving.hw_errors,
    ) == (
        near(expected.rate),
        near(expected.mean),
        near(expected.half),
        expected.uptime_s,
        expected.accepted,
        expected.rejected,
        expected.stale,
        expected.hw,
    )


@needs_recordings
@pytest.mark.parametrize("name", named(Pools))
def test_which_pools_it_has(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Pools)
    assert [
        (
            pool.index,
            pool.url,
            pool.user,
            pool.status,
            pool.active,
            pool.accepted,
            pool.rejected,
            pool.stale,
            pool.difficulty,
            pool.last_share_s,
        )
        for pool in pools_of(reply_of(name).POOLS or [])
    ] == [
        (
            pool.index,
            pool.url,
            pool.user,
            pool.status,
            pool.active,
            pool.accepted,
            pool.rejected,
            pool.stale,
            near(pool.difficulty),
            pool.ago_s,
        )
        for pool in expected.pools
    ]


@needs_recordings
@pytest.mark.parametrize("name", named(Rows))
def test_what_else_it_lists(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Rows)
    rows = getattr(reply_of(name), expected.name)
    assert len(rows) == expected.count
    assert {key: rows[0][key] for key in expected.facts} == expected.facts


@needs_recordings
@pytest.mark.parametrize("name", named(Text))
def test_what_is_no_answer_of_the_api(name: str):
    expected = EXPECTED[name]
    assert isinstance(expected, Text)
    data = (ROOT / name).read_bytes()
    if expected.error == "malformed_reply":
        with pytest.raises(MalformedError):
            decode_reply(data)
    if expected.error == "refused":
        assert decode_reply(data).refusal == "Invalid command"
        assert findings_of(decode_reply(data)) is None
    else:
        assert str(classify(data.decode())) == expected.firmware


@needs_recordings
@pytest.mark.parametrize(
    "folder", sorted({name.rsplit("/", 1)[0] for name in FOREIGN if name.count("/") > 1})
)
def test_other_firmware_is_never_taken_for_stock(folder: str):
    replies = [
        decode_reply(path.read_bytes())
        for path in sorted((ROOT / folder).iterdir())
        if "version" in path.name or "stats" in path.name
    ]
    found = findings_of(*replies)
    assert found is not None
    assert found.firmware != "stock"


def check_head(reply: AntminerReply, expected: Any) -> None:
    found = findings_of(reply)
    assert found is not None
    assert Version(str(found.firmware), found.model, found.generation, found.version) == expected


def near(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-12)
