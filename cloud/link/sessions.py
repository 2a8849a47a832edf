"""What is kept of each agent in memory only: its lease, its journal, what it was told. An idle agent writes nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

from cloud.store.cloud_time import CloudTime
from cloud.store.engine import Store
from cloud.store.tasks.handed import Confirmed, newest_batch_at
from contract.clock import Clock
from contract.link import Heartbeat

_RIVALS_MAX: Final = 100
_LAG_S: Final = 60.0  # of what is stored of an agent's last word


class Line(Protocol):
    """A connection, as far as it matters here."""

    def is_closing(self) -> bool: ...


class Standing(Enum):
    """What a process that claims for an agent is to its cloud."""

    SERVED = "served"
    DOUBTED = "doubted"  # another one was served a moment ago: it is gone, or there are two
    REFUSED = "refused"  # there are two


@dataclass
class Session:
    """One agent, since this server started."""

    agent_id: str
    heard_mono: float
    heard_at: datetime
    persisted_mono: float | None = None  # when it was last written down that it lives
    beat: Heartbeat | None = None
    beat_at: datetime | None = None
    beat_written_mono: float | None = None
    health_key: object = None  # what of the last heartbeat was written down
    doubt: str | None = None  # the journal of the last claim, if it is not the one we know
    poll: int = 0  # number of the newest long poll; an older one gives way
    cancels_told: set[str] = field(default_factory=set)
    # When a task was handed out or asked for once more.
    told_mono: dict[str, float] = field(default_factory=dict)
    settings_told: int | None = None
    has_told_all: bool = False  # whatever it knows of tasks is in our database
    run_id: str | None = None  # of the process that is served
    run_mono: float = 0.0  # when it last claimed
    run_line: Line | None = None  # over which
    doubted: set[str] = field(default_factory=set)  # processes that asked while it was served
    rivals: set[str] = field(default_factory=set)  # those that live beside it
    calls: int = 0  # that are being answered
    # An agent brings what is new and what it has stored; more at once would only fill our memory.
    readings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def admit(
        self, run_id: str, line: Line | None, mono: float, *, patience_s: float, lease_s: float
    ) -> Standing:
        """Whether a claim of this process is served. One is at a time: to two with the same journal, one task would be
        given twice.

        A process that starts again is served once the one before has closed its connection or was silent for
        `patience_s`; one known to live beside the other only when that was silent for `lease_s`.
        """
        if run_id != self.run_id and self.run_id is not None:
            silent_s = mono - self.run_mono
            if run_id in self.rivals and silent_s <= lease_s:
                return Standing.REFUSED
            is_gone = self.run_line is None or self.run_line.is_closing()
            if run_id not in self.rivals and silent_s <= patience_s and not is_gone:
                _add(self.doubted, run_id)
                return Standing.DOUBTED
            _add(self.rivals, self.run_id)  # unless it is gone for good
        elif self.doubted:  # it speaks after they did
            for each in self.doubted:
                _add(self.rivals, each)
        self.doubted.clear()
        self.rivals.discard(run_id)
        self.run_id, self.run_mono, self.run_line = run_id, mono, line
        return Standing.SERVED


class Sessions:
    """All agents that were heard of. `offline_after_s` without a word makes one offline."""

    def __init__(self, clock: Clock, time: CloudTime, *, offline_after_s: float) -> None:
        self._clock = clock
        self._time = time
        self._offline_after_s = offline_after_s
        self._started_mono = clock.mono()
        self._sessions: dict[str, Session] = {}
        self._found_until: datetime | None = None

    async def look_back(self, store: Store) -> None:
        """See what stands in the database that this server begins with. Before anything is answered."""
        self._found_until = await newest_batch_at(store)

    def confirmed(self) -> Confirmed:
        """Whose tasks are known for certain."""
        told = (each.agent_id for each in self._sessions.values() if each.has_told_all)
        return Confirmed(self._found_until, frozenset(told))

    def heard(self, agent_id: str) -> Session:
        """Every call of an agent comes through here: it renews the lease."""
        session = self._sessions.get(agent_id)
        if session is None:
            session = Session(agent_id, self._clock.mono(), self._clock.now())
            self._sessions[agent_id] = session
        session.heard_mono = self._clock.mono()
        session.heard_at = self._clock.now()
        return session

    def forget(self, agent_id: str) -> None:
        """After a revocation or a new enrolment."""
        self._sessions.pop(agent_id, None)

    def is_online(self, agent_id: str, stored_s: float | None) -> bool:
        """`stored_s` is the agent's `last_online_cloud_s`, which lags up to a minute; it decides only in the first
        moments after a start of the server, when nobody had time to call yet.
        """
        mono = self._clock.mono()
        session = self._sessions.get(agent_id)
        if session is not None:
            return mono - session.heard_mono <= self._offline_after_s
        running_s = mono - self._started_mono
        if stored_s is None or running_s > self._offline_after_s:
            return False
        return self._time.now() - stored_s <= running_s + self._offline_after_s + _LAG_S

    def last_online_at(self, agent_id: str, stored_at: datetime | None) -> datetime | None:
        """The last word from it, fresher than what is stored."""
        session = self._sessions.get(agent_id)
        return session.heard_at if session else stored_at

    def last_beat(self, agent_id: str) -> tuple[Heartbeat, datetime] | None:
        """Its last heartbeat since this server started, and when it came: fresher than what is stored."""
        session = self._sessions.get(agent_id)
        if session is None or session.beat is None or session.beat_at is None:
            return None
        return session.beat, session.beat_at


def _add(known: set[str], run_id: str) -> None:
    if len(known) >= _RIVALS_MAX:
        known.clear()  # a process that restarts without end leaves one each time
    known.add(run_id)
