"""The Move virtual machine takes what we sign, and aborts as the plain table of rules says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agent.subscriptions.sui.calls import move_call
from agent.subscriptions.sui.transaction import MoveCall, ObjectRef, SharedRef
from contract.subscription.rules import (
    ABORT_BASE,
    Abi,
    Abort,
    Book,
    LedgerOperation,
    OperationKind,
    Terms,
    applied,
    judge,
)
from tests.agent.subscriptions.sui.golden import COIN, golden
from tests.agent.subscriptions.sui.machine import (
    DATABASE,
    DATABASE_SINCE,
    PACKAGE,
    PlainState,
    PlainTask,
    Verdict,
    execute,
)

ONE = ObjectRef(bytes(31) + b"\1", 5, bytes(32))
TWO = ObjectRef(bytes(31) + b"\2", 9, bytes(range(32)))
WALLET = ObjectRef(bytes(31) + b"\3", 9, bytes(32))
BADGES = {ONE.id: 1, TWO.id: 2}
SHARED = SharedRef(DATABASE, DATABASE_SINCE)
SUBSCRIBE, UPDATE, UNSUBSCRIBE = (
    OperationKind.SUBSCRIBE,
    OperationKind.UPDATE,
    OperationKind.UNSUBSCRIBE,
)
TERMS = Terms(price=10, max_units=100)


def state(abi: Abi = Abi.PER_UNIT) -> PlainState:
    tasks = {1: PlainTask(), 2: PlainTask(deprecated=True), 3: PlainTask(minimum_reputation=51)}
    tasks[4] = PlainTask(public=False)
    return PlainState(abi=abi.value, nodes=[50, 50], tasks=tasks)


def call(
    operation: LedgerOperation, badge: ObjectRef | None = ONE, abi: Abi = Abi.PER_UNIT
) -> MoveCall:
    collateral = WALLET if abi is Abi.PER_UNIT else None
    return move_call(
        operation, package=PACKAGE, database=SHARED, badge=badge, collateral=collateral, abi=abi
    )


def run(held: PlainState, *calls: MoveCall) -> Verdict:
    coins = {COIN.id: 10**9, WALLET.id: 10**6}
    return execute(golden(*calls).encode(), held, BADGES, coins)


@pytest.mark.parametrize("abi", Abi)
@pytest.mark.parametrize(
    ("kind", "task", "terms", "subscribed", "abort"),
    [
        (SUBSCRIBE, 1, TERMS, False, None),
        (SUBSCRIBE, 9, TERMS, False, Abort.TASK_NOT_FOUND),
        (SUBSCRIBE, 2, TERMS, False, Abort.TASK_DEPRECATED),
        (SUBSCRIBE, 1, TERMS, True, Abort.ALREADY_SUBSCRIBED),
        (SUBSCRIBE, 1, Terms(0, 1), False, Abort.PRICE_IS_ZERO),
        (SUBSCRIBE, 1, Terms(1, 0), False, Abort.MAX_IS_ZERO),
        (UPDATE, 1, TERMS, True, None),
        (UPDATE, 9, TERMS, True, Abort.TASK_NOT_FOUND),
        (UPDATE, 1, TERMS, False, Abort.NOT_SUBSCRIBED),
        (UPDATE, 2, TERMS, True, Abort.TASK_DEPRECATED),
        (UPDATE, 9, Terms(0, 0), True, Abort.PRICE_IS_ZERO),
        (UPDATE, 9, Terms(1, 0), True, Abort.MAX_IS_ZERO),
        (UNSUBSCRIBE, 1, TERMS, True, None),
        (UNSUBSCRIBE, 9, TERMS, True, Abort.TASK_NOT_FOUND),
        (UNSUBSCRIBE, 1, TERMS, False, Abort.NOT_SUBSCRIBED),
        (UNSUBSCRIBE, 2, TERMS, True, Abort.TASK_DEPRECATED),
    ],
)
def test_the_machine_takes_or_aborts_as_published(
    abi: Abi,
    kind: OperationKind,
    task: int,
    terms: Terms,
    subscribed: bool,
    abort: Abort | None,
) -> None:
    held = state(abi)
    if subscribed:
        held.subscriptions = {(1, each): (7, 7) for each in (1, 2)}
    if abi is Abi.PER_MILLION and abort is Abort.MAX_IS_ZERO:
        abort = None if kind is SUBSCRIBE else Abort.TASK_NOT_FOUND  # there is no maximum
    verdict = run(held, call(LedgerOperation(kind, task, terms), abi=abi))
    if abort is None:
        assert (verdict.succeeded, verdict.events) == (True, 1), verdict.error
    else:
        assert (verdict.succeeded, verdict.abort_code) == (False, ABORT_BASE + abort)


@pytest.mark.parametrize(
    ("abi", "task", "code"),
    [(Abi.PER_UNIT, 3, 39), (Abi.PER_MILLION, 3, 38), (Abi.PER_MILLION, 4, 45)],
)
def test_the_codes_that_differ_between_the_call_interfaces(abi: Abi, task: int, code: int) -> None:
    verdict = run(state(abi), call(LedgerOperation(SUBSCRIBE, task, TERMS), abi=abi))
    assert verdict.abort_code == ABORT_BASE + code


@pytest.mark.parametrize("abi", Abi)
def test_a_node_registers_unless_it_is_disabled(abi: Abi) -> None:
    held = state(abi)
    register = call(LedgerOperation(OperationKind.REGISTER), None, abi)
    assert run(held, register).events == 1
    held.registration_open = False
    assert run(held, register).abort_code == ABORT_BASE


def test_two_nodes_are_one_transaction_all_or_none() -> None:
    held = state()
    both = [call(LedgerOperation(SUBSCRIBE, 1, TERMS), each) for each in (ONE, TWO)]
    assert run(held, *both).events == 2
    held.subscriptions[2, 1] = (1, 1)
    verdict = run(held, *both)
    assert (verdict.succeeded, verdict.abort_code) == (False, Abort.ALREADY_SUBSCRIBED.code)


def test_a_call_that_is_wrong_in_any_part_is_not_executed() -> None:
    good = call(LedgerOperation(SUBSCRIBE, 1, TERMS))
    database, badge, *numbers = good.arguments
    wrong = [
        replace(good, function="subscribe_node"),
        replace(good, module="dp"),
        replace(good, arguments=(badge, database, *numbers)),
        replace(good, arguments=(database, badge, *numbers[:-1])),
        replace(good, arguments=(*good.arguments, 1)),
    ]
    for each in wrong:
        verdict = run(state(), each)
        assert not verdict.succeeded
        assert verdict.abort_code is None
    assert run(state(), good).succeeded


def agree(sequences: int, seed: int) -> int:
    """Play random sequences of operations of one node on the machine and on the table of rules; how many operations."""
    dice = random.Random(seed)
    played = 0
    for _ in range(sequences):
        abi = dice.choice(list(Abi))
        held = PlainState(abi=abi.value, nodes=[50, 50])
        for task in (1, 2, 3):
            held.tasks[task] = PlainTask(deprecated=dice.random() < 0.2)
        book = Book(frozenset(held.tasks))
        for _ in range(dice.randint(1, 6)):
            if dice.random() < 0.1:
                held.tasks[dice.randint(1, 3)].deprecated = True
            kind = dice.choice((SUBSCRIBE, SUBSCRIBE, UPDATE, UNSUBSCRIBE))
            terms = Terms(dice.choice((0, 1, 10)), dice.choice((0, 1, 10)))
            operation = LedgerOperation(kind, dice.randint(1, 4), terms)
            gone = frozenset(task for task, each in held.tasks.items() if each.deprecated)
            book = replace(book, deprecated=gone)
            abort = judge(operation, book, abi=abi)
            verdict = run(held, call(operation, abi=abi))
            assert (verdict.succeeded, verdict.abort_code) == (
                abort is None,
                None if abort is None else abort.code,
            ), (abi, operation, book)
            played += 1
            if abort is None:
                book = applied(operation, book)
                held.subscriptions = {
                    (1, task): (each.price, each.max_units)
                    for task, each in book.subscribed.items()
                }
    return played


def test_the_table_of_rules_agrees_with_the_machine() -> None:
    assert agree(10, seed=14) >= 10


@pytest.mark.slow
def test_the_table_of_rules_agrees_with_the_machine_at_length() -> None:
    assert agree(100, seed=41) >= 100
