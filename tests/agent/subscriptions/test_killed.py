"""A process that is killed at any step of a submission leaves nothing undecided: the next one settles it, and what was
answered stays as it was answered.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agent.link.client import CloudLink
from agent.subscriptions.ledger import TransactionStatus
from contract.clock import SystemClock
from contract.subscription.entry import digest_of
from contract.subscription.ids import parse_digest
from tests.agent.subscriptions.stage import Agent, subscribe
from tests.agent.subscriptions.strict_cloud import StrictCloud
from tests.warm import started

pytestmark = pytest.mark.real_time


async def life(folder: Path, url: str, name: str, fuse: int) -> tuple[int, list[str]]:
    """How it ended, and what it said."""
    process = await started("tests.agent.subscriptions.crashing", folder, url, name, fuse)
    out, err = await process.communicate()
    assert process.returncode is not None
    assert process.returncode in (0, -9), err.decode()
    return process.returncode, out.decode().splitlines()


@pytest.mark.parametrize("name", ["register", "subscribe", "unsubscribe"])
async def test_a_submission_killed_at_any_step_ends_right(tmp_path: Path, name: str) -> None:
    cloud = StrictCloud()
    async with cloud.listening() as url:
        before = tmp_path / "before"
        before.mkdir()
        if name != "register":
            await life(before, url, "register", -1)
            link = CloudLink(url, "token")
            here = Agent(before, link, SystemClock())
            await here.ledger.submit(subscribe(2))
            await here.store.close()
            await link.close()
        memory = cloud.copy()
        shutil.copytree(before, tmp_path / "whole")
        code, said = await life(tmp_path / "whole", url, name, -1)
        assert code == 0
        steps = int(said[-1])
        assert steps >= 8
        for fuse in range(steps):
            cloud.restore(memory)
            folder = tmp_path / str(fuse)
            shutil.copytree(before, folder)
            code, said = await life(folder, url, name, fuse)
            assert code == -9
            await settled(folder, url, cloud, said)


async def settled(folder: Path, url: str, cloud: StrictCloud, said: list[str]) -> None:
    """The next process: it begins, and then both sides are looked at."""
    link = CloudLink(url, "token")
    here = Agent(folder, link, SystemClock())
    try:
        await here.ledger._settle_once()
        assert await here.store.pending("local") == []
        chain = [digest_of(each.data) for each in cloud.memory.chain]
        if said:
            parse_digest(said[0])
            assert said[0] in chain
        rows = [
            each
            for badge in (await here.ledger.nodes()).values()
            for each in await here.store.taken("local", badge)
        ]
        assert [each.tx_digest for each in rows] == chain
        for each in rows:
            assert each.status is TransactionStatus.SUCCESS
        held = sorted(cloud.subscriptions(), key=lambda each: each.task_small_id)
        assert list(await here.subscriptions()) == held
    finally:
        await here.store.close()
        await link.close()
