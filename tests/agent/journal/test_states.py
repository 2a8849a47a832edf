from __future__ import annotations

import itertools

import pytest

from agent.journal.states import (
    MOVES,
    IllegalMoveError,
    State,
    check_move,
    nonce_status,
    terminal_status,
)
from contract.errors import ErrorCode
from contract.outcome import Outcome
from contract.task import TERMINAL, TaskStatus

ALLOWED = {
    ("accepted", "intent"),
    ("accepted", "settled"),
    ("intent", "settled"),
    ("settled", "reported"),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_a_task_moves_only_as_the_table_says(before: State, after: State) -> None:
    if (before.value, after.value) in ALLOWED:
        check_move(before, after)
    else:
        with pytest.raises(IllegalMoveError):
            check_move(before, after)


def test_every_state_has_its_moves() -> None:
    assert set(MOVES) == set(State)


def test_the_words_of_the_api_follow_from_the_state() -> None:
    assert nonce_status(State.ACCEPTED) is TaskStatus.QUEUING
    assert nonce_status(State.INTENT) is TaskStatus.PENDING
    for state in (State.SETTLED, State.REPORTED):
        for status in TERMINAL:
            assert nonce_status(state, status) is status
        with pytest.raises(ValueError):
            nonce_status(state)
        with pytest.raises(ValueError):
            nonce_status(state, TaskStatus.PENDING)


def test_cancelled_and_timed_out_are_said_only_of_what_did_not_happen() -> None:
    for outcome, code in itertools.product(Outcome, [None, *ErrorCode]):
        status = terminal_status(outcome, code)
        if outcome is Outcome.DONE:
            assert status is TaskStatus.SUCCEED
        elif outcome is Outcome.UNKNOWN:
            assert status is TaskStatus.FAILED
        elif code is ErrorCode.CANCELLED:
            assert status is TaskStatus.CANCELLED
        elif code is ErrorCode.EXPIRED:
            assert status is TaskStatus.TIMED_OUT
        else:
            assert status is TaskStatus.FAILED
