"""The cloud learns of what the network took, in order, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.ports import CloudError
from agent.subscriptions.ledger import SubmissionFailedError
from contract.subscription.link import AnnouncedOperation
from tests.agent.subscriptions.sui.fake.client import fake_sui
from tests.agent.subscriptions.sui.site import (
    REGISTER,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Cloud,
    opened,
    submission,
)
from tests.waiting import until

pytestmark = pytest.mark.real_time


async def test_what_was_taken_is_announced_once_and_in_order_through_restarts(
    tmp_path: Path,
) -> None:
    cloud = Cloud(CloudError("away", retry=True))
    async with fake_sui() as fake:
        async with opened(fake.url, tmp_path, link=cloud) as (ledger, _):
            first = await ledger.submit(submission(SUBSCRIBE, node_small_id=None))
            with pytest.raises(SubmissionFailedError):
                await ledger.submit(submission(SUBSCRIBE))
            await until(lambda: cloud.taken)
        async with opened(fake.url, tmp_path) as (ledger, _):
            second = await ledger.submit(submission(UNSUBSCRIBE))
        async with opened(fake.url, tmp_path, link=cloud):
            await until(lambda: len(cloud.taken) == 2)
    assert [each.tx_digest for each in cloud.taken] == [first, second]
    assert cloud.taken[0].sequence < cloud.taken[1].sequence
    assert cloud.taken[0].operations == tuple(
        AnnouncedOperation(
            kind=SUBSCRIBE,
            node_small_id=node,
            task_small_id=1,
            price_per_compute_unit=10,
            max_num_compute_units=20,
        )
        for node in (1, 2)
    )


async def test_a_refusal_holds_nothing_up_and_a_registration_is_not_announced(
    tmp_path: Path,
) -> None:
    cloud = Cloud(CloudError("no", retry=False, status=400))
    async with (
        fake_sui("per_million", badges={}) as fake,
        opened(fake.url, tmp_path, link=cloud) as (ledger, _),
    ):
        await ledger.submit(submission(REGISTER, 0, node_small_id=None))
        await ledger.submit(submission(SUBSCRIBE))
        await until(lambda: not cloud.faults)
        digest = await ledger.submit(submission(SUBSCRIBE, 2))
        await until(lambda: cloud.taken)
    assert [each.tx_digest for each in cloud.taken] == [digest]


async def test_a_cloud_that_was_put_back_from_a_copy_is_told_again_what_it_lost(
    tmp_path: Path,
) -> None:
    cloud = Cloud()
    async with fake_sui() as fake:
        async with opened(fake.url, tmp_path, link=cloud) as (ledger, _):
            digests = [await ledger.submit(submission(SUBSCRIBE, task)) for task in (1, 2)]
            digests.append(await ledger.submit(submission(UNSUBSCRIBE)))
            await until(lambda: len(cloud.taken) == 3)
        for kept in (1, 0):
            del cloud.taken[kept:]
            async with opened(fake.url, tmp_path, link=cloud):
                await until(lambda: len(cloud.taken) == 3)
            assert [each.tx_digest for each in cloud.taken] == digests
