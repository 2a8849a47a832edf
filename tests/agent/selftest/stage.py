"""A folder of state as an agent that ran for a while leaves it, and what a self-test says of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from agent.miners.inventory import Inventory
from agent.selftest.checks import self_test
from agent.subscriptions.store import TransactionStore
from agent.telemetry.buffer import BatchStore
from contract.clock import SystemClock
from contract.link import MinerReading, ReadingsRequest
from contract.miner import Identity, Make
from service.install.own import OwnRelease
from tests.agent.journals import AT, PLAN, accept, done, opened, record
from tests.agent.subscriptions.test_store import transaction

BATCHES = 30


async def lived_in(place: Path) -> Path:
    """Gives the config of it."""
    state = place / "state"
    state.mkdir(mode=0o700)
    config = place / "config.toml"
    config.write_text("[cloud]\nurl = 'http://127.0.0.1:9'\n[state]\ndir = 'state'\n")
    async with opened(state, SystemClock()) as journal:
        await accept(journal, record("waits"), record("begun"), record("over"))
        await journal.begin("begun", PLAN, AT)
        await journal.settle(record("over"), done(), AT)
    inventory = Inventory(state / "inventory.db")
    await inventory.open()
    inventory.seen("10.0.0.1", Identity(make=Make.ANTMINER), datetime(2026, 11, 21, tzinfo=UTC))
    await inventory.close()
    buffer = BatchStore(state / "buffer.db", max_bytes=10**6)
    reading = MinerReading(at="2026-11-21T00:00:00.000000Z", ip="10.0.0.1")
    for number in range(BATCHES):
        buffer.put(ReadingsRequest(run_id="run", seq=number, readings=(reading,) * 2))
    buffer.close()
    store = TransactionStore(state / "subscriptions.db", SystemClock())
    await store.add(transaction("pending"))
    await store.close()
    return config


async def said(config: Path, own: OwnRelease | None = None) -> dict[str, tuple[bool, str]]:
    """Each check, whether it went well, and its words."""
    found = await self_test(config, SystemClock(), own)
    assert len({each.check for each in found}) == len(found)
    assert all(each.seconds >= 0 for each in found)
    return {each.check: (each.ok, each.text) for each in found}


def content(state: Path) -> dict[str, bytes]:
    """Of every file but what SQLite lays beside one that is read, and may leave."""
    return {
        each.name: each.read_bytes() if each.is_file() else b""
        for each in state.iterdir()
        if not each.name.endswith(("-shm", "-wal"))
    }
