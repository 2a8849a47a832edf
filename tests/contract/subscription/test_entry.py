"""Entries of the local ledger: one spelling, a chain by digests, and no signature that another key or byte would pass."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from contract.subscription.entry import (
    ENTRY_MAX,
    NO_ENTRY,
    LedgerEntry,
    badge_of,
    decode_entry,
    digest_of,
    is_signed,
    sign,
)
from contract.subscription.ids import (
    base58,
    object_id_text,
    parse_digest,
    parse_object_id,
)
from contract.subscription.rules import LedgerOperation, OperationKind, Terms

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
u64 = st.integers(0, 2**64 - 1)
operations = st.builds(
    LedgerOperation, st.sampled_from(OperationKind), u64, st.builds(Terms, price=u64, max_units=u64)
)
entries = st.builds(
    LedgerEntry,
    ledger_id=st.text(max_size=64),
    sequence=u64,
    previous=st.binary(min_size=32, max_size=32),
    badge=st.binary(min_size=32, max_size=32),
    node_small_id=u64,
    operations=st.lists(operations, min_size=1, max_size=64).map(tuple),
    at_ms=u64,
)
ENTRY = LedgerEntry(
    ledger_id="org_1",
    sequence=1,
    previous=NO_ENTRY,
    badge=badge_of(PUBLIC),
    node_small_id=0,
    operations=(LedgerOperation(OperationKind.REGISTER),),
    at_ms=1_700_000_000_000,
)


@given(entries)
def test_an_entry_is_read_as_it_was_written(entry: LedgerEntry) -> None:
    assert decode_entry(entry.encode()) == entry


@given(entries, st.data())
def test_what_is_cut_or_longer_is_no_entry(entry: LedgerEntry, data: st.DataObject) -> None:
    encoded = entry.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(ValueError):
            decode_entry(wrong)


@given(st.binary(max_size=400))
def test_bytes_that_are_an_entry_have_one_spelling(data: bytes) -> None:
    try:
        entry = decode_entry(data)
    except ValueError:
        return
    assert entry.encode() == data


def test_an_entry_without_operations_or_over_its_cap_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        decode_entry(dataclasses.replace(ENTRY, operations=()).encode())
    with pytest.raises(ValueError, match=str(ENTRY_MAX)):
        decode_entry(bytes(ENTRY_MAX + 1))


def test_a_signature_is_of_one_key_and_of_each_byte() -> None:
    data = ENTRY.encode()
    signature = sign(KEY, data)
    assert is_signed(PUBLIC, data, signature)
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    assert not is_signed(other, data, signature)
    assert not is_signed(PUBLIC[:-1], data, signature)
    for at in range(len(data)):
        changed = bytes(byte ^ 1 if index == at else byte for index, byte in enumerate(data))
        assert not is_signed(PUBLIC, changed, signature)


def test_a_digest_changes_with_the_entry_and_reads_back() -> None:
    digest = digest_of(ENTRY.encode())
    assert base58(parse_digest(digest)) == digest
    assert digest_of(dataclasses.replace(ENTRY, sequence=2).encode()) != digest


@given(st.binary(min_size=32, max_size=32))
def test_digests_and_object_ids_are_read_as_they_were_written(value: bytes) -> None:
    assert parse_digest(base58(value)) == value
    assert parse_object_id(object_id_text(value)) == value


@pytest.mark.parametrize(
    "text", ["", "0x", "0xab2..", "789", "0x" + "1" * 65, "1" * 63, "0xg1", "0x１", " 0x1", "0x1\n"]
)
def test_what_is_no_object_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_object_id(text)


def test_a_short_object_id_is_filled_up() -> None:
    assert parse_object_id("0x789") == bytes(30) + b"\x07\x89"


@pytest.mark.parametrize(
    "text", ["", "0", "l", "1" * 31, "1" * 33, "z" * 44, "4E1ZwTHKmXrZ2J57HCQXNq"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_digest(text)
