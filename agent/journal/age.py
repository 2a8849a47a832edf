"""The journal's own time, by which it forgets.

No step of the wall clock may make it forget: of a task it has forgotten it can neither say what became of it, nor
that it was carried out already.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from agent.journal.migrations import KEEPS_TIME
from agent.journal.schema import schema_of
from contract.clock import BootTime

_WRITE_EVERY_S: Final = 600.0  # what is lost of it with the host only keeps rows for longer


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Its time at a moment of the host's boot clock."""

    age_s: float
    at: BootTime


def age_s(db: sqlite3.Connection, now: BootTime) -> float:
    """Seconds that have passed for this journal, as far as the host has counted them: also those in which the agent was
    down, but not those in which the host was. No clock on the wall moves it. 0 until rows keep any of it.
    """
    if schema_of(db) < KEEPS_TIME:
        return 0.0
    row = db.execute("SELECT value FROM meta WHERE key = 'age'").fetchone()
    mark = _Mark(age_s=0.0, at=now) if row is None else msgspec.json.decode(row[0], type=_Mark)
    passed_s = now.since(mark.at)
    age = mark.age_s + (passed_s or 0.0)
    if row is None or passed_s is None or passed_s >= _WRITE_EVERY_S:
        text = msgspec.json.encode(_Mark(age_s=age, at=now)).decode()
        db.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('age', ?)", (text,))
    return age
