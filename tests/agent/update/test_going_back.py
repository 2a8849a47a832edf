"""What a newer release left in the other stores, by adding to them as one may, is read and written by this one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from agent.miners.inventory import Inventory
from agent.miners.known import known_miners
from agent.rig.playbooks import MiningOrder
from agent.rig.processes import ProgramRun
from agent.rig.state import ProgramRecord, RigStateFile
from agent.sinks.rigmonitor.memory import Memory
from agent.subscriptions.ledger import TransactionStatus
from agent.subscriptions.store import SettledTransaction, TransactionStore
from agent.telemetry.buffer import BatchStore
from contract.clock import SystemClock
from contract.link import MinerReading, ReadingsRequest
from contract.miner import Identity, Make
from tests.agent.subscriptions.test_store import row, subscribe, transaction

AT = datetime(2026, 11, 21, tzinfo=UTC)


def add_to(path: Path) -> None:
    """A column to each table, and a table."""
    with closing(sqlite3.connect(path)) as db, db:
        tables = [
            str(name)
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        assert tables
        for each in tables:
            db.execute(f"ALTER TABLE {each} ADD COLUMN novelty TEXT NOT NULL DEFAULT 'new'")
        db.execute("CREATE TABLE novelties (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")


def added_to(value: Any) -> Any:
    """A field to each object; what is empty here is a map of names, and none of ours."""
    if isinstance(value, dict) and value:
        return {key: added_to(each) for key, each in value.items()} | {"novelty": {"is": [1]}}
    return [added_to(each) for each in value] if isinstance(value, list) else value


async def test_readings_that_wait_for_the_cloud(tmp_path: Path) -> None:
    path = tmp_path / "buffer.db"
    reading = MinerReading(at="2026-11-21T00:00:00.000000Z", ip="10.0.0.1")
    request = ReadingsRequest(run_id="run", seq=1, readings=(reading,))
    store = BatchStore(path, max_bytes=10**6)
    store.put(request)
    store.close()
    add_to(path)
    store = BatchStore(path, max_bytes=10**6)
    assert store.put(request) == 0
    found = store.oldest()
    assert found is not None and found.request == request
    store.close()


async def test_miners_that_are_known_though_one_is_of_a_make_that_is_not(tmp_path: Path) -> None:
    path = tmp_path / "inventory.db"
    inventory = Inventory(path)
    await inventory.open()
    for number in (1, 2):
        inventory.seen(f"10.0.0.{number}", Identity(make=Make.ANTMINER), AT)
    inventory.keep_maintained(frozenset({"ip:10.0.0.1"}))
    await inventory.close()
    add_to(path)
    with closing(sqlite3.connect(path)) as db, db:
        for number, make in ((1, Make.ANTMINER.value), (2, "Novelminer")):
            blob = msgspec.json.encode(added_to({"make": make}))
            changed = db.execute(
                "UPDATE miners SET identity = ? WHERE ip = ?", (blob, f"10.0.0.{number}")
            )
            assert changed.rowcount == 1
    again = Inventory(path)
    await again.open()
    assert [each.ip for each in again.all()] == ["10.0.0.1"]
    assert again.maintained == {"ip:10.0.0.1"}
    again.seen("10.0.0.3", Identity(make=Make.WHATSMINER), AT)
    again.note_login("10.0.0.3", refused=True)
    again.keep_maintained(frozenset({"ip:10.0.0.3"}))
    await again.close()
    assert sorted(known_miners(path)) == ["10.0.0.1", "10.0.0.3"]
    with closing(sqlite3.connect(path)) as db:
        # The release that knows it is coming again, perhaps.
        assert db.execute("SELECT count(*) FROM miners").fetchone() == (3,)
        assert db.execute("SELECT key FROM maintained").fetchall() == [("ip:10.0.0.3",)]


async def test_transactions_and_the_subscriptions_that_follow_from_them(tmp_path: Path) -> None:
    path = tmp_path / "subscriptions.db"
    store = TransactionStore(path, SystemClock())
    await store.add(transaction("first", 1))
    await store.close()
    add_to(path)
    again = TransactionStore(path, SystemClock())
    assert await again.pending("local") == [transaction("first", 1)]
    await again.add(transaction("second", 2))
    await again.settle(
        [SettledTransaction("first", TransactionStatus.SUCCESS, operations=(subscribe(7),))]
    )
    await again.keep_nodes("local", {1: bytes(32)})
    await again.mirror("local", 1, [row(7), row(8)])
    await again.note("key", b"value")
    assert await again.subscriptions("local") == [row(7), row(8)]
    assert await again.noted("key") == b"value"
    assert again.mishap is None
    await again.close()


async def test_what_a_rig_runs(tmp_path: Path) -> None:
    run = ProgramRun(
        mark="m", boot_id="b", order=MiningOrder(software_name="XMRig"), started_at="now", pid=7
    )
    record = ProgramRecord(wish=None, run=run)
    RigStateFile(tmp_path).write({"XMRig": record})
    path = tmp_path / "programs.json"
    written = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({"XMRig": added_to(written["XMRig"])}))
    assert RigStateFile(tmp_path).read() == {"XMRig": record}


async def test_what_a_monitor_switched_off(tmp_path: Path) -> None:
    path = tmp_path / "rigmonitor.json"
    memory = Memory(path, SystemClock())
    await memory.open()
    await memory.keep("02:00:00:00:00:01", off=True)
    written = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({key: added_to(each) for key, each in written.items()}))
    again = Memory(path, SystemClock())
    await again.open()
    assert again.is_off("02:00:00:00:00:01")
