"""Entries of the local ledger: one transaction of one node each, chained by their digests and signed by the node's
key.

A chain is that of one key: it begins with `REGISTER`, whose `previous` is all zeros; every further entry names the
digest of the one before and has the next number. The digest looks like one of Sui, and can never be one: it is hashed
under a tag of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from contract.subscription import bcs
from contract.subscription.ids import OBJECT_BYTES, base58, blake2b_256
from contract.subscription.rules import LedgerOperation, OperationKind, Terms

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ENTRY_MAX: Final = 8192  # bytes; more operations are not taken in one entry
OPERATIONS_MAX: Final = 64  # in one entry
NO_ENTRY: Final = bytes(OBJECT_BYTES)  # `previous` of the first
_DIGEST_TAG: Final = b"MinerAgentLedger::V1::"
_BADGE_TAG: Final = b"MinerAgentBadge::V1::"
_SIGN_TAG: Final = b"MinerAgentLedger::V1::Signature::"


@dataclass(frozen=True)
class LedgerEntry:
    """`ledger_id`: the workspace whose catalogue it is about, as text. `at_ms`: Unix time by the node's own clock, in
    milliseconds; nothing is decided by it. `node_small_id` is 0 in REGISTER, which asks for one. Several operations are
    taken all or none.
    """

    ledger_id: str
    sequence: int  # from 1
    previous: bytes
    badge: bytes
    node_small_id: int
    operations: tuple[LedgerOperation, ...]
    at_ms: int

    def encode(self) -> bytes:
        """The bytes that are hashed and signed. Raises OverflowError for numbers that are no u64."""
        return b"".join(
            (
                bcs.string(self.ledger_id),
                bcs.u64(self.sequence),
                self.previous,
                self.badge,
                bcs.u64(self.node_small_id),
                bcs.vector([_encoded(each) for each in self.operations]),
                bcs.u64(self.at_ms),
            )
        )


def decode_entry(data: bytes) -> LedgerEntry:
    """Raises ValueError for anything that `LedgerEntry.encode` does not write."""
    if len(data) > ENTRY_MAX:
        raise ValueError(f"an entry of over {ENTRY_MAX} bytes")
    reader = bcs.Reader(data)
    entry = LedgerEntry(
        ledger_id=reader.string(),
        sequence=reader.u64(),
        previous=reader.take(OBJECT_BYTES),
        badge=reader.take(OBJECT_BYTES),
        node_small_id=reader.u64(),
        operations=tuple(reader.vector(lambda: _decoded(reader))),
        at_ms=reader.u64(),
    )
    reader.end()
    if not 1 <= len(entry.operations) <= OPERATIONS_MAX:
        raise ValueError(f"an entry has 1 to {OPERATIONS_MAX} operations")
    return entry


def digest_of(data: bytes) -> str:
    """The `tx_digest` of an encoded entry."""
    return base58(chain_hash(data))


def chain_hash(data: bytes) -> bytes:
    """What the next entry names as `previous`: the bytes of the digest."""
    return blake2b_256(_DIGEST_TAG, data)


def badge_of(public_key: bytes) -> bytes:
    """The object id by which a key's node is known."""
    return blake2b_256(_BADGE_TAG, public_key)


def sign(key: Ed25519PrivateKey, data: bytes) -> bytes:
    """The signature of an encoded entry."""
    return key.sign(blake2b_256(_SIGN_TAG, data))


def is_signed(public_key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether this key signed these bytes."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, blake2b_256(_SIGN_TAG, data))
    except (InvalidSignature, ValueError):
        return False
    return True


def _encoded(operation: LedgerOperation) -> bytes:
    terms = operation.terms
    numbers = (operation.task_small_id, terms.price, terms.max_units)
    return bcs.u8(operation.kind) + b"".join(bcs.u64(each) for each in numbers)


def _decoded(reader: bcs.Reader) -> LedgerOperation:
    kind = OperationKind(reader.u8())
    task = reader.u64()
    return LedgerOperation(kind, task, Terms(price=reader.u64(), max_units=reader.u64()))
