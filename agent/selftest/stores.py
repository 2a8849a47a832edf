"""Each store of the agent, in a copy: opened as this release opens it, brought forward, and read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from agent.host.databases import file_trouble, reading_of
from agent.journal import Arrival, Journal, JournalVersionError, StepAck, TaskRecord
from agent.journal.disk import is_damage
from agent.journal.outbox import read_outbox
from agent.journal.record import from_row
from agent.journal.schema import open_database, schema_of
from agent.journal.settlement import failed
from agent.journal.states import State
from agent.miners.inventory import Inventory
from agent.scan.report.memory import ScanMemory
from agent.selftest.copies import copy_start, copy_whole, size_of
from agent.selftest.failure import CheckFailedError
from agent.subscriptions.store import TransactionStore
from agent.telemetry.buffer import BatchStore
from contract.clock import Clock
from contract.errors import ErrorCode, StorageFullError
from contract.task import TaskName
from service.install.own import is_here_to_stay

_TURN_S: Final = 20.0
_BATCHES: Final = 20  # of readings that wait: the buffer may be as large as its bound
_BATCHES_BYTES: Final = 8 * 2**20
_NO_BOUND: Final = 2**50  # bytes
_EVENTS, _EVENT_BYTES = 1000, 2**20
_ASIDE: Final = "the agent sets it aside when it is started again"
_LEDGERS: Final = ("local", "sui")


class StoreCheck(NamedTuple):
    """A file of the state folder, how many bytes its copy may have, how it is copied, and how the copy is tried."""

    name: str
    most_bytes: int
    copy: Callable[[Path, Path], None]
    attempt: Callable[[Path, Clock], Awaitable[str]]

    @property
    def subject(self) -> str:
        return self.name.partition(".")[0]

    def size(self, state: Path) -> int:
        """Of its copy; 0 where there is none. Raises OSError."""
        return min(size_of(state / self.name), self.most_bytes)


async def try_journal(copy: Path, clock: Clock) -> str:
    """As the next start will open it, and then as it will be once this release is proven: read, and written in.
    Raises CheckFailedError.
    """
    before = await _tried(copy, clock, may_step=is_here_to_stay())
    after = await _tried(copy, clock, may_step=True)
    versions = f"version {after.version}"
    if before.version != after.version:
        versions = f"version {before.version}, and {after.version} once this release is proven"
    return f"{before.tasks} tasks are open, {before.events} events wait to be reported; {versions}"


async def try_inventory(copy: Path, _clock: Clock) -> str:
    """Raises CheckFailedError."""
    _check_sound(copy)
    inventory = Inventory(copy)
    await inventory.open()
    await inventory.close()
    return f"{len(inventory)} miners are known"


async def try_scans(copy: Path, _clock: Clock) -> str:
    """Raises CheckFailedError."""
    _check_sound(copy)
    async with ScanMemory(copy) as scans:
        named = await scans.named()
    return f"{len(named)} ranges of the cloud have a name"


async def try_buffer(copy: Path, _clock: Clock) -> str:
    """Raises CheckFailedError for readings that this release would have to drop."""
    _check_sound(copy)
    with reading_of(copy) as db:
        (held,) = db.execute("SELECT coalesce(sum(readings), 0) FROM batches").fetchone()
    store, read = BatchStore(copy, max_bytes=_NO_BOUND), 0
    try:
        while (batch := store.oldest()) is not None:
            read += len(batch.request.readings)
            store.remove(batch.id)
    finally:
        store.close()
    if read != held:
        raise CheckFailedError(
            f"of {held} readings that wait for the cloud {read} can be read: the others would be dropped"
        )
    return f"{read} of the readings that wait for the cloud were read"


async def try_subscriptions(copy: Path, clock: Clock) -> str:
    """Raises CheckFailedError."""
    _check_sound(copy)
    store = TransactionStore(copy, clock)
    try:
        pending = [each for ledger in _LEDGERS for each in await store.pending(ledger)]
    finally:
        await store.close()
    return f"{len(pending)} transactions are pending"


STORES: Final = (
    StoreCheck("journal.db", _NO_BOUND, copy_whole, try_journal),
    StoreCheck("inventory.db", _NO_BOUND, copy_whole, try_inventory),
    StoreCheck("scans.db", _NO_BOUND, copy_whole, try_scans),
    StoreCheck(
        "buffer.db",
        _BATCHES_BYTES,
        lambda store, to: copy_start(store, to, "batches", "id", _BATCHES),
        try_buffer,
    ),
    StoreCheck("subscriptions.db", _NO_BOUND, copy_whole, try_subscriptions),
)


def _check_sound(copy: Path) -> None:
    """Of what would be set aside without a word at the next start. Raises CheckFailedError."""
    trouble = file_trouble(copy)
    if trouble is not None:
        raise CheckFailedError(f"it is {trouble}; {_ASIDE}")


class _JournalLook(NamedTuple):
    version: int
    tasks: int
    events: int


async def _tried(copy: Path, clock: Clock, *, may_step: bool) -> _JournalLook:
    look = _look(copy, may_step=may_step)
    await _turn(copy, clock, f"self-test-{look.version}-{may_step}")
    return look


def _look(copy: Path, *, may_step: bool) -> _JournalLook:
    """Every task that is not over, and what is to be reported. Raises CheckFailedError."""
    try:
        db, _ = open_database(copy, may_step=may_step)
    except JournalVersionError as error:
        raise CheckFailedError(str(error)) from None
    except sqlite3.Error as error:
        if is_damage(error):
            raise CheckFailedError(f"it is damaged: {error}; {_ASIDE}") from None
        raise CheckFailedError(f"it cannot be brought forward: {error}") from None
    with closing(db):
        rows = db.execute("SELECT * FROM tasks WHERE state IN ('accepted', 'intent')").fetchall()
        unread = [row["task_id"] for row in rows if not _is_readable(row)]
        if unread:
            raise CheckFailedError(
                f"{len(unread)} of {len(rows)} open tasks cannot be read, {unread[0]} for one: wait until they are over"
            )
        events = read_outbox(db, _EVENTS, _EVENT_BYTES)
        return _JournalLook(schema_of(db), len(rows), len(events))


def _is_readable(row: sqlite3.Row) -> bool:
    try:
        from_row(row)
    except ValueError:
        return False
    return True


async def _turn(copy: Path, clock: Clock, task_id: str) -> None:
    """A task that is refused, told and forgotten about: what every task goes through. Raises CheckFailedError."""
    journal = Journal(copy, clock, ballast_bytes=0, keep_bytes=_NO_BOUND)
    at = clock.now()
    task = TaskRecord(
        task_id=task_id,
        epoch=1,
        name=TaskName.LIGHT,
        params={},
        accepted_at=at,
        expires_at=at + timedelta(hours=1),
        limit_s=1.0,
    )
    refusal = failed(ErrorCode.UNSUPPORTED, "Nobody wished for it: the journal is tried.")
    try:
        async with asyncio.timeout(_TURN_S):
            await journal.open()
            await journal.accept([Arrival(record=task, refusal=refusal)], at)
            await journal.acknowledge([StepAck(seq=journal.last_seq, epoch=1)])
            found = await journal.find(task_id)
    except (TimeoutError, StorageFullError) as error:
        raise CheckFailedError(journal.trouble or str(error) or "it takes no task") from None
    finally:
        await journal.close()
    if found is None or found.state is not State.REPORTED:
        raise CheckFailedError("a task that was written into it is not in it")
