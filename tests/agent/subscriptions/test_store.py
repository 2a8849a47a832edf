"""What is said to be kept is on disk, and a disk that cannot keep it says so before anything is sent."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.subscriptions.ledger import LedgerTransaction, TransactionStatus
from agent.subscriptions.store import (
    FAILURES_KEPT,
    NodeOperation,
    SettledTransaction,
    TransactionStore,
)
from contract.clock import SystemClock
from contract.subscription.link import Subscription
from contract.subscription.rules import LedgerOperation, OperationKind, Terms

pytestmark = pytest.mark.real_time

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BADGE = bytes(range(32))
SUCCESS, FAILURE, PENDING = (
    TransactionStatus.SUCCESS,
    TransactionStatus.FAILURE,
    TransactionStatus.PENDING,
)


def transaction(digest: str, sequence: int = 1) -> LedgerTransaction:
    return LedgerTransaction(
        tx_digest=digest,
        ledger="local",
        kind=OperationKind.SUBSCRIBE,
        status=PENDING,
        created_at=AT,
        payload=b"payload",
        signature=b"signature",
        sequence=sequence,
        sender=BADGE,
    )


def subscribe(task: int, price: int = 10, most: int = 20) -> NodeOperation:
    terms = Terms(price=price, max_units=most)
    return NodeOperation(1, LedgerOperation(OperationKind.SUBSCRIBE, task, terms))


def row(task: int, price: int = 10, most: int = 20, *, valid: bool = True) -> Subscription:
    return Subscription(
        node_small_id=1,
        task_small_id=task,
        price_per_compute_unit=price,
        max_num_compute_units=most,
        valid=valid,
    )


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[TransactionStore]:
    store = TransactionStore(folder / "subscriptions.db", SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_transaction_is_kept_through_a_restart_in_a_file_of_our_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(transaction("a"))
        await store.add(transaction("a", 7))  # its digest is kept already
    assert (tmp_path / "subscriptions.db").stat().st_mode & 0o777 == 0o600
    async with opened(tmp_path) as store:
        assert await store.transaction("a") == transaction("a")
        assert await store.pending("local") == [transaction("a")]
        assert await store.pending("sui") == []
        assert await store.transaction("b") is None


async def test_subscriptions_change_with_a_success_alone(tmp_path: Path) -> None:
    unsubscribe = NodeOperation(1, LedgerOperation(OperationKind.UNSUBSCRIBE, 3))
    async with opened(tmp_path) as store:
        await store.keep_nodes("local", {1: BADGE})
        for digest, sequence in (("a", 1), ("b", 2), ("c", 2)):
            await store.add(transaction(digest, sequence))
        await store.settle([SettledTransaction("a", FAILURE, 312_012_017, (subscribe(3),))])
        assert await store.subscriptions("local") == []
        await store.settle([SettledTransaction("b", SUCCESS, None, (subscribe(3),))])
        assert await store.subscriptions("local") == [row(3)]
        await store.settle([SettledTransaction("b", FAILURE)])  # a success stays one
        await store.settle([SettledTransaction("c", SUCCESS, None, (unsubscribe,))])
        assert await store.subscriptions("local") == [row(3, valid=False)]
        failed = await store.transaction("a")
        assert failed is not None
        assert (failed.status, failed.abort_code) == (FAILURE, 312_012_017)
        assert failed.settled_at is not None
        assert [each.tx_digest for each in await store.taken("local", BADGE)] == ["b", "c"]
        assert [each.tx_digest for each in await store.taken("local", BADGE, 2)] == []
        assert await store.nodes("local") == {1: BADGE}


async def test_what_was_not_sent_is_pending_again_in_the_same_bytes(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for digest in ("a", "b"):
            await store.add(transaction(digest))
        await store.settle([SettledTransaction("a", FAILURE), SettledTransaction("b", SUCCESS)])
        await store.add_again(transaction("a", 7))
        await store.add_again(transaction("b", 8))  # was taken, and stays so
        assert await store.pending("local") == [transaction("a", 7)]
        assert [each.tx_digest for each in await store.taken("local", BADGE)] == ["b"]


async def test_several_are_settled_all_or_none(tmp_path: Path) -> None:
    learned = transaction("b", 2)
    async with opened(tmp_path) as store:
        await store.add(transaction("a"))
        await store.settle(
            [SettledTransaction("b", SUCCESS), SettledTransaction("a", FAILURE)], learned=[learned]
        )
        assert await store.pending("local") == []
        last = await store.last_taken("local", BADGE)
        assert last is not None
        assert last.tx_digest == "b"
        await store.revoke([SettledTransaction("b", FAILURE, 312_012_015)])
        assert await store.last_taken("local", BADGE) is None
        await store.add(transaction("c", 3))
        broken = SettledTransaction("c", SUCCESS, 2**70)
        with pytest.raises(OverflowError):
            await store.settle([SettledTransaction("c", SUCCESS, None, (subscribe(9),)), broken])
        assert await store.subscriptions("local") == []
        assert await store.pending("local") == [transaction("c", 3)]


async def test_the_authority_is_mirrored_and_what_is_so_already_keeps_its_digest(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as store:
        await store.keep_nodes("local", {1: BADGE})
        await store.add(transaction("a"))
        done = (subscribe(1), subscribe(2), subscribe(3))
        await store.settle([SettledTransaction("a", SUCCESS, None, done)])
        await store.mirror("local", 1, [row(1), row(2, price=11), row(4)])
        assert await store.subscriptions("local") == [row(1), row(2, price=11), row(4)]
        db = sqlite3.connect(tmp_path / "subscriptions.db")
        digests = db.execute("SELECT task_small_id, tx_digest FROM subscriptions").fetchall()
        db.close()
        assert digests == [(1, "a"), (2, None), (4, None)]
        await store.keep_nodes("local", {2: BADGE})
        assert await store.subscriptions("local") == []


async def test_notes_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        assert await store.noted("catalogue") is None
        await store.note("catalogue", b"1")
        await store.note("catalogue", b"2")
    async with opened(tmp_path) as store:
        assert await store.noted("catalogue") == b"2"


async def test_the_oldest_failures_go(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(replace(transaction("kept"), status=SUCCESS))
        many = [transaction(f"f{each}") for each in range(FAILURES_KEPT + 2)]
        await store.settle(
            [SettledTransaction(each.tx_digest, FAILURE) for each in many], learned=many
        )
        assert await store.transaction("f1") is None
        assert await store.transaction("f2") is not None
        assert await store.transaction("kept") is not None


@pytest.mark.parametrize("harm", ["overwritten", "no database"])
async def test_a_damaged_file_is_set_aside(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path) as store:
        for number in range(200):
            await store.add(transaction(f"t{number}", number))
    path = tmp_path / "subscriptions.db"
    data = bytearray(path.read_bytes())
    if harm == "overwritten":
        data[4096:] = os.urandom(len(data) - 4096)
    else:
        data = bytearray(b"rubbish" * 1000)
    path.write_bytes(data)
    async with opened(tmp_path) as store:
        assert store.mishap is not None
        assert "kept as subscriptions.db.damaged-" in store.mishap
        assert await store.pending("local") == []
        await store.add(transaction("a"))
    async with opened(tmp_path) as store:
        assert store.mishap is None
        assert await store.pending("local") == [transaction("a")]


async def test_a_file_that_is_deleted_under_the_agent_is_begun_anew(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add(transaction("a"))
        for each in tmp_path.iterdir():
            each.unlink()
        await store.add(transaction("b"))
        assert store.mishap is not None
    async with opened(tmp_path) as store:
        assert await store.pending("local") == [transaction("b")]
