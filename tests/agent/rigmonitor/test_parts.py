"""The parts of the monitor's client, each by itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.file import ConfigError, load, parse
from agent.sinks.rigmonitor.machines import ApiCode, machines_of
from agent.sinks.rigmonitor.memory import Memory
from agent.sinks.rigmonitor.newest import Newest
from agent.sinks.rigmonitor.notes import Notes
from agent.sinks.rigmonitor.wishes import Wish, fault_in, wished
from contract.clock import to_text
from contract.link import MinerReading
from contract.miner import Make, Moving, PowerMode, Slow, Static
from contract.rigmonitor.asic import Switch
from tests.agent.clock import SettableClock

ON, OFF = Switch.ON, Switch.OFF
MAC = "02:11:22:33:44:55"


# --- codes ---


def section(folder: Path, table: str = "", **more):
    path = folder / "codes"
    path.write_text(table or f"{MAC} code-1\n")
    path.chmod(0o600)
    given_ = {"url": "http://127.0.0.1:4000", "codes_file": str(path)} | more
    return parse({"rigmonitor": given_}).rigmonitor


def test_codes_come_from_a_table_and_from_files_of_their_own(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0f1e-own\n")
    own.chmod(0o600)
    found = machines_of(
        section(
            tmp_path,
            "# hall 1\n\n021122334455  code-1\n192.168.1.9\tcode-2\n",
            miner=[
                {"mac": "02-11-22-33-44-55", "coin_name": "Kaspa", "power_w": 3400},
                {"ip": "192.168.1.10", "api_code_file": str(own)},
            ],
        )
    )
    assert [(each.key, each.code.text, each.coin_name, each.power_w) for each in found] == [
        (MAC, "code-1", "Kaspa", 3400),
        ("192.168.1.9", "code-2", None, None),
        ("192.168.1.10", "0f1e-own", None, None),
    ]


def test_a_code_prints_as_stars(tmp_path: Path) -> None:
    (one,) = machines_of(section(tmp_path))
    assert "code-1" not in repr(one)
    assert "code-1" not in str(one.code)
    assert ApiCode("x") == ApiCode("x")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("02:11:22:33:44:55", "line 1: write the MAC"),
        ("\nhello code-1", "line 2: begins with neither"),
        (f"{MAC} a\n{MAC} b", "stands there twice"),
        (f"{MAC} secret\n192.168.1.1 secret", f"{MAC} and 192.168.1.1 have the same code"),
        (f"{MAC} {'x' * 256}", "no code"),
        (f"{MAC} schlüssel", "no code"),
    ],
)
def test_a_mistake_in_the_table_is_named_without_the_code(
    tmp_path: Path, table: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as info:
        machines_of(section(tmp_path, table))
    assert "secret" not in str(info.value)


def test_a_miner_without_a_code_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"192\.168\.1\.1 has no code"):
        machines_of(section(tmp_path, miner=[{"ip": "192.168.1.1"}]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("url = 'http://monitor.example.net:4000'", "insecure_http"),
        ("url = 'ftp://x'", "http:// or https://"),
        ("url = 'https://user@x'", "no query, fragment or user"),
        ("wan_ip = 'here'", "IPv4"),
        ("default_power_w = 3.5", "whole number"),
        ("[[rigmonitor.miner]]\npower_w = 1", "exactly one of mac and ip"),
        (f"[[rigmonitor.miner]]\nmac = '{MAC}'\n[[rigmonitor.miner]]\nmac = '021122334455'", "two"),
    ],
)
def test_a_mistake_in_the_section_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[rigmonitor]\n{text}")
    with pytest.raises(ConfigError, match=words):
        load(path)


def test_the_url_may_be_given_with_or_without_the_prefix() -> None:
    for url in ("http://localhost:4000", "http://localhost:4000/", "http://localhost:4000/api/v1"):
        assert parse({"rigmonitor": {"url": url}}).rigmonitor.base_url == "http://localhost:4000"
    monitor = {"url": "http://10.0.0.2:4000/api/v1/", "insecure_http": True}
    assert parse({"rigmonitor": monitor}).rigmonitor.base_url == "http://10.0.0.2:4000"


# --- wishes ---


def test_off_needs_two_polls_in_a_row_and_on_only_one() -> None:
    wish = Wish()
    assert [wish.heard(each) for each in (OFF, OFF, OFF, ON, OFF, ON)] == [
        None,
        OFF,
        OFF,
        ON,
        None,
        ON,
    ]


def test_a_poll_that_tells_nothing_begins_the_count_anew() -> None:
    wish = Wish()
    assert [wish.heard(each) for each in (OFF, None, OFF, None)] == [None] * 4


@given(st.lists(st.sampled_from([ON, OFF, None]), max_size=30))
def test_off_is_never_taken_from_one_poll_alone(polls: list[Switch | None]) -> None:
    wish = Wish()
    for number, poll in enumerate(polls):
        taken = wish.heard(poll)
        assert taken in (poll, None)
        if taken is OFF:
            assert polls[number - 1] is OFF


@pytest.mark.parametrize("odd", [None, "ON", "Off", 1, True, "", " on", ["on"], {"on": 1}])
def test_only_on_and_off_are_wishes(odd: object) -> None:
    expected = {"asic_expected_status": odd, "light_expected_status": "on"}
    assert wished(expected, "asic_expected_status") is None
    assert wished(expected, "light_expected_status") is ON
    assert "asic_expected_status" in (fault_in(expected) or "")


@pytest.mark.parametrize("odd", [None, [], "on", 3])
def test_an_answer_that_is_no_object_is_no_wish(odd: object) -> None:
    assert wished(odd, "asic_expected_status") is None


# --- what is known of a miner ---


def reading(
    clock: SettableClock, rate: float | None = 1e12, power_w: float | None = None, **more
) -> MinerReading:
    return MinerReading(
        at=to_text(clock.now()),
        ip="10.0.0.1",
        mac=MAC,
        moving=Moving(hashrate_hs=rate, power_w=power_w),
        interval_s=30.0,
        **more,
    )


async def test_slow_facts_stay_until_there_are_newer_ones() -> None:
    clock = SettableClock()
    newest = Newest([MAC], clock)
    newest.take(
        reading(
            clock, slow=Slow(mode=PowerMode.LOW, light_on=True), static=Static(make=Make.UNKNOWN)
        )
    )
    await clock.advance(30)
    newest.take(reading(clock, 5.0))
    seen = newest[MAC]
    assert (seen.light, seen.asic) == (ON, ON)
    assert seen.moving is not None
    assert seen.moving.hashrate_hs == 5.0
    assert seen.static is not None
    newest.take(reading(clock, 0.0, slow=Slow(mode=PowerMode.SLEEP, light_on=None)))
    assert (seen.light, seen.asic) == (ON, OFF)


async def test_a_power_asked_only_now_and_then_stands_for_the_looks_between() -> None:
    clock = SettableClock()
    newest = Newest([MAC], clock, slow_every_polls=10)
    assert newest.power_w(MAC) is None
    newest.take(reading(clock, power_w=3500.0))
    for _ in range(10):
        await clock.advance(30)
        newest.take(reading(clock))
        assert newest.power_w(MAC) == 3500.0
    newest.take(reading(clock, power_w=3100.0))
    newest.take(reading(clock, 0.0, power_w=20.0))  # it idles; what it takes at work is not this
    assert newest.power_w(MAC) == 3100.0
    await clock.advance(751)
    newest.take(reading(clock))
    assert newest.power_w(MAC) is None


async def test_a_miner_is_fresh_only_while_it_answers() -> None:
    clock = SettableClock()
    newest = Newest([MAC], clock)
    assert not newest.is_fresh(MAC)
    newest.take(reading(clock))
    assert newest.is_fresh(MAC)
    await clock.advance(74)
    assert newest.is_fresh(MAC)
    await clock.advance(2)
    assert not newest.is_fresh(MAC)
    newest.take(reading(clock))
    newest.take(MinerReading(at=to_text(clock.now()), ip="10.0.0.1", mac=MAC, ok=False))
    assert not newest.is_fresh(MAC)


async def test_what_a_task_showed_outweighs_a_look_that_began_before_it() -> None:
    clock = SettableClock()
    newest = Newest([MAC], clock)
    before = reading(clock, slow=Slow(mode=PowerMode.NORMAL, light_on=False))
    newest.take(before)
    await clock.advance(10)
    newest.told(MAC, asic=OFF, light=ON)
    newest.take(before)
    assert (newest[MAC].asic, newest[MAC].light) == (OFF, ON)
    await clock.advance(1)
    newest.take(reading(clock, 0.0))  # it still says nothing of its mode
    assert newest[MAC].asic is OFF
    newest.take(reading(clock, slow=Slow(mode=PowerMode.NORMAL, light_on=False)))
    assert (newest[MAC].asic, newest[MAC].light) == (ON, OFF)


async def test_a_rate_that_fades_after_a_task_put_it_to_sleep_leaves_it_asleep() -> None:
    """Its slow facts, which come only as news, may have been in a look that began before the task ended."""
    clock = SettableClock()
    newest = Newest([MAC], clock)
    newest.take(reading(clock, slow=Slow(mode=PowerMode.NORMAL)))
    asleep = reading(clock, slow=Slow(mode=PowerMode.SLEEP))
    await clock.advance(1)
    newest.told(MAC, asic=OFF)
    newest.take(asleep)
    await clock.advance(1)
    newest.take(reading(clock, 5.0))
    await clock.advance(1)
    newest.take(reading(clock, 0.0))
    assert newest[MAC].asic is OFF


async def test_miners_without_a_code_are_not_kept() -> None:
    clock = SettableClock()
    newest = Newest(["10.0.0.2"], clock)
    newest.take(reading(clock))
    with pytest.raises(KeyError):
        newest[MAC]


# --- memory ---


async def test_the_memory_outlives_the_process(tmp_path: Path) -> None:
    clock = SettableClock()
    memory = Memory(tmp_path / "m.json", clock)
    await memory.open()
    await asyncio.gather(*(memory.keep(f"miner-{n}", off=True) for n in range(500)))
    await memory.keep("miner-7", off=False)
    again = Memory(tmp_path / "m.json", clock)
    await again.open()
    assert again.is_off("miner-499")
    assert not again.is_off("miner-7")
    await clock.advance(60)
    assert again.since_switch_s("miner-7") == pytest.approx(60, abs=20)
    assert again.since_switch_s("nobody") is None
    clock.step(timedelta(days=-1))
    assert again.since_switch_s("miner-7") == 0.0


async def test_a_memory_of_before_tells_how_those_ran_that_it_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(
        '{"a": {"at": "2026-01-01T00:00:00.000Z", "off": true, "mode": "low"},'
        ' "b": {"at": "2026-01-01T00:00:00.000Z", "mode": "low"},'
        ' "c": {"at": "2026-01-01T00:00:00.000Z", "off": true}}'
    )
    memory = Memory(path, SettableClock())
    await memory.open()
    assert memory.modes_before == {"a": PowerMode.LOW}
    assert [memory.is_off(key) for key in "abc"] == [True, False, True]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a": {"at": "yesterday"}}', b"\xff"])
async def test_a_damaged_memory_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(damage)
    memory = Memory(path, SettableClock())
    await memory.open()
    assert not memory.is_off("a")
    assert (tmp_path / "m.damaged").read_bytes() == damage
    await memory.keep("a", off=True)
    assert path.exists()


async def test_what_cannot_be_written_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    memory = Memory(folder / "m.json", SettableClock())
    await memory.open()
    with pytest.raises(OSError):
        await memory.keep("a", off=True)
    assert not memory.is_off("a")
    folder.mkdir()
    await memory.keep("a", off=True)
    assert memory.is_off("a")


# --- notes ---


def test_the_state_names_a_few_miners_and_counts_the_rest() -> None:
    notes = Notes()
    assert notes.state == "ok"
    for number in range(5):
        notes.trouble("not well", f"m{number}", "why" if number == 0 else "")
    for _ in range(2):
        notes.no_answer("the monitor answered 503")
    assert not notes.is_away
    notes.answered()
    for _ in range(3):
        notes.no_answer("the monitor answered 503")
    assert notes.state == "the monitor answered 503; not well: m0 (why), m1, m2 and 2 more"
    notes.answered()
    for number in range(5):
        notes.cleared("not well", f"m{number}")
    notes.cleared("never said", "m1")
    assert notes.state == "ok"
