"""One chain on both sides: before anything is signed, the cloud and this agent are brought to the same head.

What the cloud lost (it was put back from a copy) is sent again; what this agent lost is learned from it; an entry whose
answer was lost is settled: it is there, or a VOID takes its number, and then it can never arrive.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from agent.ports import CloudError, SubscriptionLink
from agent.subscriptions.catalogue import Catalogue
from agent.subscriptions.chain import (
    LOCAL,
    ForkError,
    Head,
    following,
    head_of,
    next_entry,
    refused,
    signed,
    taken,
)
from agent.subscriptions.key import LedgerKey
from agent.subscriptions.ledger import LedgerTransaction
from agent.subscriptions.store import TransactionStore
from contract.clock import Clock
from contract.subscription.link import (
    ENTRIES_MOST,
    EntryResult,
    EntryState,
    LedgerRequest,
    LedgerState,
)
from contract.subscription.rules import LedgerOperation, OperationKind

_ROUNDS: Final = 64  # of one try; each learns or sends up to ENTRIES_MOST entries

log: Any = structlog.get_logger(__name__)


class SharedChain:
    """Of this agent's node; used by one caller at a time. Its methods raise CloudError, TransactionStoreError."""

    def __init__(
        self,
        store: TransactionStore,
        catalogue: Catalogue,
        link: SubscriptionLink,
        clock: Clock,
        *,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: how long the cloud may take for one answer."""
        self._store = store
        self._catalogue = catalogue
        self._link = link
        self._clock = clock
        self._timeout_s = timeout_s

    async def in_step(self, key: LedgerKey) -> LedgerState:
        """Until both sides have one head, and nothing of this key is pending. Raises CloudError, ForkError,
        TransactionStoreError.
        """
        is_offered = False
        for _ in range(_ROUNDS):
            head = await self.head(key)
            state = await self._link.ledger(head.sequence, timeout_s=self._timeout_s)
            await self._catalogue.keep(state.ledger_id, state.tasks)
            if head.ledger_id not in (None, state.ledger_id):
                raise ForkError("this agent belongs to another workspace than its chain")
            is_known = state.public_key == key.public
            if head.sequence and not is_known and state.public_key is not None:
                if is_offered:
                    raise ForkError("the control plane knows this node by another key")
                # it may have been put back to before ours was registered
                is_offered = True
            told = state.head_sequence if is_known else 0
            if told > head.sequence:
                await self._learn(key, head, state)
            elif told < head.sequence:
                await self._send_again(key, told, state.head)
            elif head.sequence and state.head != head.hash:
                raise ForkError(f"entry {head.sequence} of the control plane is another than ours")
            elif await self._is_settled(key, head, state):
                if head.sequence:
                    await self._mirror(key, state)
                return state
        raise CloudError("the control plane and this agent come to no common chain", retry=True)

    async def head(self, key: LedgerKey) -> Head:
        return head_of(await self._store.last_taken(LOCAL, key.badge))

    async def _learn(self, key: LedgerKey, head: Head, state: LedgerState) -> None:
        """What the cloud has taken, and this agent does not know of."""
        found = following(key, head, state.entries, self._clock.now())
        if not found:
            raise CloudError("the control plane names entries and does not give them", retry=True)
        digests = {each.tx_digest for each in found}
        last = found[-1].sequence or 0
        gone = [
            each
            for each in await self._pending(key)
            if each.tx_digest not in digests and (each.sequence or 0) <= last
        ]
        settled = [taken(each, state.node_small_id) for each in found]
        await self._store.settle([*settled, *map(refused, gone)], learned=found)
        log.info("subscriptions.learned", entries=len(found))

    async def _send_again(self, key: LedgerKey, told: int, head: bytes | None) -> None:
        """What the cloud has lost. What it does not take again is no success any more: it is the authority."""
        ours = await self._store.taken(LOCAL, key.badge, max(0, told - 1))
        if told and head != head_of(ours.pop(0)).hash:
            raise ForkError(f"entry {told} of the control plane is another than ours")
        log.warning("subscriptions.sent_again", entries=len(ours))
        sent = tuple(map(signed, ours[:ENTRIES_MOST]))
        request = LedgerRequest(public_key=key.public, entries=sent)
        reply = await self._link.record(request, timeout_s=self._timeout_s)
        for at, result in enumerate(reply.results[: len(sent)]):
            if result.state is EntryState.SUCCESS:
                continue
            if result.state is EntryState.ABORTED:
                gone = [refused(ours[at], result.abort_code), *map(refused, ours[at + 1 :])]
                await self._store.revoke(gone)
                log.error("subscriptions.revoked", entries=len(gone), abort_code=result.abort_code)
            elif result.state is not EntryState.GAP:
                raise ForkError(f"the control plane does not take entry {ours[at].sequence} again")
            break

    async def _is_settled(self, key: LedgerKey, head: Head, state: LedgerState) -> bool:
        """Whether nothing of this key is pending; else what is has been sent, or a VOID in its place, and one has to
        look again.
        """
        pending, number = await self._pending(key), head.sequence + 1
        behind = [each for each in pending if each.sequence != number]
        await self._store.settle(list(map(refused, behind)))
        waiting = [each for each in pending if each.sequence == number]
        if not waiting:
            return True
        last = waiting[-1]
        if last.kind not in (OperationKind.VOID, OperationKind.REGISTER):
            last = next_entry(
                key,
                head,
                LedgerOperation(OperationKind.VOID),
                ledger_id=state.ledger_id,
                node_small_id=state.node_small_id or 0,
                at=self._clock.now(),
            )
            await self._store.add(last)
        result, node = await self.record(key, last)
        if result.state is EntryState.SUCCESS:
            gone = [refused(each) for each in waiting if each.tx_digest != last.tx_digest]
            await self._store.settle([taken(last, node), *gone])
        elif result.state in (EntryState.ABORTED, EntryState.INVALID):
            await self._store.settle([refused(last, result.abort_code)])
        return False

    async def _mirror(self, key: LedgerKey, state: LedgerState) -> None:
        """What is registered and subscribed to, as the authority has it."""
        node = state.node_small_id
        if node is None:
            return
        if await self._store.nodes(LOCAL) != {node: key.badge}:
            await self._store.keep_nodes(LOCAL, {node: key.badge})
        told = sorted(state.subscriptions, key=lambda each: each.task_small_id)
        if await self._store.subscriptions(LOCAL) != told:
            await self._store.mirror(LOCAL, node, told)

    async def _pending(self, key: LedgerKey) -> list[LedgerTransaction]:
        return [each for each in await self._store.pending(LOCAL) if each.sender == key.badge]

    async def record(
        self, key: LedgerKey, entry: LedgerTransaction
    ) -> tuple[EntryResult, int | None]:
        """What the cloud says of one entry, and the node's id. Raises CloudError."""
        request = LedgerRequest(public_key=key.public, entries=(signed(entry),))
        reply = await self._link.record(request, timeout_s=self._timeout_s)
        for each in reply.results:
            if each.tx_digest == entry.tx_digest:
                return each, reply.node_small_id
        raise CloudError("the control plane does not say what became of the entry", retry=True)
