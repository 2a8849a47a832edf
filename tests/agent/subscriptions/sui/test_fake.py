"""The network of the tests executes nothing that a network would not: else it would prove nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.subscriptions.sui.keys import SuiKey
from agent.subscriptions.sui.transaction import MoveCall, ObjectRef, SharedRef, SuiTransaction
from contract.subscription.ids import parse_digest
from tests.agent.subscriptions.sui.fake.chain import COIN, FakeChain, RefusedError, Thing
from tests.agent.subscriptions.sui.fake.client import BADGES, COINS, RICHEST
from tests.agent.subscriptions.sui.golden import ADDRESS
from tests.agent.subscriptions.sui.machine import DATABASE, DATABASE_SINCE, PACKAGE

KEY = SuiKey(bytes(range(32)))
OTHER = SuiKey(bytes(range(1, 33)))
SHARED = SharedRef(DATABASE, DATABASE_SINCE)
ONE, TWO = BADGES


@pytest.fixture
def chain() -> FakeChain:
    found = FakeChain()
    tasks: dict[str, dict[str, bool]] = {"1": {}}
    given = {"owner": ADDRESS, "badges": BADGES, "coins": COINS, "tasks": tasks, "abi": "per_unit"}
    found.setup(given)
    return found


def ref(chain: FakeChain, key: str) -> ObjectRef:
    thing = chain.now.things[key]
    return ObjectRef(bytes.fromhex(key[2:]), thing.version, parse_digest(thing.digest))


def subscribe(chain: FakeChain, *, badge: ObjectRef | None = None) -> SuiTransaction:
    arguments = (SHARED, badge or ref(chain, ONE), 1, 10, 20)
    call = MoveCall(PACKAGE, "db", "subscribe_node_to_task", arguments)
    return SuiTransaction(KEY.address, (call,), ref(chain, RICHEST), 1000, 50_000_000)


def executed(chain: FakeChain, transaction: SuiTransaction, key: SuiKey = KEY) -> str:
    data = transaction.encode()
    return str(chain.execute(data, [key.sign(data)])["status"])


def test_what_is_signed_by_another_key_or_for_other_bytes_is_refused(chain: FakeChain) -> None:
    data = subscribe(chain).encode()
    forged = KEY.sign(data)
    for signature in (OTHER.sign(data), KEY.sign(data + b"\0"), forged[:-1] + b"\0", bytes(97)):
        with pytest.raises(RefusedError, match="signature"):
            chain.execute(data, [signature])
    assert executed(chain, subscribe(chain)) == "SUCCESS"


def test_what_names_the_wrong_objects_is_refused(chain: FakeChain) -> None:
    good = subscribe(chain)
    badge, coin = ref(chain, ONE), ref(chain, RICHEST)
    chain.now.things["0x" + "ee" * 32] = Thing(COIN, "0x" + "11" * 32, 50, 10**9, "1" * 32)
    of_another = ref(chain, "0x" + "ee" * 32)
    wrong = {
        "not available": [
            subscribe(chain, badge=replace(badge, version=51)),
            subscribe(chain, badge=replace(badge, digest=bytes(32))),
            replace(good, gas_coin=replace(coin, version=49)),
        ],
        "owned by another": [replace(good, gas_coin=of_another)],
        "Could not find": [subscribe(chain, badge=replace(badge, id=bytes(32)))],
        "no coin that may pay": [replace(good, gas_coin=badge)],
        "Balance": [replace(good, gas_budget=10**12)],
        "Gas price": [replace(good, gas_price=999)],
        "Shared object": [
            replace(
                good,
                calls=(replace(good.calls[0], arguments=(SharedRef(DATABASE, 4), badge, 1, 1, 1)),),
            )
        ],
    }
    for said, transactions in wrong.items():
        for each in transactions:
            with pytest.raises(RefusedError, match=said):
                executed(chain, each)
    assert chain.now.state.subscriptions == {}


def test_the_same_bytes_are_executed_once_and_those_of_a_past_never(chain: FakeChain) -> None:
    first = subscribe(chain)
    assert [executed(chain, first) for _ in range(2)] == ["SUCCESS", "SUCCESS"]
    assert chain.now.things[RICHEST].number == COINS[RICHEST] - 1_000_000
    with pytest.raises(RefusedError, match="not available"):
        executed(chain, replace(first, gas_budget=40_000_000))
    assert executed(chain, subscribe(chain)) == "FAILURE"  # subscribed already: a fee all the same
    assert chain.now.things[RICHEST].number == COINS[RICHEST] - 2_000_000
