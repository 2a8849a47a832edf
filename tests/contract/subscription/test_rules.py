"""The order of the checks is what a client sees: of two things that are wrong, the first is named."""

from __future__ import annotations

import pytest

from contract.subscription.rules import (
    ABORT_TEXTS,
    Abi,
    Abort,
    Book,
    LedgerOperation,
    OperationKind,
    Terms,
    applied,
    judge,
)

REGISTER, SUBSCRIBE, UPDATE, UNSUBSCRIBE, VOID = OperationKind
TERMS = Terms(price=10, max_units=100)
FREE, NONE = Terms(price=0, max_units=0), Terms(price=10, max_units=0)
BOOK = Book(
    tasks=frozenset({1, 2, 3, 4}), deprecated=frozenset({3, 4}), subscribed={2: TERMS, 4: TERMS}
)


@pytest.mark.parametrize(
    ("kind", "task", "terms", "abort"),
    [
        (SUBSCRIBE, 1, TERMS, None),
        (SUBSCRIBE, 9, FREE, Abort.TASK_NOT_FOUND),
        (SUBSCRIBE, 4, FREE, Abort.TASK_DEPRECATED),
        (SUBSCRIBE, 2, FREE, Abort.ALREADY_SUBSCRIBED),
        (SUBSCRIBE, 1, FREE, Abort.PRICE_IS_ZERO),
        (SUBSCRIBE, 1, NONE, Abort.MAX_IS_ZERO),
        (UPDATE, 2, TERMS, None),
        (UPDATE, 9, FREE, Abort.PRICE_IS_ZERO),
        (UPDATE, 9, NONE, Abort.MAX_IS_ZERO),
        (UPDATE, 9, TERMS, Abort.TASK_NOT_FOUND),
        (UPDATE, 3, TERMS, Abort.NOT_SUBSCRIBED),
        (UPDATE, 4, TERMS, Abort.TASK_DEPRECATED),
        (UNSUBSCRIBE, 2, TERMS, None),
        (UNSUBSCRIBE, 9, TERMS, Abort.TASK_NOT_FOUND),
        (UNSUBSCRIBE, 3, TERMS, Abort.NOT_SUBSCRIBED),
        (UNSUBSCRIBE, 4, TERMS, Abort.TASK_DEPRECATED),
        (REGISTER, 0, TERMS, None),
        (VOID, 9, FREE, None),
    ],
)
def test_the_first_check_that_fails_is_named(
    kind: OperationKind, task: int, terms: Terms, abort: Abort | None
) -> None:
    assert judge(LedgerOperation(kind, task, terms), BOOK) is abort


def test_registration_may_be_closed() -> None:
    closed = Book(registration_open=False)
    assert judge(LedgerOperation(REGISTER), closed) is Abort.REGISTRATION_DISABLED


@pytest.mark.parametrize(("kind", "task"), [(SUBSCRIBE, 1), (UPDATE, 2)])
def test_without_a_maximum_in_the_call_none_is_asked_for(kind: OperationKind, task: int) -> None:
    assert judge(LedgerOperation(kind, task, NONE), BOOK, abi=Abi.PER_MILLION) is None


def test_what_was_taken_shows_in_the_book() -> None:
    other = Terms(price=3, max_units=4)
    book = applied(LedgerOperation(SUBSCRIBE, 1, TERMS), BOOK)
    book = applied(LedgerOperation(UPDATE, 1, other), book)
    book = applied(LedgerOperation(UNSUBSCRIBE, 2), book)
    book = applied(LedgerOperation(VOID, 1), applied(LedgerOperation(REGISTER), book))
    assert book.subscribed == {1: other, 4: TERMS}
    assert BOOK.subscribed == {2: TERMS, 4: TERMS}


def test_each_abort_has_words_and_its_published_code() -> None:
    assert set(ABORT_TEXTS) == set(Abort)
    assert Abort.ALREADY_SUBSCRIBED.code == 312_012_016
