"""What became of a transaction that was sent and not answered: found by its digest, or given to the network once more.

The same bytes are executed once, however often they are given, so this never does a thing twice; and nothing new is
signed before it is known, so no second transaction ever competes for the same objects. Another network than the one it
was made for knows nothing of it, and is not asked.
"""

from __future__ import annotations

from agent.subscriptions.ledger import LedgerTransaction
from agent.subscriptions.sui.chain import ExecutionOutcome, SeenObject, SuiChain
from agent.subscriptions.sui.graphql import ChainError, ChainRefusedError
from agent.subscriptions.sui.record import decode_record
from agent.subscriptions.sui.transaction import ObjectRef, owned_inputs


async def find_out(chain: SuiChain, row: LedgerTransaction) -> ExecutionOutcome | None:
    """None: it was not executed, and never can be. Raises ChainError: nobody knows yet."""
    record = decode_record(row.payload)
    data = record.data
    chain_id, _ = await chain.epoch()
    if chain_id != record.chain_id:
        raise ChainError(
            f"graphql_url leads to the network {chain_id}, and not to {record.chain_id}"
        )
    found, is_spent, is_gone = await _look(chain, row, data)
    if found is not None or is_spent:
        return found
    try:
        return await chain.execute(data, row.signature)
    except ChainRefusedError:
        if is_gone:
            return None
        found, is_spent, _ = await _look(chain, row, data)
        if found is not None or is_spent:
            return found
        raise


async def _look(
    chain: SuiChain, row: LedgerTransaction, data: bytes
) -> tuple[ExecutionOutcome | None, bool, bool]:
    """What became of it, if that shows; whether an object that it names was changed by another one since; whether one
    is gone. The objects are looked at first: a read of them that shows a change is no older than the change.
    """
    named = owned_inputs(data)
    seen = await chain.objects([each.id for each in named])
    found = await chain.outcome(row.tx_digest)
    is_spent = any(_spent(each, seen.get(each.id), row.tx_digest) for each in named)
    return found, is_spent, any(each.id not in seen for each in named)


def _spent(named: ObjectRef, seen: SeenObject | None, tx_digest: str) -> bool:
    return (
        seen is not None
        and seen.ref.version > named.version
        and seen.made_by not in (None, tx_digest)
    )
