"""Whatever an endpoint answers, a request ends with its documented status, and nothing is signed for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.subscriptions.ledger import SubmissionFailedError, TransactionStatus
from tests.agent.subscriptions.sui.fake.client import BADGES, fake_sui
from tests.agent.subscriptions.sui.golden import ADDRESS
from tests.agent.subscriptions.sui.site import SUBSCRIBE, opened, status, submission

pytestmark = pytest.mark.real_time
DEEP = "[" * 100_000
ANY = [
    "",
    "null",
    "7",
    '"x"',
    "[]",
    "{}",
    DEEP,
    '{"data": ' + DEEP,
    '{"errors": 7}',
    '{"data": 1e999}',
]
ANY += [
    '{"data": [], "errors": []}',
    '{"errors": [{"message": 5}]}',
    '{"errors": [[]]}',
    "\ud83d",
    "NaN",
]
NUMBERS = [
    "-1",
    "1e999",
    "1.5",
    "true",
    "[]",
    "{}",
    str(2**64),
    '"1e3"',
    '"-1"',
    '""',
    f'"{"9" * 400}"',
]
NUMBERS += ['"١"', '"0x10"', "9" * 400]
BADGE = {
    "address": next(iter(BADGES)),
    "version": 50,
    "digest": "1" * 32,
    "owner": {"__typename": "AddressOwner", "address": {"address": ADDRESS}},
    "previousTransaction": {"digest": "1" * 32},
    "contents": {"type": {"repr": "x::db::NodeBadge"}, "json": {"small_id": {"inner": "1"}}},
}


def page(*nodes: Any, more: bool = False) -> str:
    info = {"hasNextPage": more, "endCursor": "again"}
    return json.dumps({"data": {"address": {"objects": {"pageInfo": info, "nodes": nodes}}}})


def epochs() -> list[str]:
    whole = '{"data": {"chainIdentifier": "4c78adac", "epoch": {"referenceGasPrice": %s}}}'
    return [*ANY, *(whole % each for each in NUMBERS), whole.replace('"4c78adac"', "7") % "1"]


def badges() -> list[str]:
    wrong: list[dict[str, Any]] = [
        {"address": "0x"},
        {"address": "x" * 100_000},
        {"digest": "0"},
        {"digest": "1" * 44},
        {"version": "50"},
        {"version": -1},
        {"version": 2**64},
        {"owner": 7},
        {"owner": {"__typename": "AddressOwner", "address": {"address": "no"}}},
        {"contents": {"type": {"repr": "x"}, "json": {"small_id": {}}}},
        {"contents": {"type": {"repr": "x"}, "json": []}},
        {"contents": None},
    ]
    numbers = (page(BADGE).replace('"inner": "1"', f'"inner": {each}') for each in NUMBERS)
    return [*ANY, *(page({**BADGE, **each}) for each in wrong), *numbers, page(more=True)]


def simulations() -> list[str]:
    whole = '{"data": {"simulateTransaction": {"effects": %s}}}'
    effects = ["null", "7", "{}", '{"status": 1}', '{"status": "success"}', '{"status": "PENDING"}']
    aborted = '{"status": "FAILURE", "executionError": {"message": "m", "abortCode": %s}}'
    effects += [aborted % each for each in NUMBERS]
    return [*ANY, *(whole % each for each in effects)]


@pytest.mark.parametrize(
    ("root", "answers"),
    [("chainIdentifier", epochs()), ("address", badges()), ("simulateTransaction", simulations())],
    ids=["epoch", "badges", "simulation"],
)
async def test_no_answer_breaks_a_request(tmp_path: Path, root: str, answers: list[str]) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        for answer in answers:
            await fake.order("set", raw={root: answer})
            with pytest.raises(SubmissionFailedError) as error:
                await ledger.submit(submission(SUBSCRIBE, node_small_id=None))
            assert 0 < len(error.value.detail) < 1000
            assert error.value.tx_digest is None
        seen = await fake.look()
        assert seen["given"] == []
        assert seen["asked"].count("address") < 100 * len(answers)  # pages end
        assert await store.pending("sui") == []
        await fake.order("set", raw={})
        await ledger.submit(submission(SUBSCRIBE))


# Outcomes that do not say, or say otherwise, of which transaction they are.
OF_ANOTHER = [
    json.dumps({"status": status, **digest})
    for status in ("SUCCESS", "FAILURE")
    for digest in ({}, {"digest": None}, {"digest": "1" * 32})
]


async def test_no_answer_to_what_was_sent_makes_it_known_but_a_whole_one(tmp_path: Path) -> None:
    whole = '{"data": {"executeTransaction": {"effects": %s}}}'
    answers = [*ANY, *(whole % each for each in ("null", "{}", '{"status": "PENDING"}'))]
    answers += [whole % '{"status": "SUCCESS", "objectChanges": {"nodes": [{"address": "no"}]}}']
    answers += [whole % each for each in OF_ANOTHER]
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        digests = set()
        for answer in answers:
            await fake.order("set", raw={"executeTransaction": answer})
            with pytest.raises(SubmissionFailedError) as error:
                await ledger.submit(submission(SUBSCRIBE))
            digests.add(error.value.tx_digest)
        (digest,) = digests - {None}
        assert digest is not None
        assert await status(store, digest) is TransactionStatus.PENDING
        await fake.order("set", raw={})
        found = await ledger.transaction(digest)
        assert found is not None
        assert found.status is TransactionStatus.SUCCESS


@pytest.mark.parametrize("effects", OF_ANOTHER)
async def test_what_became_of_another_transaction_settles_nothing(
    tmp_path: Path, effects: str
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await fake.order(
            "set",
            faults={"executeTransaction": ["lose"]},
            raw={"transaction": f'{{"data": {{"transaction": {{"effects": {effects}}}}}}}'},
        )
        with pytest.raises(SubmissionFailedError) as error:
            await ledger.submit(submission(SUBSCRIBE))
        digest = error.value.tx_digest
        assert digest is not None
        await ledger.transaction(digest)
        assert await status(store, digest) is TransactionStatus.PENDING
        await fake.order("set", raw={})
        await ledger.transaction(digest)
        assert await status(store, digest) is TransactionStatus.SUCCESS
