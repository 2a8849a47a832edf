"""What an agent and its cloud say to each other about subscriptions, under `/link/v1`.

    GET  ledger?after=N   -> LedgerState    (what the cloud holds of this agent's node, and its catalogue)
    POST ledger           LedgerRequest -> LedgerReply   (entries of the local ledger; idempotent by digest)
    POST ledger/announce  Announcement  -> Announced     (what another ledger took; idempotent by digest)
    GET  stacks           -> Stacks        (what was dispatched to this agent)

Bytes are base64 in the JSON. Times are text as `contract.clock.to_text` writes them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from contract.link import Message, Word
from contract.subscription.entry import ENTRY_MAX, KEY_BYTES, SIGNATURE_BYTES
from contract.subscription.ids import OBJECT_BYTES, SMALL_MAX
from contract.subscription.rules import OperationKind

ENTRIES_MOST: Final = 500  # in one message, either way
TASKS_MOST: Final = 10_000
STACKS_MOST: Final = 1000  # the newest

# JSON has no unsigned integers of 64 bits that every reader takes, so all ids and numbers stay below 2^63.
Small = Annotated[int, msgspec.Meta(ge=0, le=SMALL_MAX)]
ObjectId = Annotated[bytes, msgspec.Meta(min_length=OBJECT_BYTES, max_length=OBJECT_BYTES)]
PublicKey = Annotated[bytes, msgspec.Meta(min_length=KEY_BYTES, max_length=KEY_BYTES)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}\Z")]


class TaskClass(Message, frozen=True, kw_only=True):
    """A class of work. `operation` is the name of a task; `model_name` narrows it to a family of models."""

    task_small_id: Small
    task_id: ObjectId
    operation: Word
    model_name: Word | None = None
    is_deprecated: bool = False
    deprecated_at: str | None = None


class Subscription(Message, frozen=True, kw_only=True):
    """What a node takes a class of work for; `valid` false: it did once."""

    node_small_id: Small
    task_small_id: Small
    price_per_compute_unit: Small
    max_num_compute_units: Small
    valid: bool


class SignedEntry(Message, frozen=True, kw_only=True):
    """`data` is a `LedgerEntry` as it was signed."""

    data: Annotated[bytes, msgspec.Meta(max_length=ENTRY_MAX)]
    signature: Annotated[
        bytes, msgspec.Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)
    ]


class LedgerState(Message, frozen=True, kw_only=True):
    """`node_small_id`, `public_key` and `head` are absent before the node is registered. `entries` are those after the
    number that was asked for, the oldest first, `ENTRIES_MOST` at most; `head_sequence` is the number of the last.
    """

    ledger_id: Word
    node_small_id: Small | None = None
    public_key: PublicKey | None = None
    head_sequence: Small = 0
    head: ObjectId | None = None
    entries: Annotated[tuple[SignedEntry, ...], msgspec.Meta(max_length=ENTRIES_MOST)] = ()
    tasks: Annotated[tuple[TaskClass, ...], msgspec.Meta(max_length=TASKS_MOST)] = ()
    subscriptions: Annotated[tuple[Subscription, ...], msgspec.Meta(max_length=TASKS_MOST)] = ()


class LedgerRequest(Message, frozen=True, kw_only=True):
    """Entries of one chain, in order. A chain whose first entry is among them makes `public_key` the node's key."""

    public_key: PublicKey
    entries: Annotated[tuple[SignedEntry, ...], msgspec.Meta(min_length=1, max_length=ENTRIES_MOST)]


class EntryState(StrEnum):
    """What became of an entry."""

    SUCCESS = "success"  # taken, now or before
    ABORTED = "aborted"  # not taken by the rules: `abort_code`; its number is still free
    CONFLICT = "conflict"  # another entry has its number, or it does not follow the one before
    GAP = "gap"  # the entries between `head_sequence` and it are missing: send these first
    INVALID = (
        "invalid"  # not signed by this key, of another badge, ledger or node, or no entry at all
    )


class EntryResult(Message, frozen=True, kw_only=True):
    tx_digest: Digest
    state: EntryState
    abort_code: Small | None = None


class LedgerReply(Message, frozen=True, kw_only=True):
    """A result for each entry of the request; after one that was not taken, the rest is answered `gap`."""

    results: tuple[EntryResult, ...]
    node_small_id: Small | None = None
    head_sequence: Small = 0
    head: ObjectId | None = None


class AnnouncedOperation(Message, frozen=True, kw_only=True):
    kind: OperationKind
    node_small_id: Small
    task_small_id: Small = 0
    price_per_compute_unit: Small = 0
    max_num_compute_units: Small = 0


class Announcement(Message, frozen=True, kw_only=True):
    """What another ledger took in one transaction of this agent. `sequence` orders the announcements of this agent: one
    that is not above the last is a repeat.
    """

    ledger: Word
    tx_digest: Digest
    sequence: Small
    operations: Annotated[tuple[AnnouncedOperation, ...], msgspec.Meta(min_length=1, max_length=64)]


class Announced(Message, frozen=True, kw_only=True):
    """`sequence`: of the last announcement that was taken."""

    sequence: Small


class Stack(Message, frozen=True, kw_only=True):
    """Part of a batch that was dispatched to this agent under the terms of that moment. `stack_id` is an object id made
    of the batch and the number; `already_computed_units` those of its tasks that ended as done.
    """

    stack_small_id: Small
    stack_id: ObjectId
    batch_id: Word
    task_small_id: Small
    node_small_id: Small
    num_compute_units: Small
    price: Small
    max_num_compute_units: Small
    already_computed_units: Small
    ended_units: Small
    created_at: str


class Stacks(Message, frozen=True, kw_only=True):
    stacks: Annotated[tuple[Stack, ...], msgspec.Meta(max_length=STACKS_MOST)]
