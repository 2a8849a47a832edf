"""What is kept on disk of a transaction of ours: its bytes, and what they mean to us. A maximum that the newer call
interface has no place for is in no byte of the transaction itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.subscriptions.store import NodeOperation
from contract.subscription import bcs
from contract.subscription.rules import LedgerOperation, OperationKind, Terms


@dataclass(frozen=True)
class TransactionRecord:
    """`chain_id`: of the network it was signed for; `data`: the encoded transaction, as it was signed."""

    chain_id: str
    data: bytes
    operations: tuple[NodeOperation, ...]

    def encode(self) -> bytes:
        operations = bcs.vector([_encoded(each) for each in self.operations])
        return bcs.string(self.chain_id) + bcs.octets(self.data) + operations


def decode_record(payload: bytes) -> TransactionRecord:
    """Raises ValueError for what `TransactionRecord.encode` does not write."""
    reader = bcs.Reader(payload)
    record = TransactionRecord(
        chain_id=reader.string(),
        data=reader.octets(),
        operations=tuple(reader.vector(lambda: _decoded(reader))),
    )
    reader.end()
    return record


def _encoded(each: NodeOperation) -> bytes:
    terms = each.operation.terms
    numbers = (each.node_small_id, each.operation.task_small_id, terms.price, terms.max_units)
    return bcs.u8(each.operation.kind) + b"".join(bcs.u64(number) for number in numbers)


def _decoded(reader: bcs.Reader) -> NodeOperation:
    kind = OperationKind(reader.u8())
    node, task = reader.u64(), reader.u64()
    terms = Terms(price=reader.u64(), max_units=reader.u64())
    return NodeOperation(node, LedgerOperation(kind, task, terms))
