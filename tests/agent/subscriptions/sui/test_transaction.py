"""The bytes that are signed, bit by bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.subscriptions.sui.keys import key_of
from agent.subscriptions.sui.transaction import (
    MoveCall,
    ObjectRef,
    owned_inputs,
    transaction_digest,
)
from contract.subscription.ids import object_id_text
from tests.agent.subscriptions.sui.golden import (
    ADDRESS,
    BADGE,
    COIN,
    DATA,
    DATABASE,
    DIGEST,
    PACKAGE,
    SECRET,
    SIGNATURE,
    golden,
)

OTHER = ObjectRef(bytes(31) + b"\2", 7, bytes(32))
ids = st.binary(min_size=32, max_size=32)
refs = st.builds(ObjectRef, ids, st.integers(0, 2**64 - 1), ids)


def test_bytes_digest_and_signature_are_those_of_the_official_sdk() -> None:
    data = golden().encode()
    assert data == DATA
    assert transaction_digest(data) == DIGEST
    key = key_of(SECRET)
    assert key is not None
    assert key.sign(data) == SIGNATURE
    assert object_id_text(key.address) == ADDRESS


def test_an_object_that_is_passed_twice_is_one_input_and_a_number_is_one_each_time() -> None:
    calls = tuple(
        MoveCall(PACKAGE, "db", "unsubscribe_node_from_task", (DATABASE, badge, 7))
        for badge in (BADGE, OTHER)
    )
    data = golden(*calls).encode()
    assert data.count(DATABASE.id) == 1
    assert data.count(bytes([0, 8, 7, 0, 0, 0, 0, 0, 0, 0])) == 2
    assert data[2] == 5  # inputs
    assert owned_inputs(data) == (BADGE, OTHER, COIN)


@given(st.lists(refs, min_size=1, max_size=5, unique_by=lambda each: each.id), refs)
def test_the_objects_of_a_transaction_are_read_back(
    badges: list[ObjectRef], coin: ObjectRef
) -> None:
    calls = tuple(MoveCall(PACKAGE, "db", "f", (DATABASE, each, 1)) for each in badges)
    assert owned_inputs(replace(golden(*calls), gas_coin=coin).encode()) == (*badges, coin)


def test_what_is_no_transaction_of_ours_is_refused() -> None:
    for wrong in (DATA[:-1], DATA + b"\0", b"\1" + DATA[1:], DATA[:-1] + b"\1", b""):
        with pytest.raises(ValueError):
            owned_inputs(wrong)


def test_a_number_of_over_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError):
        golden(MoveCall(PACKAGE, "db", "f", (DATABASE, 2**64))).encode()
