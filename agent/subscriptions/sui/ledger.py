"""The ledger `sui`: one transaction at a time, on disk before it is sent, and never a second one before it is known
what became of the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from agent.config.file import ConfigError
from agent.config.sui import SuiSection
from agent.link.retry import FIRST_S
from agent.ports import SubscriptionLink
from agent.subscriptions.file import TransactionStoreError
from agent.subscriptions.ledger import (
    LedgerTransaction,
    Submission,
    SubmissionFailedError,
    TransactionStatus,
)
from agent.subscriptions.store import SettledTransaction, TransactionStore
from agent.subscriptions.sui.aborts import abort_text
from agent.subscriptions.sui.announcer import SuiAnnouncer
from agent.subscriptions.sui.chain import ExecutionOutcome, SuiChain
from agent.subscriptions.sui.deployment import (
    Deployment,
    check_chain,
    check_deployment,
    type_of,
)
from agent.subscriptions.sui.draft import SuiDraft, draft
from agent.subscriptions.sui.graphql import (
    ChainError,
    ChainRefusedError,
    GraphQlClient,
    NotSentError,
)
from agent.subscriptions.sui.keys import read_keystore
from agent.subscriptions.sui.record import TransactionRecord, decode_record
from agent.subscriptions.sui.settling import find_out
from agent.subscriptions.sui.transaction import transaction_digest
from agent.subscriptions.sui.wallet import SuiWallet
from contract.clock import Clock
from contract.subscription.ids import parse_object_id
from contract.subscription.rules import Abi, OperationKind

NAME: Final = "sui"
_TRIES: Final = 2  # with the objects as they are read now, and once more if these were out of date
_SETTLE_WAIT_MOST_S: Final = 60.0
_NOTE: Final = "sui.chain"

log: Any = structlog.get_logger(__name__)


class SuiLedger:
    """`agent.subscriptions.ledger.TaskLedger` on a Sui network."""

    name = NAME

    def __init__(
        self,
        section: SuiSection,
        store: TransactionStore,
        clock: Clock,
        *,
        link: SubscriptionLink | None = None,
    ) -> None:
        """`link`: to the cloud, which learns of what was taken; None: there is none."""
        self.trouble: str | None = None
        self._section = section
        self._store = store
        self._clock = clock
        self._link = link
        self._chain = SuiChain(
            GraphQlClient(section.graphql_url, ca_file=section.ca_file, timeout_s=section.timeout_s)
        )
        self._lock = asyncio.Lock()  # two transactions of one sender compete for its objects
        self._asked = 0  # how often it was looked for what became of one
        self._unsettled = asyncio.Event()
        self._opened: SuiWallet | None = None
        self._deployment: Deployment | None = None
        self._announcer: SuiAnnouncer | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """What does not fit (the keystore, another network, a package or object) keeps no farm from being watched: it
        is said, and looked at again by each request.
        """
        try:
            await self._ready()
        except ConfigError as error:
            log.error("sui.unusable", error=str(error))
        except ChainError as error:
            log.warning("sui.unreachable", error=str(error))
        if await self._store.pending(NAME):
            self._unsettled.set()
        self._tasks.append(asyncio.create_task(self._settle_for_ever(), name="sui-settle"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._chain.close()

    @property
    def max_enforced_by(self) -> str | None:
        """The newer call interface has no place for a maximum."""
        abi = self._section.abi if self._deployment is None else self._deployment.abi
        return "control_plane" if abi == Abi.PER_MILLION else None

    async def nodes(self) -> Mapping[int, bytes]:
        return await self._store.nodes(NAME)

    async def transaction(self, tx_digest: str) -> LedgerTransaction | None:
        row = await self._store.transaction(tx_digest)
        if row is None or row.ledger != NAME or row.status is not TransactionStatus.PENDING:
            return row if row is not None and row.ledger == NAME else None
        asked = self._asked
        async with self._lock:
            if self._asked == asked:  # else it was asked for while we waited
                with suppress(ChainError, ConfigError):
                    await self._ready()
                    if self._is_here(row):
                        await self._settle(row)
        return await self._store.transaction(tx_digest)

    async def submit(self, submission: Submission) -> str:
        try:
            async with self._lock:
                deployment = await self._ready()
                await self._settle_pending()
                return await self._submit(submission, deployment)
        except (ChainError, ConfigError, TransactionStoreError) as error:
            raise SubmissionFailedError(str(error)) from None

    @property
    def _wallet(self) -> SuiWallet:
        assert self._opened is not None, "_ready() comes first"
        return self._opened

    async def _ready(self) -> Deployment:
        """Raises ConfigError, ChainError."""
        if self._deployment is None:
            try:
                self._deployment = await self._checked()
            except (ChainError, ConfigError) as error:
                self.trouble = str(error)
                raise
            self.trouble = None
        return self._deployment

    async def _checked(self) -> Deployment:
        """Raises ConfigError, ChainError."""
        if self._opened is None:
            self._opened = await self._open()
        noted = await self._store.noted(_NOTE)
        known = None if noted is None else noted.decode()
        deployment = await check_deployment(self._chain, self._section, known)
        await self._store.note(_NOTE, deployment.chain_id.encode())
        await self._keep_nodes()
        log.info("sui.ready", chain_id=deployment.chain_id, abi=deployment.abi.value)
        return deployment

    async def _open(self) -> SuiWallet:
        """Raises ConfigError."""
        section = self._section
        address = None if section.address is None else parse_object_id(section.address)
        key = await asyncio.to_thread(read_keystore, section.keystore, address)
        if self._link is not None:
            self._announcer = SuiAnnouncer(
                NAME,
                key.address,
                self._store,
                self._clock,
                self._link,
                timeout_s=section.timeout_s,
            )
            self._tasks.append(asyncio.create_task(self._announcer.run(), name="sui-announce"))
        return SuiWallet(self._chain, key, type_of(section, "NodeBadge"))

    async def _submit(self, submission: Submission, deployment: Deployment) -> str:
        """Raises ChainError where nothing was sent, SubmissionFailedError, WrongNodeError, ValueError."""
        chain_id, gas_price = await self._chain.epoch()
        check_chain(chain_id, deployment.chain_id)
        refused = "the objects that the transaction names are out of date"
        before = b""
        for _ in range(_TRIES):
            made = await draft(submission, deployment, self._wallet, self._section, gas_price)
            data = made.transaction.encode()
            if data == before:  # what was read says nothing new
                break
            before = data
            try:
                would = await self._chain.simulate(data)
            except ChainRefusedError as error:
                refused = str(error)
                continue
            if not would.succeeded:
                raise self._failed(would, "nothing was sent")
            row = await self._signed(submission, deployment, made, data)
            await self._store.add_again(row)
            outcome = await self._send(row)
            if outcome is not None:
                if not outcome.succeeded:
                    raise self._failed(outcome, "the network took a fee", row.tx_digest)
                return row.tx_digest
        raise SubmissionFailedError(refused)

    async def _signed(
        self, submission: Submission, deployment: Deployment, made: SuiDraft, data: bytes
    ) -> LedgerTransaction:
        key = self._wallet.key
        last = await self._store.last_taken(NAME, key.address)
        now = self._clock.now()
        # A count would begin again with a lost file, and what was announced since would be taken for repeats.
        after = 0 if last is None else last.sequence or 0
        return LedgerTransaction(
            tx_digest=transaction_digest(data),
            ledger=NAME,
            kind=submission.kind,
            status=TransactionStatus.PENDING,
            created_at=now,
            payload=TransactionRecord(deployment.chain_id, data, made.operations).encode(),
            signature=key.sign(data),
            sequence=max(after + 1, int(now.timestamp() * 1000)),
            sender=key.address,
        )

    async def _send(self, row: LedgerTransaction) -> ExecutionOutcome | None:
        """None: it was not executed and never can be. Raises SubmissionFailedError, with the row pending unless nothing
        was sent.
        """
        try:
            outcome = await self._chain.execute(decode_record(row.payload).data, row.signature)
            await self._settled(row, outcome)
            return outcome
        except NotSentError as error:
            await self._settled(row, None)
            raise SubmissionFailedError(str(error), tx_digest=row.tx_digest) from None
        except ChainRefusedError as error:
            detail = str(error)
        except (ChainError, TransactionStoreError) as error:
            raise self._unknown(row, str(error)) from None
        try:
            return await self._settle(row)  # out of date, most often: that shows at once
        except (ChainError, TransactionStoreError):
            raise self._unknown(row, detail) from None

    def _unknown(self, row: LedgerTransaction, detail: str) -> SubmissionFailedError:
        self._unsettled.set()
        said = f"what became of the transaction is not known yet: {detail}"
        return SubmissionFailedError(said, tx_digest=row.tx_digest)

    def _failed(
        self, outcome: ExecutionOutcome, so: str, tx_digest: str | None = None
    ) -> SubmissionFailedError:
        if outcome.abort_code is None or self._deployment is None:
            detail = outcome.message or "the network did not say why it failed"
        else:
            detail = abort_text(outcome.abort_code, self._deployment.abi)
        return SubmissionFailedError(
            f"{detail}; {so}", abort_code=outcome.abort_code, tx_digest=tx_digest
        )

    async def _settle_for_ever(self) -> None:
        again = AsyncRetrying(
            sleep=self._clock.sleep,
            retry=retry_if_exception_type((ChainError, ConfigError, TransactionStoreError)),
            wait=wait_random_exponential(multiplier=FIRST_S, max=_SETTLE_WAIT_MOST_S),
        )
        while True:
            await self._unsettled.wait()
            self._unsettled.clear()
            await again(self._settle_unwatched)

    async def _settle_unwatched(self) -> None:
        async with self._lock:
            await self._ready()
            await self._settle_pending()

    async def _settle_pending(self) -> None:
        """Raises ChainError, which names the one of which nobody knows yet."""
        for row in filter(self._is_here, await self._store.pending(NAME)):
            try:
                await self._settle(row)
            except ChainError as error:
                self._unsettled.set()
                self.trouble = f"what became of {row.tx_digest} is not known yet, and nothing is signed before: {error}"
                raise ChainError(self.trouble) from None
        self.trouble = None

    def _is_here(self, row: LedgerTransaction) -> bool:
        """Whether it is of the network that is spoken to: of another's nobody knows here what became."""
        assert self._deployment is not None, "_ready() comes first"
        return decode_record(row.payload).chain_id == self._deployment.chain_id

    async def _settle(self, row: LedgerTransaction) -> ExecutionOutcome | None:
        """As `find_out`, and on disk."""
        self._asked += 1
        outcome = await find_out(self._chain, row)
        await self._settled(row, outcome)
        return outcome

    async def _settled(self, row: LedgerTransaction, outcome: ExecutionOutcome | None) -> None:
        """Raises TransactionStoreError: it stays pending then, and is asked for again."""
        if outcome is not None:
            self._wallet.learn(outcome.changes)
        taken = outcome is not None and outcome.succeeded
        settled = SettledTransaction(
            tx_digest=row.tx_digest,
            status=TransactionStatus.SUCCESS if taken else TransactionStatus.FAILURE,
            abort_code=None if outcome is None else outcome.abort_code,
            operations=decode_record(row.payload).operations if taken else (),
        )
        await self._store.settle([settled])
        if taken and row.kind is OperationKind.REGISTER:
            with suppress(ChainError):  # else the next start reads it
                await self._keep_nodes()
        log.info("sui.settled", tx_digest=row.tx_digest, status=settled.status.value)
        if taken and self._announcer is not None:
            self._announcer.wake()

    async def _keep_nodes(self) -> None:
        """A badge that a lagging read does not show is not forgotten for it. Raises ChainError."""
        known = await self._store.nodes(NAME)
        seen = {node: badge.ref.id for node, badge in (await self._wallet.badges()).items()}
        if seen.items() - known.items():
            await self._store.keep_nodes(NAME, {**known, **seen})
