"""The interface of a ledger, which takes operations and remembers what became of them; `local` and `sui` are two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from contract.subscription.rules import NO_TERMS, OperationKind, Terms

NOT_REGISTERED: Final = "node is not registered"


class TransactionStatus(StrEnum):
    """What became of a transaction."""

    PENDING = "pending"  # nobody knows yet
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True)
class Gas:
    """Who pays for a transaction and how much at most; the local ledger has no use for it. `budget` and `price` in
    MIST, `coin` an object id.
    """

    coin: bytes | None = None
    budget: int | None = None
    price: int | None = None


@dataclass(frozen=True)
class Submission:
    """What is asked of a ledger. `badge` and `node_small_id` both None: for every registered node of this agent."""

    kind: OperationKind
    task_small_id: int = 0
    terms: Terms = NO_TERMS
    badge: bytes | None = None
    node_small_id: int | None = None
    gas: Gas = field(default_factory=Gas)


@dataclass(frozen=True)
class LedgerTransaction:
    """What is kept of one transaction; `sequence` is that of the local chain, None of another ledger. `sender`: who
    signed it, a badge in the local ledger, an address in another.
    """

    tx_digest: str
    ledger: str
    kind: OperationKind
    status: TransactionStatus
    created_at: datetime
    payload: bytes
    signature: bytes
    sequence: int | None = None
    abort_code: int | None = None
    settled_at: datetime | None = None
    sender: bytes | None = None


class SubmissionFailedError(Exception):
    """The operation could not be submitted, or was not taken; nothing counts by it unless `tx_digest` turns out to be a
    success later.
    """

    def __init__(
        self, detail: str, *, abort_code: int | None = None, tx_digest: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.abort_code = abort_code
        self.tx_digest = tx_digest


class WrongNodeError(ValueError):
    """The request names a node that is not of this agent, or two different ones."""


class TaskLedger(Protocol):
    """Takes operations one by one; what was sent and not answered is settled before anything else is signed."""

    name: str
    trouble: str | None  # why it takes nothing now, for the operator

    async def start(self) -> None:
        """Check what it needs, and settle what an earlier process left pending. Raises ConfigError."""

    async def close(self) -> None: ...

    async def submit(self, submission: Submission) -> str:
        """The digest of the transaction that was taken. Raises SubmissionFailedError, WrongNodeError, and ValueError
        for numbers that this ledger cannot express.
        """

    async def transaction(self, tx_digest: str) -> LedgerTransaction | None:
        """What became of it, asked again where nobody knows yet; None: it is not one of ours."""

    async def nodes(self) -> Mapping[int, bytes]:
        """The registered nodes of this agent: small id and badge."""

    @property
    def max_enforced_by(self) -> str | None:
        """`control_plane` where the ledger itself has no maximum."""
