"""Readings on their way to the cloud: in memory while it answers, on disk, bounded, while it does not."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog

from agent.config.miners import TelemetrySection
from agent.ports import CloudError, ReadingSink
from contract.clock import Clock
from contract.link import MinerKey, MinerReading, ReadingsRequest
from service.files import make_private

log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_BACKOFF_FIRST_S: Final = 1.0
_BACKOFF_MAX_S: Final = 30.0
_KEEP_STATUS: Final = frozenset({401, 403})  # a revoked token is put right by enrolling again
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, seq INTEGER NOT NULL, readings INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT
"""


class StoredBatch(msgspec.Struct, frozen=True):
    """One batch as it lies on disk."""

    id: int
    request: ReadingsRequest


class BatchStore:
    """Batches on disk, oldest first, in SQLite. Its methods block and are called on one thread."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._db: sqlite3.Connection | None = None
        self.size_bytes = 0
        self.readings = 0

    def put(self, request: ReadingsRequest) -> int:
        """Keep a batch; gives how many readings were dropped for it (the oldest). Raises sqlite3.Error."""
        body = zlib.compress(msgspec.json.encode(request.readings), 1)
        db, dropped = self._open(), 0
        with db:
            while self.size_bytes + len(body) > self._max_bytes:
                row = db.execute(
                    "SELECT id, length(body), readings FROM batches ORDER BY id LIMIT 1"
                ).fetchone()
                if row is None:
                    break
                db.execute("DELETE FROM batches WHERE id = ?", (row[0],))
                self.size_bytes -= row[1]
                self.readings -= row[2]
                dropped += row[2]
            db.execute(
                "INSERT INTO batches (run_id, seq, readings, body) VALUES (?, ?, ?, ?)",
                (request.run_id, request.seq, len(request.readings), body),
            )
        self.size_bytes += len(body)
        self.readings += len(request.readings)
        return dropped

    def oldest(self) -> StoredBatch | None:
        """The next batch to send. One that cannot be read any more is dropped. Raises sqlite3.Error."""
        db = self._open()
        while True:
            row = db.execute(
                "SELECT id, run_id, seq, body FROM batches ORDER BY id LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            try:
                readings = msgspec.json.decode(
                    zlib.decompress(row[3]), type=tuple[MinerReading, ...]
                )
            except (zlib.error, msgspec.DecodeError) as error:
                log.warning("buffer.damaged_batch", error=str(error))
                self.remove(row[0])
                continue
            return StoredBatch(
                row[0], ReadingsRequest(run_id=row[1], seq=row[2], readings=readings)
            )

    def remove(self, batch_id: int) -> None:
        """The cloud has it. Raises sqlite3.Error."""
        db = self._open()
        with db:
            row = db.execute(
                "DELETE FROM batches WHERE id = ? RETURNING length(body), readings", (batch_id,)
            ).fetchone()
        if row is not None:
            self.size_bytes -= row[0]
            self.readings -= row[1]

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            try:
                self._db = self._connect()
            except sqlite3.DatabaseError as error:
                if not self._path.exists() or isinstance(error, sqlite3.OperationalError):
                    raise
                log.warning("buffer.damaged", path=str(self._path), error=str(error))
                self._path.replace(self._path.with_suffix(".damaged"))
                self._db = self._connect()
        return self._db

    def _connect(self) -> sqlite3.Connection:
        make_private(self._path)
        db = sqlite3.connect(self._path, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            # Readings may lose their last moments; tasks may not.
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(_SCHEMA)
            self.size_bytes, self.readings = db.execute(
                "SELECT coalesce(sum(length(body)), 0), coalesce(sum(readings), 0) FROM batches"
            ).fetchone()
        except sqlite3.Error:
            db.close()
            raise
        return db


class ReadingBuffer:
    """Takes readings from whoever looks, sends them in batches, and loses nothing while the disk has room.

    Each batch keeps its (run_id, seq) for good, so that one sent twice counts once.
    """

    def __init__(
        self,
        sink: ReadingSink,
        store: BatchStore | None,
        section: TelemetrySection,
        clock: Clock,
        *,
        run_id: str,
        on_keys: Callable[[tuple[MinerKey, ...]], None] = lambda _keys: None,
        on_reading: Callable[[MinerReading], None] = lambda _reading: None,
        rng: random.Random | None = None,
    ) -> None:
        """`store` absent: memory only. `on_keys` gets the ids the cloud gave to miners, `on_reading` every reading as
        it comes in: whoever else is to know of it.
        """
        self._sink = sink
        self._store = store
        self._section = section
        self._clock = clock
        self._run_id = run_id
        self._on_keys = on_keys
        self._on_reading = on_reading
        self._rng = rng or random.Random()
        self._seq = 0
        self._in_flight: ReadingsRequest | None = None
        self._pending: deque[MinerReading] = deque()
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stored = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="buffer")
        self._sent_idle = asyncio.Event()
        self._sent_idle.set()
        self.dropped = 0  # readings lost for want of room, or refused by the cloud
        self.sent = 0
        self.state = "ok"  # or why the cloud does not take readings now
        if store is not None:
            self._stored.set()  # an earlier run may have left something

    @property
    def depth(self) -> int:
        """Readings the cloud does not have yet."""
        in_flight = len(self._in_flight.readings) if self._in_flight else 0
        return in_flight + len(self._pending) + (self._store.readings if self._store else 0)

    def add(self, reading: MinerReading, *, urgent: bool = False) -> None:
        """Take one reading; `urgent` ones do not wait for company."""
        self._on_reading(reading)
        if len(self._pending) >= self._section.memory_max:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append(reading)
        self._news.set()
        self._sent_idle.clear()
        if urgent or len(self._pending) >= self._section.batch_max:
            self._hurry.set()

    async def drained(self) -> None:
        """Wait until everything given so far was sent, stored or dropped."""
        await self._sent_idle.wait()

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_new(), name="buffer-new")
            if self._store is not None:
                group.create_task(self._send_stored(self._store), name="buffer-stored")

    async def close(self) -> None:
        """Put what was not sent on disk. To be called after `run` ended."""
        if self._store is not None:
            left = [self._in_flight] if self._in_flight else []
            while self._pending:
                left.append(self._take(self._section.batch_max))
            for request in left:
                if not await self._keep(request):
                    self.dropped += len(request.readings)
            await self._off_loop(self._store.close)
        self._thread.shutdown()

    async def _send_new(self) -> None:
        while True:
            if not self._pending:
                self._sent_idle.set()
            await self._news.wait()
            await self._gather_company()
            self._in_flight = request = self._take(self._section.batch_max)
            failures = 0
            while not await self._deliver(request):
                failures += 1
                await self._clock.sleep(self._backoff_s(failures))
            self._in_flight = None

    async def _deliver(self, request: ReadingsRequest) -> bool:
        if self._store is not None and self._stored.is_set():
            # behind what already waits, so that order is kept; past it when the disk is the trouble
            return await self._keep(request) or await self._send(request)
        return await self._send(request) or await self._keep(request)

    async def _gather_company(self) -> None:
        try:
            async with asyncio.timeout(self._section.batch_wait_s):
                await self._hurry.wait()
        except TimeoutError:
            pass
        self._hurry.clear()

    async def _send_stored(self, store: BatchStore) -> None:
        failures = 0
        while True:
            await self._stored.wait()
            try:
                batch = await self._off_loop(store.oldest)
                if batch is None:
                    self._stored.clear()
                    continue
                if await self._send(batch.request):
                    await self._off_loop(store.remove, batch.id)
                    failures = 0
                    continue
            except (sqlite3.Error, OSError) as error:
                await self._disk_trouble(error)
            failures += 1
            await self._clock.sleep(self._backoff_s(failures))

    async def _send(self, request: ReadingsRequest) -> bool:
        """Whether the batch is dealt with: taken, or refused in a way that asking again cannot mend."""
        try:
            reply = await self._sink.push(request)
        except CloudError as error:
            if error.retry or error.status in _KEEP_STATUS:
                if self.state == "ok":
                    log.warning("buffer.cloud_away", error=str(error))
                self.state = str(error)
                return False
            log.error("buffer.refused", error=str(error), readings=len(request.readings))
            self.dropped += len(request.readings)
            return True
        if self.state != "ok":
            log.info("buffer.cloud_back", depth=self.depth)
        self.state = "ok"
        self.sent += len(request.readings)
        self._on_keys(reply.miners)
        return True

    async def _keep(self, request: ReadingsRequest) -> bool:
        """Whether the batch is on disk now."""
        if self._store is None:
            return False
        try:
            dropped = await self._off_loop(self._store.put, request)
        except (sqlite3.Error, OSError) as error:
            await self._disk_trouble(error)
            return False
        self.dropped += dropped
        self._stored.set()
        return True

    async def _disk_trouble(self, error: Exception) -> None:
        log.error(
            "buffer.disk", error=str(error), fix="free space or make the state folder writable"
        )
        if self._store is not None:
            # Opened afresh next time, in case the file was replaced.
            await self._off_loop(self._store.close)

    def _take(self, count: int) -> ReadingsRequest:
        readings = tuple(self._pending.popleft() for _ in range(min(count, len(self._pending))))
        if not self._pending:
            self._news.clear()
        self._seq += 1
        return ReadingsRequest(run_id=self._run_id, seq=self._seq, readings=readings)

    def _backoff_s(self, failures: int) -> float:
        return self._rng.uniform(
            0.0, min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2.0 ** min(failures, 16))
        )

    async def _off_loop(self, work: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)
