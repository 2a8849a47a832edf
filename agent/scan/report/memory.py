"""What is kept of scans through a restart: who was where when they ended, and how far a cut one had come. A
convenience: a file that cannot be read or written costs only that.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec
import structlog

from agent.host.databases import reading_of
from agent.journal.disk import is_damage
from agent.ports import FoundMiner, OtherAddresses
from agent.scan.report.last import LastScan, SeenMiner
from contract.clock import from_text, to_text
from contract.link import NamedRange
from contract.ranges import Range, address_of, merge, number_of
from service.files import make_private

log = structlog.get_logger(__name__)
_T = TypeVar("_T")
RESUME_S: Final = 3600.0  # what was said of an address is not taken for true any longer than that
_SCANS_MOST: Final = 64  # that are remembered to have ended
_CUT_MOST: Final = 8  # that can be gone on with
_SEEN_MOST: Final = 200_000  # miners
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS ended (id INTEGER PRIMARY KEY, spans BLOB NOT NULL, at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS seen (
    number INTEGER PRIMARY KEY, mac TEXT, make TEXT, model TEXT, at TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS seen_mac ON seen (mac);
CREATE TABLE IF NOT EXISTS cut (
    key TEXT PRIMARY KEY, plan BLOB NOT NULL, addresses BLOB NOT NULL, sayings BLOB NOT NULL, rows BLOB NOT NULL,
    seconds REAL NOT NULL, at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS named (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, range TEXT NOT NULL, auto_scan INTEGER NOT NULL
) STRICT;
"""


class ScanRows(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of a scan that have a row of their own, and which of the miners were new."""

    miners: tuple[FoundMiner, ...] = ()
    others: tuple[OtherAddresses, ...] = ()
    new: tuple[str, ...] = ()


class CutScan(msgspec.Struct, frozen=True, kw_only=True):
    """How far a scan has come. `plan`: what it is a scan of, to be compared; `addresses` and `sayings` as `Verdicts`
    dumps them.
    """

    plan: bytes
    addresses: bytes
    sayings: bytes
    rows: ScanRows
    seconds: float
    at: datetime


class ScanMemory:
    """All of it in one file. Every method waits for its disk on a thread, and never raises for it."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """`None` keeps nothing. `read_only`: the file belongs to another process."""
        self._path = path
        self._read_only = read_only
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scans")
        self._db: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        await self._off_loop(self._open)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._off_loop(self._close)
        self._thread.shutdown(wait=False)

    async def last(self, spans: tuple[Range, ...]) -> LastScan:
        """Who was met at these addresses; of `elsewhere` nothing yet."""
        nothing = LastScan(ended_at=None, seen={}, elsewhere={})
        return await self._asked(lambda db: _last(db, spans), nothing)

    async def places(self, macs: Iterable[str]) -> dict[str, str]:
        """Where miners of these MACs were met last, by MAC."""
        wanted = tuple(macs)
        return await self._asked(lambda db: _places(db, wanted), {})

    async def end(
        self,
        key: str | None,
        spans: tuple[Range, ...],
        found: Iterable[FoundMiner],
        gone: Iterable[str],
        at: datetime,
    ) -> None:
        """A scan has looked at all of these: keep who was there; nobody is at the addresses `gone`."""
        rows = [
            (number_of(each.ip), each.mac, each.make, each.model, to_text(at)) for each in found
        ]
        numbers = [(number_of(ip),) for ip in gone]
        await self._written(lambda db: _end(db, key, spans, rows, numbers, to_text(at)))

    async def cut(self, key: str, plan: bytes, now: datetime) -> CutScan | None:
        """How far the scan of this key had come, if it was one of that plan, and lately."""
        return await self._asked(lambda db: _cut(db, key, plan, now), None)

    async def keep(self, key: str, scan: CutScan) -> None:
        """So far it has come by now."""
        await self._written(lambda db: _keep(db, key, scan))

    async def drop(self, key: str) -> None:
        """The scan of this key is not to be gone on with."""
        await self._written(lambda db: db.execute("DELETE FROM cut WHERE key = ?", (key,)))

    async def named(self) -> tuple[NamedRange, ...]:
        """The ranges that had a name in the cloud when it told last."""
        return await self._asked(_named, ())

    async def keep_named(self, named: Iterable[NamedRange]) -> None:
        rows = [(each.name, each.id, each.range, each.auto_scan) for each in named]
        await self._written(lambda db: _keep_named(db, rows))

    # --- the file ---

    async def _asked(self, question: Callable[[sqlite3.Connection], _T], nothing: _T) -> _T:
        def ask() -> _T:
            if self._db is None:
                return nothing
            try:
                return question(self._db)
            except (sqlite3.Error, msgspec.DecodeError, ValueError) as error:
                log.warning("scans.not_read", error=str(error))
                self._renew_if_damaged(error)
                return nothing

        return await self._off_loop(ask)

    async def _written(self, work: Callable[[sqlite3.Connection], object]) -> None:
        def write() -> None:
            if self._db is None or self._read_only:
                return
            try:
                with self._db:
                    work(self._db)
            except sqlite3.Error as error:
                log.warning("scans.not_written", error=str(error))
                self._renew_if_damaged(error)

        await self._off_loop(write)

    async def _off_loop(self, work: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _open(self) -> None:
        if self._path is None:
            return
        try:
            self._db = self._opened(self._path)
        except (sqlite3.DatabaseError, OSError) as error:
            if self._read_only:
                return
            self._renew(self._path, error)

    def _renew_if_damaged(self, error: Exception) -> None:
        """A page that cannot be read may be met long after the file was opened, and again after each start."""
        if self._path is not None and not self._read_only and is_damage(error):
            self._close()
            self._renew(self._path, error)

    def _renew(self, path: Path, error: Exception) -> None:
        """Put the file aside, and begin another one."""
        log.warning("scans.damaged", path=str(path), error=str(error))
        try:
            path.replace(path.with_suffix(".damaged"))
            for suffix in ("-wal", "-shm"):  # which would be taken for the new one's
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = self._opened(path)
        except (sqlite3.DatabaseError, OSError) as again:
            log.error("scans.off", path=str(path), error=str(again))

    def _opened(self, path: Path) -> sqlite3.Connection:
        if self._read_only:
            uri = f"{path.absolute().as_uri()}?mode=ro"
            return sqlite3.connect(uri, uri=True, timeout=5, check_same_thread=False)
        make_private(path)
        db = sqlite3.connect(path, timeout=5, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_SCHEMA)
        except sqlite3.Error:
            db.close()  # now: later it would take away the companions of the next one
            raise
        return db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None


def named_ranges(path: Path) -> tuple[NamedRange, ...]:
    """Those of the cloud, by the file of a daemon that may be running. Nothing there, or not readable: none."""
    try:
        with reading_of(path) as db:
            return _named(db)
    except sqlite3.Error:
        return ()


def _last(db: sqlite3.Connection, spans: tuple[Range, ...]) -> LastScan:
    ended_at = None
    for blob, at in db.execute("SELECT spans, at FROM ended ORDER BY id DESC"):
        looked = msgspec.json.decode(blob, type=tuple[Range, ...])
        if all(
            any(a.first <= each.first and each.last <= a.last for a in looked) for each in spans
        ):
            ended_at = str(at)
            break
    seen = {
        ip: SeenMiner(ip=ip, mac=mac, make=make, model=model)
        for span in spans
        for number, mac, make, model in db.execute(
            "SELECT number, mac, make, model FROM seen WHERE number BETWEEN ? AND ?",
            (span.first, span.last),
        )
        if (ip := address_of(number))
    }
    return LastScan(ended_at=ended_at, seen=seen, elsewhere={})


def _places(db: sqlite3.Connection, macs: tuple[str, ...]) -> dict[str, str]:
    places = {}
    for mac in macs:
        row = db.execute(
            "SELECT number FROM seen WHERE mac = ? ORDER BY at DESC LIMIT 1", (mac,)
        ).fetchone()
        if row is not None:
            places[mac] = address_of(row[0])
    return places


def _end(
    db: sqlite3.Connection,
    key: str | None,
    spans: tuple[Range, ...],
    rows: list[tuple[Any, ...]],
    gone: list[tuple[int]],
    at: str,
) -> None:
    db.execute("DELETE FROM cut WHERE key = ?", (key,))
    db.executemany("DELETE FROM seen WHERE number = ?", gone)
    db.executemany(
        "INSERT OR REPLACE INTO seen (number, mac, make, model, at) VALUES (?, ?, ?, ?, ?)", rows
    )
    db.execute(
        "DELETE FROM seen WHERE number IN (SELECT number FROM seen ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (_SEEN_MOST,),
    )
    db.execute("DELETE FROM ended WHERE spans = ?", (blob := msgspec.json.encode(merge(spans)),))
    db.execute("INSERT INTO ended (spans, at) VALUES (?, ?)", (blob, at))
    db.execute(
        "DELETE FROM ended WHERE id IN (SELECT id FROM ended ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (_SCANS_MOST,),
    )


def _cut(db: sqlite3.Connection, key: str, plan: bytes, now: datetime) -> CutScan | None:
    row = db.execute(
        "SELECT plan, addresses, sayings, rows, seconds, at FROM cut WHERE key = ?", (key,)
    ).fetchone()
    if row is None or row[0] != plan:
        return None
    at = from_text(row[5])
    # A clock that was set back says nothing of how long ago it was.
    if not timedelta(0) <= now - at <= timedelta(seconds=RESUME_S):
        return None
    return CutScan(
        plan=plan,
        addresses=row[1],
        sayings=row[2],
        rows=msgspec.json.decode(row[3], type=ScanRows),
        seconds=row[4],
        at=at,
    )


def _keep(db: sqlite3.Connection, key: str, scan: CutScan) -> None:
    rows = msgspec.json.encode(scan.rows)
    db.execute(
        "INSERT OR REPLACE INTO cut (key, plan, addresses, sayings, rows, seconds, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (key, scan.plan, scan.addresses, scan.sayings, rows, scan.seconds, to_text(scan.at)),
    )
    db.execute(
        "DELETE FROM cut WHERE key IN (SELECT key FROM cut ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (_CUT_MOST,),
    )


def _named(db: sqlite3.Connection) -> tuple[NamedRange, ...]:
    rows = db.execute("SELECT id, name, range, auto_scan FROM named ORDER BY name")
    return tuple(
        NamedRange(id=key, name=name, range=text, auto_scan=bool(auto))
        for key, name, text, auto in rows
    )


def _keep_named(db: sqlite3.Connection, rows: list[tuple[str, str, str, bool]]) -> None:
    db.execute("DELETE FROM named")
    db.executemany(
        "INSERT OR REPLACE INTO named (name, id, range, auto_scan) VALUES (?, ?, ?, ?)", rows
    )
