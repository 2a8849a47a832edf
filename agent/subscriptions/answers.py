"""The rows of the answers, as they were published; constant where a column means nothing here."""

from __future__ import annotations

from typing import Any, Final

from agent.subscriptions.ledger import LedgerTransaction, SubmissionFailedError
from contract.clock import to_text
from contract.subscription.ids import object_id_text
from contract.subscription.link import Stack, Subscription, TaskClass
from contract.subscription.requests import LedgerCall

Document = dict[str, Any]
# Nothing here has models of language, confidential hardware or a reputation.
_NO_ROLE: Final = 0
_NO_SECURITY: Final = 0
_NO_REPUTATION: Final = 0


def subscription_row(row: Subscription, max_enforced_by: str | None) -> Document:
    document: Document = {
        "node_small_id": row.node_small_id,
        "task_small_id": row.task_small_id,
        "price_per_compute_unit": row.price_per_compute_unit,
        "max_num_compute_units": row.max_num_compute_units,
        "valid": row.valid,
    }
    if max_enforced_by is not None:
        document["max_enforced_by"] = max_enforced_by
    return document


def task_row(task: TaskClass) -> Document:
    """`operation` and `deprecated_at` are ours."""
    return {
        "task_small_id": task.task_small_id,
        "task_id": object_id_text(task.task_id),
        "role": _NO_ROLE,
        "model_name": task.model_name,
        "is_deprecated": task.is_deprecated,
        "valid_until_epoch": None,
        "deprecated_at_epoch": None,
        "security_level": _NO_SECURITY,
        "minimum_reputation_score": _NO_REPUTATION,
        "operation": task.operation,
        "deprecated_at": task.deprecated_at,
    }


def stack_row(stack: Stack) -> Document:
    """From `batch_id` on, it is ours."""
    return {
        "owner_address": None,
        "stack_small_id": stack.stack_small_id,
        "stack_id": object_id_text(stack.stack_id),
        "task_small_id": stack.task_small_id,
        "selected_node_id": stack.node_small_id,
        "num_compute_units": stack.num_compute_units,
        "price": stack.price,
        "already_computed_units": stack.already_computed_units,
        "in_settle_period": False,
        "total_hash": None,
        "num_total_messages": 0,
        "batch_id": stack.batch_id,
        "max_num_compute_units": stack.max_num_compute_units,
        "ended_units": stack.ended_units,
        "created_at": stack.created_at,
    }


def transaction_document(transaction: LedgerTransaction) -> Document:
    document: Document = {
        "tx_digest": transaction.tx_digest,
        "ledger": transaction.ledger,
        "kind": transaction.kind.name.lower(),
        "status": transaction.status.value,
        "at": to_text(transaction.settled_at or transaction.created_at),
    }
    if transaction.abort_code is not None:
        document["abort_code"] = transaction.abort_code
    return document


def failure_document(call: type[LedgerCall], error: SubmissionFailedError) -> Document:
    """First the published text, then what there is to say."""
    document: Document = {"error": call.failed, "detail": error.detail}
    if error.abort_code is not None:
        document["abort_code"] = error.abort_code
    if error.tx_digest is not None:
        document["tx_digest"] = error.tx_digest
    return document
