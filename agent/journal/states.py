"""The states of a task on its way through the agent, as a table, and Nonce's words for them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from contract.errors import ErrorCode
from contract.outcome import Outcome
from contract.task import TERMINAL, TaskStatus


class State(StrEnum):
    """Where a task stands in the journal."""

    ACCEPTED = "accepted"  # on disk, not begun
    INTENT = "intent"  # execution began: from here on something may have been sent
    SETTLED = "settled"  # its outcome is on disk, together with the report of it
    REPORTED = "reported"  # the cloud has acknowledged the outcome


MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.ACCEPTED: frozenset({State.INTENT, State.SETTLED}),  # settled at once: never begun
    State.INTENT: frozenset({State.SETTLED}),
    State.SETTLED: frozenset({State.REPORTED}),
    State.REPORTED: frozenset(),
}


class IllegalMoveError(Exception):
    """A move that the table does not hold: a bug of ours, never an event of the world."""


def check_move(before: State, after: State) -> None:
    """Raises IllegalMoveError unless a task may go from `before` to `after`."""
    if after not in MOVES[before]:
        raise IllegalMoveError(f"a task may not go from {before} to {after}")


def nonce_status(state: State, settled_as: TaskStatus | None = None) -> TaskStatus:
    """The word an operator sees. `settled_as` is the terminal status of a task that ended; ValueError without one."""
    if state is State.ACCEPTED:
        return TaskStatus.QUEUING
    if state is State.INTENT:
        return TaskStatus.PENDING
    if settled_as is None or settled_as not in TERMINAL:
        raise ValueError(f"a task in {state} ended somehow, {settled_as!r} is no end")
    return settled_as


def terminal_status(outcome: Outcome, code: ErrorCode | None) -> TaskStatus:
    """How a task ended, in Nonce's words. Cancelled and timed out are said only of what certainly did not happen."""
    if outcome is Outcome.DONE:
        return TaskStatus.SUCCEED
    if outcome is Outcome.NOT_DONE and code is ErrorCode.CANCELLED:
        return TaskStatus.CANCELLED
    if outcome is Outcome.NOT_DONE and code is ErrorCode.EXPIRED:
        return TaskStatus.TIMED_OUT
    return TaskStatus.FAILED
