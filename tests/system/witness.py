"""What the three witnesses say, as plain records: the simulator's ledger, the agent's journal, the cloud."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from contract.clock import from_text
from contract.task import TERMINAL


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger: something was asked of a miner, or happened to it. `t` in epoch seconds.

    Of a rig it may be one part that is meant: a program, or a card by its bus id. `by` is whose doing it was, where it
    may have been nobody's order.
    """

    t: float
    miner: str  # MAC
    ip: str
    action: str
    phase: str
    before: dict[str, Any]
    after: dict[str, Any]
    boot: int
    n: int
    program: str | None = None
    bus_id: str | None = None
    by: str | None = None

    @property
    def part(self) -> str | None:
        return self.program or self.bus_id

    @property
    def is_own(self) -> bool:
        """The miner did it by itself."""
        return self.by is not None and self.by != "order"

    @property
    def changed(self) -> bool:
        return self.phase == "applied" and self.before != self.after


class Row(msgspec.Struct, frozen=True):
    """One task in the agent's journal."""

    task_id: str
    name: str
    state: str
    params: dict[str, Any]
    mac: str | None = None
    ip: str | None = None
    status: str | None = None
    intent_t: float | None = None
    settled_t: float | None = None
    result: dict[str, Any] | None = None

    @property
    def outcome(self) -> str | None:
        return None if self.result is None else self.result.get("outcome")


class Shown(msgspec.Struct, frozen=True):
    """One task as the cloud's public API shows it."""

    task_id: str
    batch_id: str
    name: str
    status: str
    result: dict[str, Any] | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def outcome(self) -> str | None:
        return None if self.result is None else self.result.get("outcome")


class Kill(msgspec.Struct, frozen=True):
    """What lay on disk right after a process was killed at `t`: which tasks the journal knows as begun, when each was,
    and which of them had not ended.
    """

    t: float
    begun: Mapping[str, float | None]
    in_flight: frozenset[str]
    entries: int  # whole lines in the ledger


class Part(msgspec.Struct, frozen=True):
    """One task of a group, as it stands in the cloud's database."""

    task_id: str
    goes_first: bool
    handed_t: float | None
    ended_t: float | None
    proven: bool


class Group(msgspec.Struct, frozen=True):
    """Batches that were ordered as one, as they stand in the cloud's database. `ordered` is how many tasks its audit
    tells of, `counted` how many its batches do.
    """

    group_id: str
    canary: int | None
    made_t: float
    released_t: float | None
    released_by_somebody: bool
    ordered: int
    counted: int
    parts: tuple[Part, ...]


def read_ledger(path: Path) -> list[Entry]:
    """All whole lines."""
    decoder = msgspec.json.Decoder(Entry)
    lines = path.read_bytes().split(b"\n")[:-1]
    return [decoder.decode(line) for line in lines]


def read_journal(path: Path) -> list[Row]:
    """Every task of the journal, of whatever state; also of one whose agent runs or was killed."""
    with _open(path) as db:
        return [_row(each) for each in db.execute("SELECT * FROM tasks")]


def read_groups(database: Path) -> list[Group]:
    """Every group of a database that is served or was left behind by a crash."""
    with _open(database) as db:
        return [_group(db, each) for each in db.execute("SELECT * FROM task_groups")]


def _group(db: sqlite3.Connection, row: sqlite3.Row) -> Group:
    batches = db.execute("SELECT * FROM task_batches WHERE group_id = ?", [row["id"]]).fetchall()
    parts = []
    for batch in batches:
        goes_first = bool((_json(batch["metadata"]) or {}).get("canary"))
        for task in db.execute("SELECT * FROM tasks WHERE batch_id = ?", [batch["id"]]):
            result = _json(task["result"]) or {}
            parts.append(
                Part(
                    task_id=task["id"],
                    goes_first=goes_first,
                    handed_t=_stored_t(task["handed_at"]),
                    ended_t=_stored_t(task["ended_at"]),
                    proven=task["status"] == "succeed"
                    and result.get("outcome") == "done"
                    and result.get("verified") is True,
                )
            )
    told = db.execute(
        "SELECT after FROM audit WHERE target_kind = 'group' AND target_id = ? AND action = ?",
        [row["id"], row["task_name"]],
    ).fetchone()
    made_t = _stored_t(row["created_at"])
    assert made_t is not None
    return Group(
        group_id=row["id"],
        canary=row["canary"],
        made_t=made_t,
        released_t=_stored_t(row["released_at"]),
        released_by_somebody=_json(row["released_by"]) is not None,
        ordered=0 if told is None else int(_json(told["after"])["tasks"]),
        counted=sum(batch["task_count"] for batch in batches),
        parts=tuple(parts),
    )


def numbers(journal: Path, database: Path) -> tuple[int, int]:
    """The highest event number under which the agent was told that an outcome is taken, and the highest that the cloud
    has heard: the second is lower as long as a database that was put back has not been told what it lost.
    """
    with _open(journal) as db:
        (told,) = db.execute("SELECT coalesce(max(told_seq), 0) FROM tasks").fetchone()
    with _open(database) as db:
        (heard,) = db.execute("SELECT coalesce(max(last_seq), 0) FROM agents").fetchone()
    return int(told), int(heard)


def take_kill(path: Path, t: float, ledger: Path) -> Kill:
    """Read what a crash left."""
    begun: dict[str, float | None] = {}
    in_flight = set()
    if path.exists():
        with _open(path) as db:
            if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone():
                for task_id, state, intent_at in db.execute(
                    "SELECT task_id, state, intent_at FROM tasks WHERE intent_at IS NOT NULL"
                ):
                    begun[task_id] = _t(intent_at)
                    if state == "intent":
                        in_flight.add(task_id)
    return Kill(t, begun, frozenset(in_flight), ledger.read_bytes().count(b"\n"))


def shown(batch_id: str, name: str, tasks: Iterable[dict[str, Any]]) -> list[Shown]:
    """The tasks of one batch, as the API gave them."""
    return [Shown(each["id"], batch_id, name, each["status"], each.get("result")) for each in tasks]


class _open:  # noqa: N801 - reads as a verb
    """A connection that can neither write nor checkpoint."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        self._db.row_factory = sqlite3.Row

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(self, *_: object) -> None:
        self._db.close()


def _row(row: sqlite3.Row) -> Row:
    miner = {} if row["miner"] is None else msgspec.json.decode(row["miner"], type=dict[str, Any])
    result = row["result"]
    return Row(
        task_id=row["task_id"],
        name=row["name"],
        state=row["state"],
        params=msgspec.json.decode(row["params"], type=dict[str, Any]),
        mac=miner.get("mac"),
        ip=miner.get("last_ip"),
        status=row["status"],
        intent_t=_t(row["intent_at"]),
        settled_t=_t(row["settled_at"]),
        result=None if result is None else msgspec.json.decode(result, type=dict[str, Any]),
    )


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.json.decode(text)


def _stored_t(text: str | None) -> float | None:
    """Of a stamp of SQLite, which is UTC and does not say so."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _t(text: str | None) -> float | None:
    return None if text is None else from_text(text).timestamp()
