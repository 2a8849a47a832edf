from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.host.databases import file_trouble
from agent.miners.inventory import Inventory
from agent.miners.known import (
    awake_modes,
    known_miners,
    login_refused,
    maintained_miners,
    set_percents,
)
from agent.ports import AwakeMode
from contract.link import MinerKey
from contract.miner import Identity, Make, PowerMode
from drivers.base import SetPercent

AT = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAC = "02:11:22:33:44:55"


def miner(mac: str | None = MAC) -> Identity:
    return Identity(make=Make.ANTMINER, model="S19", mac=mac)


async def test_what_is_known_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    inventory = Inventory(path)
    await inventory.open()
    inventory.seen("10.0.0.1", miner(), AT)
    inventory.seen("10.0.0.2", miner(None), AT)
    inventory.learn_ids((MinerKey(id="abc", mac=MAC, ip="10.0.0.1"),))
    await inventory.close()
    again = Inventory(path)
    await again.open()
    record = again.by_id("abc")
    assert record is not None
    assert (record.key, record.ip, record.identity.model) == (MAC, "10.0.0.1", "S19")
    assert again.by_ip("10.0.0.2") is not None
    await again.close()
    assert sorted(known_miners(path)) == ["10.0.0.1", "10.0.0.2"]
    assert file_trouble(path) is None


async def test_an_id_that_came_to_another_control_board_is_of_that_one_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inventory.db"
    inventory = Inventory(path)
    await inventory.open()
    inventory.seen("10.0.0.1", miner(), AT)
    inventory.learn_ids((MinerKey(id="abc", mac=MAC, ip="10.0.0.1"),))
    new = "02:11:22:33:44:77"
    inventory.seen("10.0.0.7", miner(new), AT)
    inventory.learn_ids((MinerKey(id="abc", mac=new, ip="10.0.0.7"),))
    assert [each.miner_id for each in inventory.all()] == [None, "abc"]
    inventory.learn_ids((MinerKey(id="def", mac=new, ip="10.0.0.7"),))
    assert inventory.by_id("abc") is None, "its device is another miner's now"
    inventory.learn_ids((MinerKey(id="abc", mac=new, ip="10.0.0.7"),))
    await inventory.close()
    again = Inventory(path)
    await again.open()
    again.forget(new)
    assert again.by_id("abc") is None
    await again.close()


async def test_a_miner_that_moved_is_at_one_address_only(tmp_path: Path) -> None:
    inventory = Inventory(None)
    inventory.seen("10.0.0.1", miner(), AT)
    _, is_new = inventory.seen("10.0.0.9", miner(), AT)
    assert not is_new
    assert inventory.by_ip("10.0.0.1") is None
    assert inventory.by_ip("10.0.0.9") is inventory.by_key(MAC)
    await inventory.close()


async def test_who_refused_the_login_is_kept_until_it_is_taken_or_the_miner_is_forgotten(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inventory.db"
    assert login_refused(path) == []
    first = Inventory(path)
    await first.open()
    for number in range(1, 4):
        first.seen(f"10.0.0.{number}", miner(f"02:00:00:00:00:0{number}"), AT)
        first.note_login(f"10.0.0.{number}", refused=True)
    first.note_login("10.0.0.9", refused=True)  # nobody is known there
    await first.flush()
    assert login_refused(path) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    await first.close()
    again = Inventory(path)
    await again.open()
    again.note_login("10.0.0.1", refused=False)
    again.forget("02:00:00:00:00:02")
    # It comes back, and may let us in by now.
    again.seen("10.0.0.2", miner("02:00:00:00:00:02"), AT)
    again.seen("10.0.0.33", miner("02:00:00:00:00:03"), AT)  # it moved
    await again.close()
    assert login_refused(path) == ["10.0.0.33"]


async def test_how_miners_hash_when_they_hash_is_kept_until_they_are_forgotten(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inventory.db"
    assert awake_modes(path) == {}
    first = Inventory(path)
    await first.open()
    macs = [f"02:00:00:00:00:0{number}" for number in range(1, 4)]
    for number, mac in enumerate(macs, 1):
        first.seen(f"10.0.0.{number}", miner(mac), AT)
        first.note_awake_mode(mac, PowerMode.LOW, AT)
    await first.flush()
    first.note_awake_mode(
        macs[0], PowerMode.LOW, AT + HOUR
    )  # as it was: since when it is so, stays
    first.note_awake_mode(macs[1], PowerMode.HIGH, AT + HOUR)
    first.forget(macs[2])
    await first.close()
    again = Inventory(path)
    await again.open()
    assert again.awake_mode(macs[0]) == AwakeMode(mode=PowerMode.LOW, seen_at=AT)
    assert again.awake_mode(macs[1]) == AwakeMode(mode=PowerMode.HIGH, seen_at=AT + HOUR)
    assert again.awake_mode(macs[2]) is None
    await again.close()
    by_hand = Inventory(None)
    by_hand.learn(known_miners(path), awake_modes(path), AT)
    assert by_hand.awake_mode(macs[1]) == again.awake_mode(macs[1])
    await by_hand.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE awake_modes SET mode = 'of a newer agent' WHERE key = ?", (macs[0],))
    assert list(awake_modes(path)) == [macs[1]]


async def test_a_percentage_that_a_miner_does_not_tell_is_kept_until_it_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "inventory.db"
    assert set_percents(path) == {}
    macs = [f"02:00:00:00:00:0{number}" for number in range(1, 4)]
    first = Inventory(path)
    await first.open()
    sixty = SetPercent(percent=60, seen_at=AT)
    for number, mac in enumerate(macs, 1):
        first.seen(f"10.0.0.{number}", miner(mac), AT)
        first.note_set_percent(mac, sixty)
    await first.flush()
    assert set_percents(path) == dict.fromkeys(macs, sixty)
    first.note_set_percent(macs[0], SetPercent(percent=80, seen_at=AT + HOUR))
    first.note_set_percent(macs[1], None)
    first.note_set_percent(macs[1], None)
    first.forget(macs[2])
    await first.close()
    again = Inventory(path)
    await again.open()
    assert again.set_percent(macs[0]) == SetPercent(percent=80, seen_at=AT + HOUR)
    assert (again.set_percent(macs[1]), again.set_percent(macs[2])) == (None, None)
    await again.close()
    assert list(set_percents(path)) == macs[:1]


async def test_a_file_of_an_earlier_version_is_read_and_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    inventory = Inventory(path)
    await inventory.open()
    inventory.seen("10.0.0.1", miner(), AT)
    await inventory.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE login_refused")
        db.execute("DROP TABLE awake_modes")
        db.execute("DROP TABLE set_percents")
    assert (login_refused(path), awake_modes(path), set_percents(path)) == ([], {}, {})
    again = Inventory(path)
    await again.open()
    again.note_login("10.0.0.1", refused=True)
    await again.close()
    assert login_refused(path) == ["10.0.0.1"]


async def test_what_changes_seldom_is_written_again_once_it_can_be(tmp_path: Path) -> None:
    """Who is in maintenance, above all: that holds through a restart without a cloud."""
    path = tmp_path / "inventory.db"
    inventory = Inventory(path)
    await inventory.open()
    inventory.keep_maintained(frozenset({MAC}))
    inventory.note_awake_mode(MAC, PowerMode.LOW, AT)
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE maintained RENAME TO away")
        await inventory.flush()
        assert awake_modes(path) == {}
        db.execute("ALTER TABLE away RENAME TO maintained")
    await inventory.close()
    assert maintained_miners(path) == {MAC}
    assert awake_modes(path) == {MAC: AwakeMode(mode=PowerMode.LOW, seen_at=AT)}


async def test_a_damaged_file_costs_only_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    path.write_bytes(b"this is no database" * 1000)
    assert file_trouble(path) is not None
    assert known_miners(path) == {}
    inventory = Inventory(path)
    await inventory.open()
    assert len(inventory) == 0
    inventory.seen("10.0.0.1", miner(), AT)
    await inventory.close()
    assert list(known_miners(path)) == ["10.0.0.1"]
    assert path.with_suffix(".damaged").exists()


async def test_a_folder_that_cannot_be_written_does_not_stop_the_agent(tmp_path: Path) -> None:
    inventory = Inventory(tmp_path / "missing" / "inventory.db")
    await inventory.open()
    inventory.seen("10.0.0.1", miner(), AT)
    await inventory.close()
    assert inventory.by_ip("10.0.0.1") is not None


async def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a#b?c%41"
    folder.mkdir()
    inventory = Inventory(folder / "inventory.db")
    await inventory.open()
    inventory.seen("10.0.0.1", miner(), AT)
    await inventory.close()
    assert file_trouble(folder / "inventory.db") is None
    assert list(known_miners(folder / "inventory.db")) == ["10.0.0.1"]
