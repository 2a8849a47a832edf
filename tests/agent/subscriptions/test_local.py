"""The local ledger: what counts is what the cloud has taken, whatever becomes of the answers, and of either memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.ports import CloudError
from agent.subscriptions.ledger import SubmissionFailedError, TransactionStatus, WrongNodeError
from contract.subscription.entry import decode_entry
from contract.subscription.ids import parse_digest
from contract.subscription.rules import Abort, OperationKind
from tests.agent.subscriptions.stage import (
    REGISTER,
    Agent,
    agent,
    copied,
    subscribe,
    unsubscribe,
    update,
)
from tests.agent.subscriptions.strict_cloud import StrictCloud, linked
from tests.waiting import until

SUCCESS, FAILURE = TransactionStatus.SUCCESS, TransactionStatus.FAILURE


class GoneMeanwhile:
    """A link whose cloud takes no connections any more between the question and the entry."""

    def __init__(self, link: Any) -> None:
        self.ledger = link.ledger

    async def record(self, request: Any, *, timeout_s: float) -> Any:
        raise CloudError("the cloud cannot be reached", retry=True, sent=False)


async def agrees(here: Agent, cloud: StrictCloud) -> bool:
    """Whether both sides hold the same chain and the same subscriptions."""
    key = cloud.memory.public_key
    ours = [] if key is None else await here.store.taken("local", (await own_badge(here)))
    same = [each.payload for each in ours] == [each.data for each in cloud.memory.chain]
    held = sorted(cloud.subscriptions(), key=lambda each: each.task_small_id)
    return same and list(await here.subscriptions()) == held


async def own_badge(here: Agent) -> bytes:
    (badge,) = (await here.ledger.nodes()).values()
    return badge


async def test_a_node_registers_subscribes_updates_and_unsubscribes(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        first = await here.ledger.submit(REGISTER)
        assert await here.ledger.submit(REGISTER) == first  # it is registered already
        digests = [
            first,
            await here.ledger.submit(subscribe(1, 10, 100)),
            await here.ledger.submit(update(1, 11, 101)),
            await here.ledger.submit(unsubscribe(1)),
        ]
        assert len({parse_digest(each) for each in digests}) == 4
        for each in digests:
            assert (await here.found(each)).status is SUCCESS
        (row,) = await here.subscriptions()
        assert (row.price_per_compute_unit, row.max_num_compute_units, row.valid) == (
            11,
            101,
            False,
        )
        assert await agrees(here, cloud)
    assert (tmp_path / "a" / "subscriptions.key").stat().st_mode & 0o777 == 0o600


async def test_an_agent_that_never_subscribed_asks_nothing_and_keeps_nothing(
    tmp_path: Path,
) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await asyncio.sleep(3600)
        failure = await here.failure(subscribe(1))
        assert failure.detail == "node is not registered"
        assert cloud.requests == []
        assert not (tmp_path / "a" / "subscriptions.key").exists()


@pytest.mark.parametrize(
    ("submission", "abort"),
    [
        (subscribe(9), Abort.TASK_NOT_FOUND),
        (subscribe(2), Abort.ALREADY_SUBSCRIBED),
        (update(1, 1, 1), Abort.NOT_SUBSCRIBED),
        (unsubscribe(1), Abort.NOT_SUBSCRIBED),
    ],
)
async def test_what_the_rules_refuse_is_a_failure_with_its_code(
    tmp_path: Path, submission, abort: Abort
) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        await here.ledger.submit(subscribe(2))
        failure = await here.failure(submission)
        assert failure.abort_code == abort.code
        found = await here.found(failure.tx_digest)
        assert (found.status, found.abort_code) == (FAILURE, abort.code)
        await here.ledger.submit(subscribe(1))  # its number is free
        assert await agrees(here, cloud)


async def test_a_deprecated_class_can_neither_be_taken_nor_left(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        await here.ledger.submit(subscribe(2))
        cloud.deprecate(1)
        cloud.deprecate(2)
        for each in (subscribe(1), update(2, 1, 1), unsubscribe(2)):
            assert (await here.failure(each)).abort_code == Abort.TASK_DEPRECATED.code


async def test_another_node_than_this_agents_is_refused(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        ((node, badge),) = (await here.ledger.nodes()).items()
        for wrong in (
            replace(subscribe(1), badge=bytes(32)),
            replace(subscribe(1), node_small_id=node + 1),
            replace(subscribe(1), badge=badge, node_small_id=node + 1),
        ):
            with pytest.raises(WrongNodeError):
                await here.ledger.submit(wrong)
        await here.ledger.submit(replace(subscribe(1), badge=badge, node_small_id=node))


async def test_with_the_cloud_away_nothing_is_signed(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        cloud.is_away = True
        failure = await here.failure(subscribe(1))
        assert failure.tx_digest is None
        assert await here.store.pending("local") == []
        cloud.is_away = False
        await here.ledger.submit(subscribe(1))


@pytest.mark.parametrize("mood", ["lost", "late"])
async def test_an_answer_that_is_lost_is_settled_as_what_the_cloud_holds(
    tmp_path: Path, mood: str
) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        cloud.moods = [mood]
        failure = await here.failure(subscribe(1))
        assert failure.tx_digest is not None
        assert (await here.found(failure.tx_digest)).status is SUCCESS
        assert [each.valid for each in await here.subscriptions()] == [True]
        assert (await here.failure(subscribe(1))).abort_code == Abort.ALREADY_SUBSCRIBED.code
        assert await agrees(here, cloud)


async def test_what_never_arrived_is_a_failure_for_ever_even_if_it_comes_later(
    tmp_path: Path,
) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        cloud.moods = ["dropped"]
        failure = await here.failure(subscribe(1))

        async def settled() -> bool:
            return await here.store.pending("local") == []

        await until(settled, within_s=3600)  # by itself
        assert (await here.found(failure.tx_digest)).status is FAILURE
        (late,) = cloud.delayed
        (result,) = cloud.take(late).results
        assert result.state == "conflict"
        assert await here.subscriptions() == ()
        assert await agrees(here, cloud)
        kinds = [decode_entry(each.data).operations[0].kind for each in cloud.memory.chain]
        assert kinds == [OperationKind.REGISTER, OperationKind.VOID]


async def test_a_void_whose_answer_is_lost_is_not_signed_a_second_time(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        cloud.moods = ["dropped", "dropped", "dropped", "lost", "late"]
        failure = await here.failure(subscribe(1))

        async def settled() -> bool:
            return (await here.found(failure.tx_digest)).status is FAILURE

        await until(settled, within_s=3600)
        assert [each.kind for each in await here.store.taken("local", await own_badge(here))] == [
            OperationKind.REGISTER,
            OperationKind.VOID,
        ]
        assert await agrees(here, cloud)


async def test_a_registration_whose_answer_was_lost_is_sent_again(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        cloud.moods = ["dropped"]
        failure = await here.failure(REGISTER)
        assert await here.ledger.submit(REGISTER) == failure.tx_digest
        await here.ledger.submit(subscribe(1))
        assert await agrees(here, cloud)


async def test_a_connection_that_fails_is_a_failure_at_once(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
        async with agent(tmp_path / "a", GoneMeanwhile(link)) as here:
            failure = await here.failure(subscribe(1))
            assert (await here.found(failure.tx_digest)).status is FAILURE
            assert len(cloud.memory.chain) == 1


async def test_a_cloud_that_was_put_back_is_sent_what_it_lost(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        empty = cloud.copy()
        await here.ledger.submit(REGISTER)
        registered = cloud.copy()
        await here.ledger.submit(subscribe(1))
        for memory in (registered, empty):
            cloud.restore(memory)
            await here.failure(subscribe(1))  # it is subscribed: the chain is whole again
            assert await agrees(here, cloud)
            assert [each.valid for each in await here.subscriptions()] == [True]


async def test_what_a_cloud_does_not_take_again_counts_no_more(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        memory = cloud.copy()
        digests = [await here.ledger.submit(subscribe(each)) for each in (1, 2)]
        cloud.restore(memory)
        cloud.deprecate(1)
        await here.ledger.submit(subscribe(2))
        for each in digests:
            assert (await here.found(each)).status is FAILURE
        assert await agrees(here, cloud)
        assert [each.task_small_id for each in await here.subscriptions()] == [2]


async def test_an_agent_that_was_put_back_learns_what_it_signed_later(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
            await here.ledger.submit(subscribe(1))
        old = copied(tmp_path / "a", tmp_path / "old")
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(unsubscribe(1))
            later = await here.ledger.submit(subscribe(2))
        async with agent(old, link) as here:
            await until(lambda: agrees(here, cloud))  # by itself, at its start
            assert (await here.found(later)).status is SUCCESS
            await here.ledger.submit(subscribe(1))
            assert await agrees(here, cloud)


async def test_a_lost_database_is_learned_again(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
            await here.ledger.submit(subscribe(1))
        for each in (tmp_path / "a").glob("subscriptions.db*"):
            each.unlink()
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(update(1, 3, 4))
            assert await agrees(here, cloud)


async def test_a_lost_key_is_replaced_and_the_subscriptions_stay(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
            await here.ledger.submit(subscribe(1))
            before = await here.ledger.nodes()
        async with agent(tmp_path / "b", link) as here:
            await here.ledger.submit(REGISTER)
            await until(lambda: agrees(here, cloud))
            assert [each.task_small_id for each in await here.subscriptions()] == [1]
            assert (await here.ledger.nodes()).keys() == before.keys()
            await here.ledger.submit(unsubscribe(1))
        async with agent(tmp_path / "a", link) as here:
            assert "--new-key" in (await here.failure(subscribe(2))).detail
            assert here.ledger.trouble is not None
            await here.ledger.renew()
            await here.ledger.submit(subscribe(2))
            assert here.ledger.trouble is None
            assert await agrees(here, cloud)


async def test_a_cloud_put_back_to_before_a_new_key_takes_it_again(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        await here.ledger.submit(subscribe(1))
        memory = cloud.copy()
        await here.ledger.renew()
        await here.ledger.submit(subscribe(2))
        cloud.restore(memory)
        await here.ledger.submit(unsubscribe(2))
        assert await agrees(here, cloud)
        assert [each.valid for each in await here.subscriptions()] == [True, False]


async def test_two_memories_that_went_different_ways_are_a_fork_with_a_way_out(
    tmp_path: Path,
) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
        memory = cloud.copy()
        twin = copied(tmp_path / "a", tmp_path / "twin")
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(subscribe(1))
        cloud.restore(memory)
        async with agent(twin, link) as here:
            await here.ledger.submit(subscribe(2))
        async with agent(tmp_path / "a", link) as here:
            failure = await here.failure(subscribe(2))
            assert "--new-key" in failure.detail
            assert [each.task_small_id for each in cloud.subscriptions()] == [2]
            await here.ledger.renew()
            await until(lambda: agrees(here, cloud))
            assert [each.task_small_id for each in await here.subscriptions()] == [2]


async def test_two_agents_with_one_key_never_hold_different_chains(tmp_path: Path) -> None:
    """A copied disk that runs beside the first: each learns what the other signed, or is refused."""
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
        twin = copied(tmp_path / "a", tmp_path / "twin")
        async with agent(tmp_path / "a", link) as one, agent(twin, link) as two:
            outcomes = await asyncio.gather(
                one.ledger.submit(subscribe(1)),
                two.ledger.submit(subscribe(2)),
                return_exceptions=True,
            )
            assert any(isinstance(each, str) for each in outcomes)
            for each in outcomes:
                assert isinstance(each, (str, SubmissionFailedError))
            await one.failure(unsubscribe(9))
            await two.failure(unsubscribe(9))
            assert await agrees(one, cloud)
            assert await agrees(two, cloud)


async def test_entries_that_our_key_never_signed_are_not_learned(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link:
        async with agent(tmp_path / "a", link) as here:
            await here.ledger.submit(REGISTER)
            await here.ledger.submit(subscribe(1))
        forged = cloud.memory.chain[-1]
        cloud.memory.chain[-1] = msgspec.structs.replace(forged, signature=bytes(64))
        for each in (tmp_path / "a").glob("subscriptions.db*"):
            each.unlink()
        async with agent(tmp_path / "a", link) as here:
            assert "not signed" in (await here.failure(subscribe(2))).detail


async def test_an_agent_of_another_workspace_signs_nothing_there(tmp_path: Path) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        cloud.ledger_id = "org_2"
        cloud.restore(StrictCloud().copy())
        assert "another workspace" in (await here.failure(subscribe(1))).detail
        await here.ledger.renew()
        await here.ledger.submit(subscribe(1))


@pytest.mark.parametrize("harm", ["open to others", "no key"])
async def test_a_key_that_cannot_be_used_signs_nothing(tmp_path: Path, harm: str) -> None:
    cloud = StrictCloud()
    async with linked(cloud) as link, agent(tmp_path / "a", link) as here:
        await here.ledger.submit(REGISTER)
        key = tmp_path / "a" / "subscriptions.key"
        if harm == "no key":
            key.write_text("rubbish")
        else:
            key.chmod(0o644)
        failure = await here.failure(subscribe(1))
        assert "subscriptions.key" in failure.detail
        assert failure.tx_digest is None
        assert len(cloud.memory.chain) == 1
