"""From what is asked for to the Move calls of the package, in either of its call interfaces."""

from __future__ import annotations

from typing import Final

from agent.subscriptions.sui.chain import MODULE
from agent.subscriptions.sui.transaction import Argument, MoveCall, ObjectRef, SharedRef
from contract.subscription.ids import SMALL_MAX
from contract.subscription.rules import Abi, LedgerOperation, OperationKind, Terms

FUNCTIONS: Final = {
    OperationKind.REGISTER: "register_node_entry",
    OperationKind.SUBSCRIBE: "subscribe_node_to_task",
    OperationKind.UPDATE: "update_node_subscription",
    OperationKind.UNSUBSCRIBE: "unsubscribe_node_from_task",
}
# How many arguments `subscribe_node_to_task` takes: the price comes with a maximum, or alone.
SUBSCRIBE_PARAMETERS: Final = {5: Abi.PER_UNIT, 4: Abi.PER_MILLION}
_MILLION: Final = 1_000_000


def move_call(
    operation: LedgerOperation,
    *,
    package: bytes,
    database: SharedRef,
    badge: ObjectRef | None,
    collateral: ObjectRef | None,
    abi: Abi,
) -> MoveCall:
    """The call of one node, which has a badge unless it registers; `collateral` is the coin that the older interface
    takes its deposit from. Raises ValueError as `terms_on_chain` does.
    """
    arguments: list[Argument] = [database]
    if badge is not None:
        arguments += [badge, operation.task_small_id]
    if operation.kind is OperationKind.REGISTER and collateral is not None:
        arguments.append(collateral)
    if operation.kind in (OperationKind.SUBSCRIBE, OperationKind.UPDATE):
        arguments += terms_on_chain(operation.terms, abi)
    return MoveCall(package, MODULE, FUNCTIONS[operation.kind], tuple(arguments))


def terms_on_chain(terms: Terms, abi: Abi) -> list[int]:
    """Raises ValueError for a price that is too high to be written per million units."""
    if abi is Abi.PER_UNIT:
        return [terms.price, terms.max_units]
    price = terms.price * _MILLION
    if price > SMALL_MAX:
        raise ValueError(
            f"price_per_compute_unit is at most {SMALL_MAX // _MILLION} here: this package keeps it per million units"
        )
    return [price]
