"""The local ledger: this agent signs, its cloud takes or refuses. Nothing counts that the cloud has not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from agent.link.retry import retrying
from agent.ports import CloudError, SubscriptionLink
from agent.subscriptions.catalogue import Catalogue
from agent.subscriptions.chain import LOCAL, ForkError, next_entry, refused, taken
from agent.subscriptions.file import TransactionStoreError
from agent.subscriptions.key import LedgerKey, LedgerKeyError, make_key, read_key
from agent.subscriptions.ledger import (
    NOT_REGISTERED,
    LedgerTransaction,
    Submission,
    SubmissionFailedError,
    TransactionStatus,
    WrongNodeError,
)
from agent.subscriptions.shared import SharedChain
from agent.subscriptions.store import TransactionStore
from contract.clock import Clock
from contract.subscription.ids import object_id_text
from contract.subscription.link import EntryState, LedgerState
from contract.subscription.rules import (
    ABORT_BASE,
    ABORT_TEXTS,
    Abort,
    LedgerOperation,
    OperationKind,
)

_SETTLE_MOST_S: Final = 60.0  # between two tries to settle what nobody waits for

log: Any = structlog.get_logger(__name__)


class LocalLedger:
    """`agent.subscriptions.ledger.TaskLedger`; its node is this agent."""

    name = LOCAL
    max_enforced_by = None

    def __init__(
        self,
        store: TransactionStore,
        catalogue: Catalogue,
        link: SubscriptionLink,
        clock: Clock,
        key_path: Path,
        *,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: how long the cloud may take for one answer."""
        self._store = store
        self._chain = SharedChain(store, catalogue, link, clock, timeout_s=timeout_s)
        self._clock = clock
        self._key_path = key_path
        self.trouble: str | None = None
        self._turn = asyncio.Lock()
        self._unsettled = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """What an earlier process left is settled meanwhile; a node that never was registered asks nobody anything."""
        try:
            if await read_key(self._key_path) is not None:
                self._unsettled.set()
        except LedgerKeyError as error:
            log.error("subscriptions.key", error=str(error))
        self._settling = asyncio.create_task(self._settle(), name="subscriptions-settle")

    async def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.gather(self._settling, return_exceptions=True)

    async def nodes(self) -> Mapping[int, bytes]:
        return await self._store.nodes(LOCAL)

    async def transaction(self, tx_digest: str) -> LedgerTransaction | None:
        found = await self._store.transaction(tx_digest)
        if found is None or found.status is not TransactionStatus.PENDING:
            return found
        try:
            await self._settle_once()
        except (CloudError, ForkError, LedgerKeyError) as error:
            log.info("subscriptions.still_pending", tx_digest=tx_digest, error=str(error))
        return await self._store.transaction(tx_digest)

    async def submit(self, submission: Submission) -> str:
        async with self._turn:
            try:
                return await self._submit(submission)
            except (CloudError, ForkError, LedgerKeyError, TransactionStoreError) as error:
                raise SubmissionFailedError(str(error)) from None

    async def renew(self) -> str:
        """Register with a new key: the node keeps its id and its subscriptions, and a chain of its own begins. What is
        pending under the old one is settled first. Raises SubmissionFailedError; nothing has changed then, or the new
        key waits to be registered.
        """
        async with self._turn:
            try:
                old = await self._key()
                if old is not None:
                    await self._leave(old)
                log.info("subscriptions.new_key")
                await make_key(self._key_path)
                return await self._submit(Submission(OperationKind.REGISTER))
            except (CloudError, ForkError, LedgerKeyError, TransactionStoreError) as error:
                raise SubmissionFailedError(str(error)) from None

    async def _leave(self, key: LedgerKey) -> None:
        try:
            await self._in_step(key)
        except ForkError:
            # The cloud's chain is another one: nothing that ours is about to say can become a part of it.
            left = [each for each in await self._store.pending(LOCAL) if each.sender == key.badge]
            await self._store.settle([refused(each) for each in left])

    async def _submit(self, submission: Submission) -> str:
        key = await self._key()
        registers = submission.kind is OperationKind.REGISTER
        if key is None and registers:
            key = await make_key(self._key_path)
        if key is None:
            raise SubmissionFailedError(NOT_REGISTERED)
        await self._check_node(submission)
        state = await self._in_step(key)
        head = await self._chain.head(key)
        if registers and head.sequence:
            (first,) = await self._store.taken(LOCAL, key.badge, most=1)
            return first.tx_digest  # it is registered: to ask again changes nothing
        if not registers and (not head.sequence or state.node_small_id is None):
            raise SubmissionFailedError(NOT_REGISTERED)
        await self._check_node(submission)
        entry = next_entry(
            key,
            head,
            LedgerOperation(submission.kind, submission.task_small_id, submission.terms),
            ledger_id=state.ledger_id,
            node_small_id=0 if registers else state.node_small_id or 0,
            at=self._clock.now(),
        )
        await self._store.add(entry)
        try:
            return await self._send(key, entry)
        except CloudError as error:
            if not error.sent:
                await self._store.settle([refused(entry)])
            raise SubmissionFailedError(str(error), tx_digest=entry.tx_digest) from None
        except TransactionStoreError as error:
            raise SubmissionFailedError(str(error), tx_digest=entry.tx_digest) from None
        finally:
            self._unsettled.set()  # whatever is left of it, a process that is about to end included

    async def _send(self, key: LedgerKey, entry: LedgerTransaction) -> str:
        """Raises SubmissionFailedError for what surely does not count; CloudError, TransactionStoreError."""
        digest = entry.tx_digest
        result, node = await self._chain.record(key, entry)
        match result.state:
            case EntryState.SUCCESS:
                await self._store.settle([taken(entry, node)])
                if entry.kind is OperationKind.REGISTER and node is not None:
                    await self._store.keep_nodes(LOCAL, {node: key.badge})
                return digest
            case EntryState.ABORTED:
                await self._store.settle([refused(entry, result.abort_code)])
                detail = _abort_text(result.abort_code)
                raise SubmissionFailedError(detail, abort_code=result.abort_code, tx_digest=digest)
            case EntryState.INVALID:
                await self._store.settle([refused(entry)])
                detail = "the control plane does not take what this node's key signs"
                raise SubmissionFailedError(detail, tx_digest=digest)
            case EntryState.CONFLICT | EntryState.GAP:
                return await self._after_a_conflict(key, entry)

    async def _after_a_conflict(self, key: LedgerKey, entry: LedgerTransaction) -> str:
        """The cloud was put back, or another agent with our key was quicker, between our question and our entry."""
        digest = entry.tx_digest
        try:
            await self._in_step(key)
        except ForkError as error:
            await self._store.settle([refused(entry)])
            raise SubmissionFailedError(str(error), tx_digest=digest) from None
        found = await self._store.transaction(digest)
        if found is not None and found.status is TransactionStatus.SUCCESS:
            return digest
        detail = "this node's chain changed meanwhile, by another hand; nothing was done: try again"
        raise SubmissionFailedError(detail, tx_digest=digest)

    async def _settle(self) -> None:
        """Again and again, with what nobody waits for."""
        settle = retrying(self._clock, what="subscriptions", most_s=_SETTLE_MOST_S, denied_too=True)
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            try:
                await settle(self._settle_once)
            except (CloudError, ForkError, LedgerKeyError) as error:
                log.error("subscriptions.unsettled", error=str(error))
            except TransactionStoreError:  # which is said there
                await self._clock.sleep(_SETTLE_MOST_S)
                self._unsettled.set()

    async def _settle_once(self) -> None:
        async with self._turn:
            key = await self._key()
            if key is not None:
                await self._in_step(key)

    async def _in_step(self, key: LedgerKey) -> LedgerState:
        try:
            state = await self._chain.in_step(key)
        except ForkError as error:
            self.trouble = str(error)
            raise
        self.trouble = None
        return state

    async def _key(self) -> LedgerKey | None:
        return await read_key(self._key_path)

    async def _check_node(self, submission: Submission) -> None:
        """Raises WrongNodeError where another node is meant than this agent's, as far as that is known."""
        for node, badge in (await self._store.nodes(LOCAL)).items():
            is_meant = submission.badge in (None, badge) and submission.node_small_id in (
                None,
                node,
            )
            if not is_meant:
                raise WrongNodeError(
                    f"the node of this agent is {node}, with the badge {object_id_text(badge)}: another one is named"
                )


def _abort_text(code: int | None) -> str:
    try:
        return ABORT_TEXTS[Abort((code or 0) - ABORT_BASE)]
    except ValueError:
        return f"the control plane does not take it: {code}"
