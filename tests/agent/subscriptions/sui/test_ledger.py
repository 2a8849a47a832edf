"""The ledger `sui` on a network that checks what it is given: what is asked for is done once, and what became of it is
known in the end.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.subscriptions.ledger import (
    Submission,
    SubmissionFailedError,
    TransactionStatus,
    WrongNodeError,
)
from contract.subscription.ids import object_id_text
from contract.subscription.rules import ABORT_BASE, Terms
from tests.agent.subscriptions.sui.fake.chain import COLLATERAL, GAS_USED
from tests.agent.subscriptions.sui.fake.client import BADGES, COINS, RICHEST, fake_sui
from tests.agent.subscriptions.sui.site import (
    REGISTER,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATE,
    opened,
    paid_by,
    status,
    submission,
)
from tests.waiting import until

pytestmark = pytest.mark.real_time


async def test_subscribe_update_and_unsubscribe_reach_the_network_and_the_books(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        assert await ledger.nodes() == {
            node: bytes.fromhex(key[2:]) for key, node in BADGES.items()
        }
        assert ledger.max_enforced_by is None
        digest = await ledger.submit(submission(SUBSCRIBE))
        assert (await fake.look())["subscriptions"] == [[1, 1, 10, 20]]
        row = await ledger.transaction(digest)
        assert row is not None
        assert (row.status, row.kind) == (TransactionStatus.SUCCESS, SUBSCRIBE)
        await ledger.submit(submission(UPDATE, terms=Terms(11, 21)))
        assert (await fake.look())["subscriptions"] == [[1, 1, 11, 21]]
        (held,) = await store.subscriptions("sui")
        assert (held.price_per_compute_unit, held.max_num_compute_units, held.valid) == (
            11,
            21,
            True,
        )
        await ledger.submit(submission(UNSUBSCRIBE))
        seen = await fake.look()
        assert seen["subscriptions"] == []
        assert [each.valid for each in await store.subscriptions("sui")] == [False]
        assert seen["balances"] == {**COINS, RICHEST: COINS[RICHEST] - 3 * GAS_USED}


async def test_without_a_node_all_nodes_are_meant_under_one_digest(tmp_path: Path) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await ledger.submit(submission(SUBSCRIBE, node_small_id=2))
        with pytest.raises(SubmissionFailedError) as error:
            await ledger.submit(submission(SUBSCRIBE, node_small_id=None))
        assert error.value.abort_code == ABORT_BASE + 16
        assert error.value.tx_digest is None  # it was simulated, and never signed
        await ledger.submit(submission(UNSUBSCRIBE, node_small_id=2))
        digest = await ledger.submit(submission(SUBSCRIBE, node_small_id=None))
        seen = await fake.look()
        assert seen["subscriptions"] == [[1, 1, 10, 20], [2, 1, 10, 20]]
        assert list(seen["executed"])[-1] == digest
        assert [each.node_small_id for each in await store.subscriptions("sui")] == [1, 2]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (submission(SUBSCRIBE, 9), 17),
        (submission(SUBSCRIBE, 3), 15),
        (submission(UPDATE), 18),
        (submission(UNSUBSCRIBE), 18),
        (submission(SUBSCRIBE, terms=Terms(0, 1)), 37),
        (submission(SUBSCRIBE, terms=Terms(1, 0)), 38),
    ],
)
async def test_what_the_package_does_not_take_is_neither_signed_nor_stored(
    tmp_path: Path, asked: Submission, code: int
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        with pytest.raises(SubmissionFailedError) as error:
            await ledger.submit(asked)
        assert error.value.abort_code == ABORT_BASE + code
        assert "nothing was sent" in error.value.detail
        assert (await fake.look())["given"] == []
        assert await store.subscriptions("sui") == []


async def test_the_newer_package_is_recognised_and_keeps_a_price_per_million(
    tmp_path: Path,
) -> None:
    async with fake_sui("per_million") as fake:
        await fake.order("set", more_parameters=["TxContext"])
        async with opened(fake.url, tmp_path) as (ledger, store):
            assert ledger.max_enforced_by == "control_plane"
            await ledger.submit(submission(SUBSCRIBE))
            assert (await fake.look())["subscriptions"] == [[1, 1, 10_000_000, 0]]
            (held,) = await store.subscriptions("sui")
            assert (held.price_per_compute_unit, held.max_num_compute_units) == (10, 20)
            with pytest.raises(ValueError, match="price_per_compute_unit is at most 9223372036854"):
                await ledger.submit(submission(UPDATE, terms=Terms(9223372036855, 1)))
            await ledger.submit(submission(UPDATE, terms=Terms(9223372036854, 1)))


async def test_a_node_registers_and_its_badge_is_known_at_once(tmp_path: Path) -> None:
    wallet = f"0x{0xC1:064x}"
    async with (
        fake_sui(badges={}) as fake,
        opened(fake.url, tmp_path, collateral_coin=wallet) as (ledger, _),
    ):
        with pytest.raises(SubmissionFailedError, match="node is not registered"):
            await ledger.submit(submission(SUBSCRIBE, node_small_id=None))
        await fake.order("set", lag=1)
        await ledger.submit(submission(REGISTER, 0, node_small_id=None))
        assert list(await ledger.nodes()) == [1]
        assert (await fake.look())["balances"][wallet] == COINS[wallet] - COLLATERAL


async def test_the_older_package_needs_a_coin_for_its_deposit_and_the_newer_none(
    tmp_path: Path,
) -> None:
    async with fake_sui(badges={}) as fake, opened(fake.url, tmp_path) as (ledger, _):
        with pytest.raises(SubmissionFailedError, match="collateral_coin"):
            await ledger.submit(submission(REGISTER, 0, node_small_id=None))
    async with (
        fake_sui("per_million", badges={}) as fake,
        opened(fake.url, tmp_path) as (ledger, _),
    ):
        await ledger.submit(submission(REGISTER, 0, node_small_id=None))
        assert list(await ledger.nodes()) == [1]


async def test_another_node_than_ours_is_refused(tmp_path: Path) -> None:
    one, two = (bytes.fromhex(key[2:]) for key in BADGES)
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        for wrong in ({"node_small_id": 3}, {"badge": two}, {"badge": bytes(32)}):
            with pytest.raises(WrongNodeError):
                await ledger.submit(submission(SUBSCRIBE, **wrong))
        await ledger.submit(submission(SUBSCRIBE, badge=one))
        assert (await fake.look())["subscriptions"] == [[1, 1, 10, 20]]


async def test_gas_is_paid_as_it_is_asked(tmp_path: Path) -> None:
    poorest = f"0x{0xC1:064x}"
    (badge, _) = BADGES
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        await ledger.submit(submission(SUBSCRIBE, gas=paid_by(poorest, budget=10**8, price=1001)))
        assert (await fake.look())["balances"][poorest] == COINS[poorest] - GAS_USED
        refused = {
            "holds less than the budget": paid_by(poorest, budget=10**8),
            "no SUI coin of": paid_by(budget=10**9),
            "is no SUI coin": paid_by(badge),
            "is no object of": paid_by(object_id_text(bytes(32))),
            "lower than the needed amount": paid_by(budget=1),
            "under the reference gas price": paid_by(price=10),
        }
        for said, gas in refused.items():
            with pytest.raises(SubmissionFailedError, match=said):
                await ledger.submit(submission(UPDATE, gas=gas))
        assert len((await fake.look())["given"]) == 1


async def test_an_answer_that_was_lost_is_found_by_its_digest_and_never_signed_again(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await fake.order(
            "set", faults={"executeTransaction": ["lose"], "multiGetObjects": ["drop"] * 3}
        )
        with pytest.raises(SubmissionFailedError, match="not known yet") as error:
            await ledger.submit(submission(SUBSCRIBE))
        digest = error.value.tx_digest
        assert digest is not None
        assert await store.subscriptions("sui") == []
        with pytest.raises(SubmissionFailedError, match="nothing is signed before"):
            await ledger.submit(submission(SUBSCRIBE, 2))
        assert digest in str(ledger.trouble)
        await fake.order("set", faults={})
        row = await ledger.transaction(digest)
        assert row is not None
        assert row.status is TransactionStatus.SUCCESS
        assert [each.task_small_id for each in await store.subscriptions("sui")] == [1]
        await ledger.submit(submission(SUBSCRIBE, 2))
        assert len(set((await fake.look())["given"])) == 2


@pytest.mark.parametrize(
    "fault", ["drop", "html", "status", "redirect", "gigabytes", "not_json", "errors", "null"]
)
async def test_whatever_is_answered_the_same_bytes_are_given_once_more_until_it_is_known(
    tmp_path: Path, fault: str
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path, timeout_s=60.0) as (ledger, _):
        await fake.fault("executeTransaction", fault)
        digest = None
        try:
            digest = await ledger.submit(submission(SUBSCRIBE))
        except SubmissionFailedError as error:
            digest = error.tx_digest
        assert digest is not None
        with pytest.raises(SubmissionFailedError) as error_of_next:
            await ledger.submit(submission(SUBSCRIBE))
        assert error_of_next.value.abort_code == ABORT_BASE + 16
        seen = await fake.look()
        assert seen["executed"] == {digest: "SUCCESS"}
        assert set(seen["given"]) == {digest}


async def test_an_answer_with_errors_after_it_was_done_counts_as_done(tmp_path: Path) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        await fake.fault("executeTransaction", "errors_after")
        digest = await ledger.submit(submission(SUBSCRIBE))
        assert (await fake.look())["executed"] == {digest: "SUCCESS"}


@pytest.mark.parametrize("root", ["chainIdentifier", "address", "simulateTransaction"])
@pytest.mark.parametrize("fault", ["html", "redirect", "errors", "drop", "null", "not_json"])
async def test_a_network_that_answers_wrongly_before_anything_is_signed_ends_the_request(
    tmp_path: Path, root: str, fault: str
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await fake.fault(root, *[fault] * 4)
        with pytest.raises(SubmissionFailedError) as error:
            await ledger.submit(submission(SUBSCRIBE))
        assert error.value.tx_digest is None
        assert (await fake.look())["given"] == []
        assert await store.pending("sui") == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("redirect", "answered 307"),
        ("gigabytes", "is over 4194304 bytes"),
        ("html", "did not answer in JSON: '<html>"),
        ("status", "answered 502"),
    ],
)
async def test_an_answer_is_taken_from_the_endpoint_itself_and_as_far_as_it_may_go(
    tmp_path: Path, fault: str, said: str
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        await fake.fault("simulateTransaction", fault)
        with pytest.raises(SubmissionFailedError, match=said):
            await ledger.submit(submission(SUBSCRIBE))
        seen = await fake.look()
        assert seen["asked"].count("simulateTransaction") == 1
        assert seen["sent"] < 64 * 2**20


async def test_a_network_that_cannot_be_reached_was_sent_nothing(tmp_path: Path) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        url = fake.url
    async with opened(url, tmp_path) as (ledger, store):
        with pytest.raises(SubmissionFailedError, match="cannot be reached"):
            await ledger.submit(submission(SUBSCRIBE))
        assert await store.pending("sui") == []


async def test_an_object_that_somebody_else_changed_meanwhile_is_read_again_once(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await ledger.submit(submission(SUBSCRIBE))
        await fake.order("touch", key=RICHEST)  # with the same key, elsewhere
        await ledger.submit(submission(SUBSCRIBE, 2))
        await fake.order("set", faults={"executeTransaction": ["hold"]})
        first = (await fake.look())["given"]
        asked = asyncio.create_task(ledger.submit(submission(UNSUBSCRIBE, 2)))
        await fake.held("executeTransaction")
        await fake.order("touch", key=RICHEST)
        await fake.order("release", how="answer")
        digest = await asked
        seen = await fake.look()
        (stale,) = set(seen["given"]) - {*first, digest}
        assert stale in seen["refused"]
        assert await status(store, stale) is TransactionStatus.FAILURE
        assert await status(store, digest) is TransactionStatus.SUCCESS
        assert seen["subscriptions"] == [[1, 1, 10, 20]]


async def test_requests_at_once_are_executed_one_after_the_other(tmp_path: Path) -> None:
    asked = [submission(SUBSCRIBE, task, node_small_id=node) for task in (1, 2) for node in (1, 2)]
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        digests = await asyncio.gather(*(ledger.submit(each) for each in asked))
        seen = await fake.look()
        assert list(seen["executed"]) == digests
        assert seen["refused"] == []


async def test_a_network_that_is_silent_past_the_deadline_is_asked_again_later(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path, timeout_s=0.5) as (ledger, store):
        await fake.fault("executeTransaction", "hold")
        with pytest.raises(SubmissionFailedError, match=r"did not answer within 0\.5 s") as error:
            await ledger.submit(submission(SUBSCRIBE))
        await fake.order("release", how="answer")
        assert error.value.tx_digest is not None
        digest = error.value.tx_digest

        async def is_settled() -> bool:
            return await status(store, digest) is TransactionStatus.SUCCESS

        await until(is_settled)  # by itself
        assert (await fake.look())["executed"] == {digest: "SUCCESS"}


async def test_reads_that_lag_behind_do_no_harm(tmp_path: Path) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, _):
        await ledger.submit(submission(SUBSCRIBE))
        await fake.order("set", lag=1)
        await ledger.submit(submission(SUBSCRIBE, 2))
        seen = await fake.look()
        assert seen["subscriptions"] == [[1, 1, 10, 20], [1, 2, 10, 20]]
        assert seen["refused"] == []
        await fake.order("set", node_lag=1)
        with pytest.raises(SubmissionFailedError, match="answered with errors") as error:
            await ledger.submit(submission(UNSUBSCRIBE, 2))
        assert error.value.tx_digest is None
        assert (await fake.look())["given"] == seen["given"]


async def test_a_process_that_reads_of_a_past_names_objects_that_are_gone_and_ends_without_harm(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake:
        async with opened(fake.url, tmp_path) as (ledger, _):
            await ledger.submit(submission(SUBSCRIBE))
        await fake.order("set", lag=1, node_lag=1)
        async with opened(fake.url, tmp_path) as (ledger, store):
            with pytest.raises(SubmissionFailedError, match="not known yet") as error:
                await ledger.submit(submission(SUBSCRIBE, 2))
            stale = error.value.tx_digest
            assert stale is not None
            assert await status(store, stale) is TransactionStatus.PENDING
            await fake.order("set", lag=0, node_lag=0)
            await ledger.submit(submission(SUBSCRIBE, 2))
            assert await status(store, stale) is TransactionStatus.FAILURE
        assert (await fake.look())["subscriptions"] == [[1, 1, 10, 20], [1, 2, 10, 20]]


async def test_what_was_not_sent_is_sent_in_the_same_bytes_when_it_is_asked_for_again(
    tmp_path: Path,
) -> None:
    async with fake_sui() as fake, opened(fake.url, tmp_path) as (ledger, store):
        await fake.fault("simulateTransaction", "deaf")
        with pytest.raises(SubmissionFailedError, match="cannot be reached") as error:
            await ledger.submit(submission(SUBSCRIBE))
        digest = error.value.tx_digest
        assert digest is not None
        assert await status(store, digest) is TransactionStatus.FAILURE
        await fake.order("listen")
        assert await ledger.submit(submission(SUBSCRIBE)) == digest
        assert await status(store, digest) is TransactionStatus.SUCCESS
        assert (await fake.look())["given"] == [digest]
