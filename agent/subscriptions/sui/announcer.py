"""Says to the cloud what the network took, in order, until it has it: dispatch there goes by it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from agent.link.retry import retrying
from agent.ports import CloudError, SubscriptionLink
from agent.subscriptions.file import TransactionStoreError
from agent.subscriptions.ledger import LedgerTransaction
from agent.subscriptions.store import TransactionStore
from agent.subscriptions.sui.record import decode_record
from contract.clock import Clock
from contract.subscription import bcs
from contract.subscription.link import Announced, AnnouncedOperation, Announcement
from contract.subscription.rules import OperationKind

_WAIT_MOST_S: Final = 60.0
_NOTE: Final = "sui.announced"

log: Any = structlog.get_logger(__name__)


class SuiAnnouncer:
    """Of one sender."""

    def __init__(
        self,
        ledger: str,
        sender: bytes,
        store: TransactionStore,
        clock: Clock,
        link: SubscriptionLink,
        *,
        timeout_s: float,
    ) -> None:
        """`timeout_s`: how long the cloud may take for one answer."""
        self._ledger = ledger
        self._sender = sender
        self._store = store
        self._clock = clock
        self._link = link
        self._timeout_s = timeout_s
        self._is_compared = False  # what the cloud has with what it was told
        self._news = asyncio.Event()
        self._news.set()  # what an earlier process did not bring to its end

    def wake(self) -> None:
        """There is something new."""
        self._news.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._catch_up()
            except TransactionStoreError as error:
                log.warning("sui.announce", error=str(error))
                await self._clock.sleep(_WAIT_MOST_S)
                self._news.set()

    async def _catch_up(self) -> None:
        noted = await self._store.noted(_NOTE)
        after = 0 if noted is None else bcs.Reader(noted).u64()
        if not self._is_compared:
            after = await self._compared(after)
        for row in await self._store.taken(self._ledger, self._sender, after):
            await self._say(row)
            await self._store.note(_NOTE, bcs.u64(row.sequence or 0))

    async def _compared(self, after: int) -> int:
        """From where on the cloud is told: it may have been put back from a copy. The first of all is said again, and
        its answer names the last that it has.
        """
        for row in await self._store.taken(self._ledger, self._sender):
            if _message(row) is not None:
                after = min(after, await self._say(row))
                break
        self._is_compared = True
        return after

    async def _say(self, row: LedgerTransaction) -> int:
        """The last that the cloud has then."""
        message = _message(row)
        if message is None:
            return row.sequence or 0
        again = retrying(self._clock, what="announce", most_s=_WAIT_MOST_S, denied_too=True)
        try:
            reply: Announced = await again(self._link.announce, message, timeout_s=self._timeout_s)
        except (
            CloudError
        ) as error:  # asking again would not help: those after it must not wait for it
            log.error("sui.announce_refused", tx_digest=row.tx_digest, error=str(error))
            return row.sequence or 0
        return reply.sequence


def _message(row: LedgerTransaction) -> Announcement | None:
    """None: it says nothing that the cloud keeps."""
    operations = tuple(
        AnnouncedOperation(
            kind=each.operation.kind,
            node_small_id=each.node_small_id,
            task_small_id=each.operation.task_small_id,
            price_per_compute_unit=each.operation.terms.price,
            max_num_compute_units=each.operation.terms.max_units,
        )
        for each in decode_record(row.payload).operations
        if each.operation.kind is not OperationKind.REGISTER
    )
    if not operations:
        return None
    return Announcement(
        ledger=row.ledger,
        tx_digest=row.tx_digest,
        sequence=row.sequence or 0,
        operations=operations,
    )
