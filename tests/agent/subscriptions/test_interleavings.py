"""Whatever is lost and put back, in whatever order: what was refused never counts, nothing that was taken is lost, and
both sides come to one chain.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from agent.subscriptions.ledger import SubmissionFailedError, TransactionStatus
from contract.subscription.entry import digest_of
from tests.agent.subscriptions.stage import REGISTER, agent, subscribe, unsubscribe, update
from tests.agent.subscriptions.strict_cloud import StrictCloud, linked
from tests.waiting import until

STEPS = 25
SEEDS = range(10)


class Story:
    """One agent and its cloud; a step is a submission, a restart (killed at any moment of one), or a copy put back."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.cloud = StrictCloud()
        self.answered: dict[str, str] = {}  # digest: taken or refused, as whoever asked was told
        self.kept: Path | None = None  # a backup of the agent's disk

    def submission(self):
        task = self.random.choice((1, 2, 9))
        price, most = self.random.randint(1, 9), self.random.randint(1, 9)
        return self.random.choice(
            (REGISTER, subscribe(task, price, most), update(task, price, most), unsubscribe(task))
        )

    async def submit(self, here) -> None:
        self.cloud.moods = self.random.choices(
            ("well", "lost", "dropped", "late"), (6, 1, 1, 1), k=self.random.randint(0, 3)
        )
        try:
            digest = await here.ledger.submit(self.submission())
        except SubmissionFailedError as error:
            if error.tx_digest is not None and error.abort_code is not None:
                self.answered[error.tx_digest] = "refused"
        else:
            self.answered[digest] = "taken"

    async def killed(self, here) -> None:
        """The process is gone somewhere on the way."""
        task = asyncio.create_task(self.submit(here))
        await asyncio.sleep(self.random.choice((0.0, 0.0, 0.001, 0.01, 1.0)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def play(self, link) -> None:
        home = self.folder / "agent"
        step = 0
        while step < STEPS:
            async with agent(home, link) as here:
                for _ in range(self.random.randint(1, 5)):
                    step += 1
                    await self.submit(here)
                if self.random.random() < 0.4:
                    await self.killed(here)
            self.keep_or_put_back(home)

    def keep_or_put_back(self, home: Path) -> None:
        chosen = self.random.random()
        if chosen < 0.3:
            self.kept = self.folder / "kept"
            shutil.rmtree(self.kept, ignore_errors=True)
            shutil.copytree(home, self.kept)
        elif chosen < 0.5 and self.kept is not None:
            shutil.rmtree(home)
            shutil.copytree(self.kept, home)

    async def end(self, link) -> None:
        """All that was late arrives, in any order; then both sides are asked."""
        late = self.cloud.delayed
        self.random.shuffle(late)
        async with agent(self.folder / "agent", link) as here:
            self.cloud.moods = []
            for _ in range(3):
                await until(lambda: self.registered(here), within_s=3600)
                for each in late:
                    self.cloud.take(each)
            chain = [digest_of(each.data) for each in self.cloud.memory.chain]
            for digest, answer in self.answered.items():
                assert (digest in self.cloud.memory.taken) == (answer == "taken")
            rows = [
                each
                for badge in (await here.ledger.nodes()).values()
                for each in await here.store.taken("local", badge)
            ]
            assert [each.tx_digest for each in rows] == chain
            assert all(each.status is TransactionStatus.SUCCESS for each in rows)
            assert await here.store.pending("local") == []
            held = sorted(self.cloud.subscriptions(), key=lambda each: each.task_small_id)
            assert list(await here.subscriptions()) == held

    async def registered(self, here) -> bool:
        try:
            await here.ledger.submit(REGISTER)
        except SubmissionFailedError:
            return False
        return True


@pytest.mark.parametrize("seed", SEEDS)
async def test_both_sides_come_to_one_chain(tmp_path: Path, seed: int) -> None:
    story = Story(tmp_path, seed)
    async with linked(story.cloud) as link:
        await story.play(link)
        await story.end(link)
    assert story.answered
