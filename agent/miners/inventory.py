"""The miners this agent knows, kept through a restart. A convenience, not a proof: it is written behind."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import structlog

from agent.miners.known import (
    awake_modes,
    identity_in,
    login_refused,
    maintained_miners,
    seen_cards,
    set_percents,
)
from agent.ports import AwakeMode
from contract.clock import to_text
from contract.link import MinerKey
from contract.miner import Identity, PowerMode
from drivers.base import SetPercent
from drivers.rig.reading.cards import SeenCard
from service.files import make_private

log = structlog.get_logger(__name__)
_T = TypeVar("_T")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS miners (
    key TEXT PRIMARY KEY, ip TEXT NOT NULL, miner_id TEXT, identity BLOB NOT NULL,
    first_seen_at TEXT NOT NULL, last_seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login_refused (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS awake_modes (
    key TEXT PRIMARY KEY, mode TEXT NOT NULL, seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cards (key TEXT PRIMARY KEY, cards BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS set_percents (
    key TEXT PRIMARY KEY, percent INTEGER NOT NULL, seen_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS maintained (key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
# Each names its columns: a later version that was gone back from may have added others.
_PUT_MINER: Final = (
    "INSERT OR REPLACE INTO miners (key, ip, miner_id, identity, first_seen_at, last_seen_at) "
    "VALUES (?, ?, ?, ?, ?, ?)"
)
_PUT_MODE: Final = "INSERT OR REPLACE INTO awake_modes (key, mode, seen_at) VALUES (?, ?, ?)"
_PUT_CARDS: Final = "INSERT OR REPLACE INTO cards (key, cards) VALUES (?, ?)"
_PUT_PERCENT: Final = "INSERT OR REPLACE INTO set_percents (key, percent, seen_at) VALUES (?, ?, ?)"


class MinerRecord(msgspec.Struct, kw_only=True):
    """One known miner. `key` is its MAC, or `ip:<address>` for one that never told it, or that tells one which another
    device has.
    """

    key: str
    ip: str
    identity: Identity
    first_seen_at: str
    last_seen_at: str
    miner_id: str | None = None


def key_of(mac: str | None, ip: str) -> str:
    """What a miner is known by here."""
    return mac or f"ip:{ip}"


class Inventory:
    """All records in memory; what changed is written by `flush`, off the loop.

    A damaged or unwritable file costs only the memory over a restart, so it is logged and moved aside
    rather than stopping the agent.
    """

    def __init__(self, path: Path | None) -> None:
        """`None` keeps nothing on disk."""
        self._path = path
        self._records: dict[str, MinerRecord] = {}
        self._by_ip: dict[str, str] = {}
        self._mac_by_ip: dict[str, str] = {}
        self._by_id: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._gone: set[str] = set()
        self._login_refused: set[str] = set()  # keys
        self._login_noted = False  # since the last flush
        self._awake_modes: dict[str, AwakeMode] = {}  # by key
        self._awake_noted: set[str] = set()  # since the last flush
        self._cards: dict[str, Mapping[str, SeenCard]] = {}  # of rigs, by key
        self._cards_noted: set[str] = set()  # since the last flush
        self._set_percents: dict[str, SetPercent] = {}  # by key
        self._percents_noted: set[str] = set()  # since the last flush
        self._maintained: frozenset[str] = frozenset()  # also of miners that were never seen here
        self._maintained_noted = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inventory")
        self._db: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Read what an earlier run left."""
        for record in await self._off_loop(self._load):
            self._put(record)
        if self._path is not None:
            refused = set(await self._off_loop(login_refused, self._path))
            self._login_refused = {key for ip in refused if (key := self._by_ip.get(ip))}
            self._maintained = await self._off_loop(maintained_miners, self._path)
            self._awake_modes = await self._off_loop(awake_modes, self._path)
            self._cards = await self._off_loop(seen_cards, self._path)
            self._set_percents = await self._off_loop(set_percents, self._path)

    async def close(self) -> None:
        """Write what is left and let go of the file."""
        await self.flush()
        await self._off_loop(self._close)
        self._thread.shutdown()

    def __len__(self) -> int:
        return len(self._records)

    def all(self) -> tuple[MinerRecord, ...]:
        return tuple(self._records.values())

    def by_key(self, key: str) -> MinerRecord | None:
        return self._records.get(key)

    def by_ip(self, ip: str) -> MinerRecord | None:
        """Who was last seen at this address."""
        return self._records.get(self._by_ip.get(ip, ""))

    def mac_told_at(self, ip: str) -> str | None:
        """The MAC of who told one there last, also where one that tells none was seen since."""
        return self._mac_by_ip.get(ip)

    def by_id(self, miner_id: str) -> MinerRecord | None:
        return self._records.get(self._by_id.get(miner_id, ""))

    def seen(
        self, ip: str, identity: Identity, at: datetime, *, has_twin: bool = False
    ) -> tuple[MinerRecord, bool]:
        """Note that this miner answered at this address. Gives its record, and whether it is new.

        `has_twin`: its MAC is shown elsewhere, too. Then whoever was known by it stays so, and this one is known by its
        address.
        """
        named = self._records.get(identity.mac or "")
        is_second = has_twin and named is not None and named.ip != ip
        key, now = key_of(None if is_second else identity.mac, ip), to_text(at)
        old = self._records.get(key)
        provisional = self._records.get(key_of(None, ip))
        if key == identity.mac and provisional is not None:
            # It has told its MAC by now, or is the only one to tell it.
            self.forget(provisional.key)
        record = MinerRecord(
            key=key,
            ip=ip,
            identity=identity,
            first_seen_at=old.first_seen_at if old else now,
            last_seen_at=now,
            miner_id=old.miner_id if old else None,
        )
        self._put(record)
        self._dirty.add(key)
        return record, old is None and provisional is None and not is_second

    def learn(
        self, known: Mapping[str, Identity], modes: Mapping[str, AwakeMode], at: datetime
    ) -> None:
        """Take over who is at which address and how they hash, as `known_miners` and `awake_modes` give it."""
        for ip, identity in known.items():
            self.seen(ip, identity, at, has_twin=True)
        self._awake_modes |= modes

    def forget(self, key: str) -> None:
        """Drop one record."""
        record = self._records.pop(key, None)
        if record is None:
            return
        self._leave(record)
        if (mac := self._mac_by_ip.get(record.ip)) is not None:
            self._by_ip.setdefault(record.ip, mac)
        if record.miner_id and self._by_id.get(record.miner_id) == key:
            del self._by_id[record.miner_id]
        self._dirty.discard(key)
        self._gone.add(key)
        self._awake_modes.pop(key, None)
        self._cards.pop(key, None)
        self._set_percents.pop(key, None)
        self._note(key, refused=False)

    def note_login(self, ip: str, *, refused: bool) -> None:
        """Keep whether the miner at this address refuses our login, for whoever asks the file."""
        if (key := self._by_ip.get(ip)) is not None:
            self._note(key, refused=refused)

    def awake_mode(self, key: str) -> AwakeMode | None:
        """In which mode it hashes when it hashes; `None` where it was never seen to."""
        return self._awake_modes.get(key)

    def note_awake_mode(self, key: str, mode: PowerMode, at: datetime) -> None:
        """It hashes in this mode, or did until it was stopped just now."""
        known = self._awake_modes.get(key)
        if known is None or known.mode is not mode:
            self._awake_modes[key] = AwakeMode(mode=mode, seen_at=at)
            self._awake_noted.add(key)

    def cards(self, key: str) -> Mapping[str, SeenCard]:
        """The graphics cards that a rig was ever seen with, by bus id."""
        return self._cards.get(key, {})

    def note_cards(self, key: str, cards: Mapping[str, SeenCard]) -> None:
        """These are all that it was ever seen with."""
        if self.cards(key) != cards:
            self._cards[key] = dict(cards)
            self._cards_noted.add(key)

    def set_percent(self, key: str) -> SetPercent | None:
        """The percentage of power that it was set to and does not tell."""
        return self._set_percents.get(key)

    def note_set_percent(self, key: str, percent: SetPercent | None) -> None:
        """It was set to that. `None`: to none, or it was lost since."""
        if percent == self._set_percents.get(key):
            return
        if percent is None:
            del self._set_percents[key]
        else:
            self._set_percents[key] = percent
        self._percents_noted.add(key)

    @property
    def maintained(self) -> frozenset[str]:
        """The miners in maintenance, by MAC or `ip:ADDRESS`, as kept last."""
        return self._maintained

    def keep_maintained(self, keys: frozenset[str]) -> None:
        """Keep which miners are in maintenance: a cloud that is away after a restart cannot tell."""
        if keys != self._maintained:
            self._maintained, self._maintained_noted = keys, True

    def learn_ids(self, keys: Iterable[MinerKey]) -> None:
        """Keep the ids the cloud gave."""
        for each in keys:
            record = self._records.get(key_of(None, each.ip))
            if record is None or record.identity.mac != each.mac:
                record = self._records.get(key_of(each.mac, each.ip))
            if record is not None and record.miner_id != each.id:
                self._take_id(each.id)
                if record.miner_id is not None:
                    self._by_id.pop(
                        record.miner_id, None
                    )  # no order for that one is for this device
                record.miner_id = each.id
                self._by_id[each.id] = record.key
                self._dirty.add(record.key)

    def _take_id(self, miner_id: str) -> None:
        """From the one that had it: it has another control board now, and the id stays with the miner."""
        if (before := self.by_id(miner_id)) is not None:
            before.miner_id = None
            self._dirty.add(before.key)

    async def flush(self) -> None:
        """Write what changed since the last time, in one transaction."""
        noted = (
            self._login_noted
            or self._awake_noted
            or self._percents_noted
            or self._cards_noted
            or self._maintained_noted
        )
        if not self._dirty and not self._gone and not noted:
            return
        rows = [
            (
                r.key,
                r.ip,
                r.miner_id,
                msgspec.json.encode(r.identity),
                r.first_seen_at,
                r.last_seen_at,
            )
            for r in (self._records[key] for key in self._dirty)
        ]
        gone = [(key,) for key in self._gone]
        refused = [(key,) for key in self._login_refused]
        noted_modes, notes_maintained = set(self._awake_noted), self._maintained_noted
        awake = [
            (key, each.mode.value, to_text(each.seen_at))
            for key in noted_modes
            if (each := self._awake_modes.get(key))
        ]
        noted_percents = set(self._percents_noted)
        percents = [
            (key, found.percent, to_text(found.seen_at))
            for key in noted_percents
            if (found := self._set_percents.get(key))
        ]
        lost = [(key,) for key in noted_percents if key not in self._set_percents]
        maintained = [(key,) for key in self._maintained] if notes_maintained else None
        noted_cards = set(self._cards_noted)
        cards = [
            (key, msgspec.json.encode(self._cards[key]))
            for key in noted_cards
            if key in self._cards
        ]
        self._dirty.clear()
        self._gone.clear()
        self._login_noted = self._maintained_noted = False
        self._awake_noted.clear()
        self._percents_noted.clear()
        self._cards_noted.clear()
        if not await self._off_loop(
            self._save, rows, gone, refused, awake, (lost, percents), cards, maintained
        ):
            # These may not change for months: they are tried again.
            self._awake_noted |= noted_modes
            self._percents_noted |= noted_percents
            self._cards_noted |= noted_cards
            self._maintained_noted |= notes_maintained

    def _note(self, key: str, *, refused: bool) -> None:
        if refused == (key in self._login_refused):
            return
        (self._login_refused.add if refused else self._login_refused.discard)(key)
        self._login_noted = True

    def _leave(self, record: MinerRecord) -> None:
        """It is not at its address any more, or not known by its key."""
        for keys in (self._by_ip, self._mac_by_ip):
            if keys.get(record.ip) == record.key:
                del keys[record.ip]

    def _put(self, record: MinerRecord) -> None:
        before = self._records.get(record.key)
        if before is not None:
            self._leave(before)
        self._records[record.key] = record
        self._by_ip[record.ip] = record.key
        if record.key == record.identity.mac:
            self._mac_by_ip[record.ip] = record.key
        if record.miner_id:
            self._by_id[record.miner_id] = record.key

    async def _off_loop(self, work: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _load(self) -> list[MinerRecord]:
        if self._path is None:
            return []
        try:
            return self._read_all(self._path)
        except (sqlite3.DatabaseError, OSError) as error:
            log.warning("inventory.damaged", path=str(self._path), error=str(error))
            self._close()
        try:
            self._path.replace(self._path.with_suffix(".damaged"))
            return self._read_all(self._path)
        except (sqlite3.DatabaseError, OSError) as error:
            log.error("inventory.off", path=str(self._path), error=str(error))
            self._close()
            return []

    def _read_all(self, path: Path) -> list[MinerRecord]:
        make_private(path)
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        rows = self._db.execute(
            "SELECT key, ip, miner_id, identity, first_seen_at, last_seen_at FROM miners ORDER BY last_seen_at"
        )
        return [
            MinerRecord(
                key=key,
                ip=ip,
                miner_id=miner_id,
                identity=identity,
                first_seen_at=first,
                last_seen_at=last,
            )
            for key, ip, miner_id, blob, first, last in rows
            if (identity := identity_in(key, blob)) is not None
        ]

    def _save(
        self,
        rows: list[tuple[object, ...]],
        gone: list[tuple[str]],
        refused: list[tuple[str]],
        awake: list[tuple[str, str, str]],
        percents: tuple[list[tuple[str]], list[tuple[str, int, str]]],
        cards: list[tuple[str, bytes]],
        maintained: list[tuple[str]] | None,
    ) -> bool:
        """Whether that was written, or is kept nowhere. `percents`: of whom there is none any more, and the others."""
        if self._db is None:
            return True
        try:
            with self._db:
                self._db.executemany("DELETE FROM miners WHERE key = ?", gone)
                self._db.executemany(_PUT_MINER, rows)
                self._db.execute("DELETE FROM login_refused")  # few, or else all of one farm once
                self._db.executemany("INSERT INTO login_refused (key) VALUES (?)", refused)
                self._db.executemany("DELETE FROM awake_modes WHERE key = ?", gone)
                self._db.executemany(_PUT_MODE, awake)
                self._db.executemany("DELETE FROM cards WHERE key = ?", gone)
                self._db.executemany(_PUT_CARDS, cards)
                lost, kept = percents
                self._db.executemany("DELETE FROM set_percents WHERE key = ?", gone + lost)
                self._db.executemany(_PUT_PERCENT, kept)
                if maintained is not None:
                    self._db.execute("DELETE FROM maintained")
                    self._db.executemany("INSERT INTO maintained (key) VALUES (?)", maintained)
        except sqlite3.Error as error:
            # the records are still in memory and are written whenever they next change
            log.warning("inventory.not_written", error=str(error), rows=len(rows))
            return False
        return True

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
