"""The official SDK, the network's schema and the compiler of Move, each run in Node.js, agree with what is ours."""

from __future__ import annotations

import base64
import textwrap
from pathlib import Path
from typing import Any

import pytest

from agent.subscriptions.sui import documents
from agent.subscriptions.sui.keys import key_of
from agent.subscriptions.sui.transaction import (
    Argument,
    MoveCall,
    ObjectRef,
    SharedRef,
    SuiTransaction,
    transaction_digest,
)
from contract.subscription.ids import base58, object_id_text
from tests.agent.subscriptions.sui.golden import ADDRESS, BADGE, DATABASE, PACKAGE, SECRET, golden
from tests.agent.subscriptions.sui.nodejs import judged

pytestmark = pytest.mark.slow
MOVE = Path(__file__).parent / "move"
OTHER = ObjectRef(bytes(31) + b"\2", 2**53 - 1, bytes(range(32)))


def parts(transaction: SuiTransaction) -> dict[str, Any]:
    """As the SDK is given them."""

    def owned(each: ObjectRef) -> dict[str, Any]:
        return {
            "objectId": object_id_text(each.id),
            "version": str(each.version),
            "digest": base58(each.digest),
        }

    def argument(each: Argument) -> dict[str, Any]:
        if isinstance(each, ObjectRef):
            return {"owned": owned(each)}
        if isinstance(each, SharedRef):
            shared = {
                "objectId": object_id_text(each.id),
                "initialSharedVersion": str(each.initial_version),
                "mutable": True,
            }
            return {"shared": shared}
        return {"u64": str(each)}

    return {
        "sender": object_id_text(transaction.sender),
        "gas": {
            "coin": owned(transaction.gas_coin),
            "price": str(transaction.gas_price),
            "budget": str(transaction.gas_budget),
        },
        "calls": [
            {
                "target": f"{object_id_text(each.package)}::{each.module}::{each.function}",
                "arguments": [argument(value) for value in each.arguments],
            }
            for each in transaction.calls
        ],
    }


def test_the_official_sdk_reads_checks_and_makes_the_same_transactions(tmp_path: Path) -> None:
    def call(function: str, *arguments: Argument) -> MoveCall:
        return MoveCall(PACKAGE, "db", function, (DATABASE, *arguments))

    most = 2**64 - 1
    transactions = [
        golden(),
        golden(call("update_node_subscription", BADGE, 1, most, most)),
        golden(call("unsubscribe_node_from_task", BADGE, 1)),
        golden(call("register_node_entry")),
        golden(call("register_node_entry", OTHER)),
        golden(*(call("subscribe_node_to_task", each, 1, 10_000_000) for each in (BADGE, OTHER))),
    ]
    key = key_of(SECRET)
    assert key is not None
    given = [
        {
            "data": base64.b64encode(each.encode()).decode(),
            "signature": base64.b64encode(key.sign(each.encode())).decode(),
            "address": ADDRESS,
            "secret": SECRET,
            "flip": len(each.encode()) - 2,  # of the gas budget
            "parts": parts(each),
        }
        for each in transactions
    ]
    assert judged(tmp_path, "judge.mjs", given=given) == [
        {
            "again": one["data"],
            "digest": transaction_digest(each.encode()),
            "signed": True,
            "flippedSigned": False,
            "address": ADDRESS,
            "signature": one["signature"],
            "built": one["data"],
        }
        for one, each in zip(given, transactions, strict=True)
    ]


def test_every_document_is_valid_by_the_networks_schema(tmp_path: Path) -> None:
    wrong = "query { chainIdentifier nothing }"
    *errors, of_wrong = judged(tmp_path, "validate.mjs", given=[*documents.ALL, wrong])
    assert errors == [[] for _ in documents.ALL]
    assert 'Cannot query field "nothing"' in of_wrong[0]


@pytest.mark.parametrize("abi", ["per_unit", "per_million"])
def test_the_compiled_double_is_that_of_its_source(tmp_path: Path, abi: str) -> None:
    (module,) = judged(tmp_path, "build.mjs", str(MOVE), abi)
    assert (MOVE / abi / "db.mv.b64").read_text() == "\n".join(textwrap.wrap(module, 120)) + "\n"
