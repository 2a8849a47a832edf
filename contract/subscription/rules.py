"""When an operation is taken and when it aborts: the rules of the published Move module, as a table of checks.

The local ledger, on either side, decides by this table, and in the tests a virtual machine that runs a Move module of
the same rules has to agree with it. The codes are those of the older call interface, which has both a price and a
maximum; the newer one has one less (`Abi`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Final

ABORT_BASE: Final = 312_012_000


class Abort(IntEnum):
    """Why an operation was not taken, by the published codes less `ABORT_BASE`."""

    REGISTRATION_DISABLED = 0
    TASK_DEPRECATED = 15
    ALREADY_SUBSCRIBED = 16
    TASK_NOT_FOUND = 17
    NOT_SUBSCRIBED = 18
    PRICE_IS_ZERO = 37
    MAX_IS_ZERO = 38

    @property
    def code(self) -> int:
        """As the virtual machine tells it."""
        return ABORT_BASE + self


ABORT_TEXTS: Final = {
    Abort.REGISTRATION_DISABLED: "registration is disabled",
    Abort.TASK_DEPRECATED: "this class of work is deprecated",
    Abort.ALREADY_SUBSCRIBED: "the node is subscribed to this class of work already",
    Abort.TASK_NOT_FOUND: "there is no such class of work",
    Abort.NOT_SUBSCRIBED: "the node is not subscribed to this class of work",
    Abort.PRICE_IS_ZERO: "the price per compute unit is 0",
    Abort.MAX_IS_ZERO: "the maximum number of compute units is 0",
}


class Abi(StrEnum):
    """Which call interface a Move package has."""

    PER_UNIT = "per_unit"  # a price per compute unit, and a maximum
    PER_MILLION = "per_million"  # a price per one million compute units, and no maximum


class OperationKind(IntEnum):
    """What is asked of the ledger; the numbers are those of its entries."""

    REGISTER = 0
    SUBSCRIBE = 1
    UPDATE = 2
    UNSUBSCRIBE = 3
    VOID = 4  # takes the place of an entry whose outcome was lost; changes nothing


@dataclass(frozen=True)
class Terms:
    """What a node takes a class of work for: a price per compute unit, and most units of one stack."""

    price: int
    max_units: int


NO_TERMS: Final = Terms(price=0, max_units=0)


@dataclass(frozen=True)
class LedgerOperation:
    """One operation of one node. `terms` of subscribe and update alone; `task_small_id` 0 where none is meant."""

    kind: OperationKind
    task_small_id: int = 0
    terms: Terms = NO_TERMS


@dataclass(frozen=True)
class Book:
    """What an operation is judged by: the classes of work, which of them are deprecated, and what one node takes."""

    tasks: frozenset[int] = frozenset()
    deprecated: frozenset[int] = frozenset()
    subscribed: dict[int, Terms] = field(default_factory=dict)
    registration_open: bool = True


def judge(operation: LedgerOperation, book: Book, *, abi: Abi = Abi.PER_UNIT) -> Abort | None:
    """The first check that fails, in the published order; None: it is taken."""
    task = operation.task_small_id
    terms = operation.terms
    no_task = (task not in book.tasks, Abort.TASK_NOT_FOUND)
    deprecated = (task in book.deprecated, Abort.TASK_DEPRECATED)
    not_subscribed = (task not in book.subscribed, Abort.NOT_SUBSCRIBED)
    free = (terms.price == 0, Abort.PRICE_IS_ZERO)
    nothing = (terms.max_units == 0 and abi is Abi.PER_UNIT, Abort.MAX_IS_ZERO)
    match operation.kind:
        case OperationKind.REGISTER:
            checks = [(not book.registration_open, Abort.REGISTRATION_DISABLED)]
        case OperationKind.SUBSCRIBE:
            already = (task in book.subscribed, Abort.ALREADY_SUBSCRIBED)
            checks = [no_task, deprecated, already, free, nothing]
        case OperationKind.UPDATE:
            checks = [free, nothing, no_task, not_subscribed, deprecated]
        case OperationKind.UNSUBSCRIBE:
            checks = [no_task, not_subscribed, deprecated]
        case OperationKind.VOID:
            checks = []
    return next((abort for fails, abort in checks if fails), None)


def applied(operation: LedgerOperation, book: Book) -> Book:
    """The book after an operation that was taken."""
    subscribed = dict(book.subscribed)
    match operation.kind:
        case OperationKind.SUBSCRIBE | OperationKind.UPDATE:
            subscribed[operation.task_small_id] = operation.terms
        case OperationKind.UNSUBSCRIBE:
            del subscribed[operation.task_small_id]
        case OperationKind.REGISTER | OperationKind.VOID:
            pass
    return replace(book, subscribed=subscribed)
