"""A task path that runs, between a cloud and miners in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.journal import Journal
from agent.limits.policy import Policy
from agent.tasks.path import TaskPath
from agent.update.updates import Updates
from contract.clock import Clock
from tests.agent.fake_cloud import FakeCloud
from tests.agent.farm import FakeFarm
from tests.agent.policies import policy_with
from tests.virtual_time import loop_clock


class Site:
    """A running task path and its far sides."""

    def __init__(
        self,
        folder: Path,
        *,
        cloud: FakeCloud | None = None,
        farm: FakeFarm | None = None,
        clock: Clock | None = None,
        policy: Policy | None = None,
        journal: Journal | None = None,
        updates: Updates | None = None,
    ) -> None:
        self.clock = clock or loop_clock()
        self.cloud = cloud or FakeCloud(self.clock)
        self.farm = farm or FakeFarm()
        kept = Journal(folder / "journal.db", self.clock, ballast_bytes=4096)
        self.journal = journal or kept
        self.path = TaskPath(
            self.journal,
            self.cloud,
            self.farm,
            self.farm,
            self.farm,
            policy or policy_with(stop_within_s=1.0),
            self.clock,
            folder,
            updates=updates,
        )
        self._run: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._run = asyncio.create_task(self.path.run())

    async def stop(self) -> None:
        assert self._run is not None
        self.path.stop()
        await asyncio.wait_for(asyncio.shield(self._run), 20.0)

    async def die(self) -> None:
        """End as a crash does: nothing is finished, nothing more is written."""
        assert self._run is not None
        self._run.cancel()
        await asyncio.wait({self._run})

    def task(self, miner: int = 0, **more: Any) -> str:
        return self.cloud.create(miner=self.farm.miners[miner].ref, **more)


@asynccontextmanager
async def site(folder: Path, **parts: Any) -> AsyncIterator[Site]:
    """A site that runs until the block ends."""
    made = Site(folder, **parts)
    made.start()
    try:
        await asyncio.wait_for(made.path.ready(), 10.0)
        yield made
    finally:
        if made._run is not None and not made._run.done():
            await made.stop()


async def crash_and_restart(before: Site, folder: Path) -> Site:
    await before.die()
    after = Site(folder, cloud=before.cloud, farm=before.farm, clock=before.clock)
    after.start()
    await asyncio.wait_for(after.path.ready(), 10.0)
    return after
