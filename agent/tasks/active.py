"""A task while this process works on it: its journal row, and what is only known here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from agent.journal import TaskRecord
from agent.journal.settlement import Settlement
from agent.journal.states import IllegalMoveError, State
from agent.limits.slots import PowerTurn
from agent.tasks.tasklog import TaskLog
from contract.clock import Clock
from contract.errors import ExpiredError
from contract.link import MinerRef
from contract.task import SPECS, Kind, Params, TaskName


class Phase(StrEnum):
    """What is being done for a task now, whatever its row in the journal says."""

    WORKING = "working"  # queued, or looking at its miner
    WAITING = "waiting"  # for something that others hold: its limit stands still
    SENDING = "sending"  # in an exchange that may change its miner
    REVOKED = "revoked"  # over its limit: nothing more may be sent for it
    SETTLING = "settling"  # its end is being written


PHASES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.WORKING: frozenset({Phase.WAITING, Phase.SENDING, Phase.REVOKED, Phase.SETTLING}),
    Phase.WAITING: frozenset({Phase.WORKING, Phase.REVOKED, Phase.SETTLING}),
    Phase.SENDING: frozenset({Phase.WORKING, Phase.REVOKED, Phase.SETTLING}),
    Phase.REVOKED: frozenset({Phase.SETTLING}),
    Phase.SETTLING: frozenset(),
}


@dataclass(slots=True, eq=False)
class ActiveTask:
    """Changed only on the loop. `record` is as it was accepted or found at start; newer facts are the fields here.

    What the cloud said of it (`cancel_requested`, `pinned`, `granted`) may come in any phase, each without the others.
    """

    record: TaskRecord
    params: Params
    log: TaskLog
    limit_s: float
    expires_mono: float
    state: State = State.ACCEPTED
    notes: dict[str, Any] = field(default_factory=dict)
    phase: Phase = field(default=Phase.WORKING, init=False)
    cancel_requested: bool = False
    pinned: bool = False  # the cloud has acknowledged its intent
    begin_id: str | None = None  # drawn at the intent of what the cloud grants
    granted: bool = False  # by the cloud, to that id
    # Its own time began to run; waiting for a lease or a turn is not its own.
    started_mono: float | None = None
    intent_mono: float | None = None
    writes: int = 0  # exchanges in which bytes of a change may have been sent
    turn: PowerTurn | None = None  # of its change; a slot that is left behind keeps it from nobody
    ended: asyncio.Future[Settlement] | None = None  # for whoever waits here on site

    @property
    def id(self) -> str:
        return self.record.task_id

    @property
    def name(self) -> TaskName:
        return TaskName(self.record.name)

    @property
    def kind(self) -> Kind:
        return SPECS[self.name].kind

    @property
    def lane(self) -> str:
        """Tasks of one lane run one after the other."""
        miner = self.record.miner
        return f"agent:{self.record.name}" if miner is None else lane_of(miner)

    @property
    def may_have_sent(self) -> bool:
        """Whether a byte of a change may have reached its miner, in this process or in one before."""
        return self.writes > 0 or (self.record.state is State.INTENT and self.kind is not Kind.LOOK)

    @property
    def needs_grant(self) -> bool:
        """Whether its first byte waits for the cloud: it happens at most once, and it was the cloud's to hand out."""
        return self.kind is Kind.ONE_SHOT and self.record.from_cloud

    @property
    def is_closed(self) -> bool:
        """Whether nothing more may be sent for it, whoever still works on it."""
        return self.phase in (Phase.REVOKED, Phase.SETTLING)

    def enter(self, phase: Phase) -> None:
        """The one place where its phase changes. Raises IllegalMoveError for a move that `PHASES` does not hold."""
        if phase not in PHASES[self.phase]:
            raise IllegalMoveError(f"a task may not go from {self.phase} to {phase}")
        self.phase = phase

    @contextmanager
    def during(self, phase: Phase) -> Iterator[None]:
        """In this phase while inside, unless it is revoked or settled meanwhile. Raises ExpiredError where it is so
        already: who works on it may be told late, or not heed it.
        """
        if self.is_closed:
            raise ExpiredError(
                "Its execution limit passed before all of it was sent."
                if self.may_have_sent
                else "Its execution limit passed before anything was sent. Try again."
            )
        self.enter(phase)
        try:
            yield
        finally:
            if self.phase is phase:
                self.enter(Phase.WORKING)

    @contextmanager
    def waiting(self, clock: Clock) -> Iterator[None]:
        """While it waits for others, none of its own time passes."""
        began_mono = clock.mono()
        try:
            with self.during(Phase.WAITING):
                yield
        finally:
            waited_s = clock.mono() - began_mono
            if self.started_mono is not None:
                self.started_mono += waited_s
            if self.intent_mono is not None:
                self.intent_mono += waited_s

    def over(self, now_mono: float) -> bool:
        """Whether its execution limit is past: counted from intent, before that from its start."""
        since = self.intent_mono if self.intent_mono is not None else self.started_mono
        if self.phase is Phase.WAITING:
            return False
        return since is not None and now_mono - since > self.limit_s


def lane_of(miner: MinerRef) -> str:
    """By which the tasks of one miner are kept in a row."""
    return miner.mac or miner.id
