"""The agent's folder or the cloud's database is put back to an older copy, under a mixed load, again and again.

A round begins when everything before it has ended. While new tasks of every name run on miners of every make, a copy is
taken of one side, as a backup of something that runs or as a power cut leaves it. Up to a minute later that side is
killed and started again on the copy, the other side as it is or killed and started again too. Never are both put back to
before the same moment: a world in which both have forgotten a task is one in which it never was.

What must hold afterwards is what holds after crashes, and the same checker says so. What its words mean here:

lost            A task is held by a side that was not put back, or it is nobody's. So these count: every task that the
                cloud shows at the end, and every task that any journal ever held, also one that was put back since. Each
                has to be in the cloud, ended. As it ended in the journal, where the journal that is there now says so,
                and where one that is gone had its acknowledgement: an outcome that was only in a journal that is gone,
                nobody can know; the honest end of that task is `unknown`, which is printed, not forbidden.
                Not counted is a batch that the cloud took after the copy of its database was made and of which no
                journal ever held a task: the operator's call was answered, and the answer went with the disk. That is
                what a backup costs. Of such a batch every task that a journal did hold is counted: its agent brings
                the task back, under the same id.
twice           A one-shot that reached its miner more than once, by whatever journals.
false succeed   No journal, of those that are and those that were, can stand for it with the ledger.
false not_done  A one-shot that is `not_done` in the cloud and done in the ledger.
unclaimed       Something reached a miner that no journal had an intent for, on the disk of its time.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.system.checker import Figures, check
from tests.system.gates.load import AWAY, Load
from tests.system.gates.restore import Restorer, Side
from tests.system.site import Site, load_of, open_site
from tests.system.witness import numbers, read_groups, read_ledger

SEED = 20_261_129
ROUNDS = int(os.environ.get("MINER_AGENT_RESTORES", "60"))  # more of them by night, by hand
MAKES = "antminer:5,whatsminer:4,iceriver:2,rig/xmrig-and-lolminer"
OPEN_TASKS = 24
TIME_SCALE = 120.0
QUIET: dict[str, dict[str, Any]] = {
    "telemetry": {"interval_s": 30},
    "log": {"level": "warning"},
}
PATIENCE_S = 60.0  # for all that is open to end; what has not by then is waited for no more, and found as lost
YOUNG_S = 1.5  # the mean age of a copy that is put back in the round in which it was taken


class Rounds:
    """One after the other, on one site."""

    def __init__(self, site: Site, *, seed: int) -> None:
        self.restorer = Restorer(site, seed=seed)
        self.stuck: set[str] = set()
        self._site = site
        self._load = load_of(site, seed=seed, open_tasks=OPEN_TASKS)
        self._random = random.Random(seed)

    async def play(self, side: Side) -> None:
        """Load, copy, more load, back to the copy, more load, and everything ends."""
        pick, restorer = self._random, self.restorer
        async with _running(self._load):
            await asyncio.sleep(pick.uniform(0.1, 0.8))
            fresh = await restorer.copy(side)
            if side is Side.AGENT and pick.random() < 0.5:
                await self._one_shot_reaches_a_miner()  # one that the copy may hold as not begun
            else:
                await asyncio.sleep(min(pick.expovariate(1 / YOUNG_S), 4 * YOUNG_S))
        copy = restorer.choose(side, fresh)
        await restorer.put_back(copy)
        if side is Side.CLOUD:
            self._load.forget(restorer.batches_of(copy))
        async with _running(self._load):
            await asyncio.sleep(pick.uniform(0.0, 0.8))
        await self._all_end()

    async def figures(self) -> Figures:
        """What the checker says of all rounds."""
        seen = await self._load.seen()
        ledger, restorer = read_ledger(self._site.stage.ledger), self.restorer
        return check(
            ledger, self._site.rows(), seen, restorer.kills, self._load.promised, restorer.gone,
            groups=read_groups(self._site.database), put_back_t=restorer.cloud_put_back_t,
            origin=self._site.origin,
        )  # fmt: skip

    async def _one_shot_reaches_a_miner(self) -> None:
        ledger = self._site.stage.ledger
        size = ledger.stat().st_size
        loop = asyncio.get_running_loop()
        give_up = loop.time() + 2 * YOUNG_S
        while loop.time() < give_up and b'"reboot"' not in ledger.read_bytes()[size:]:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.02)

    async def _all_end(self) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_S
        while open_ := await self._open():
            await self._load.decide()
            if loop.time() > give_up:
                self.stuck |= open_
                return
            await asyncio.sleep(0.2)

    async def _open(self) -> set[str]:
        """What has not ended yet, or is not known to have: tasks of the journal, batches of the cloud."""
        rows = {row.task_id for row in self._site.rows() if row.state != "reported"} - self.stuck
        if rows:
            return rows
        told, heard = numbers(self._site.journal, self.restorer.database)
        if told > heard:
            return {"what the database has lost"}
        try:
            batches = await self._site.operator.batches()
        except AWAY:
            return {"the cloud"}
        return {each["batch_id"] for each in batches if each["status"] == "pending"} - self.stuck


class _running:  # noqa: N801 - reads as a verb
    """A load that creates batches while inside."""

    def __init__(self, load: Load) -> None:
        self._load = load

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._load.run())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._task.cancelled():
            self._task.result()  # it must not have ended by itself


async def gate(folder: Path, base: str, tell: Callable[[str], None], *, rounds: int) -> Figures:
    """So many rounds, the side of each by a seed; what the checker says of all of them."""
    pick, side = random.Random(SEED), Side.CLOUD
    async with open_site(
        folder, makes=MAKES, base=base, time_scale=TIME_SCALE, settings=QUIET
    ) as site:
        await site.warm()
        played = Rounds(site, seed=SEED)
        for number in range(rounds):
            # Mostly the same side again: the longer it was the other's turn, the older a copy can be.
            if number < 2 or pick.random() < 0.3:
                side = Side.AGENT if side is Side.CLOUD else Side.CLOUD
            await played.play(side)
        figures = await played.figures()
    made = played.restorer
    ages = sorted(made.ages_s)
    counts = ", ".join(f"{count} of the {side}" for side, count in made.restored.items())
    tell(
        figures.table(
            f"restore gate: {rounds} rounds: {counts}; copies {ages[0]:.1f} to {ages[-1]:.1f} s old, "
            f"{ages[len(ages) // 2]:.1f} in the middle; the other side restarted in {made.restarted_both}"
        )
    )
    return figures


@pytest.mark.slow
async def test_a_few_copies_put_back_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    figures = await gate(tmp_path, base, tell, rounds=3)
    assert figures.wrongs == 0, figures.findings
    assert figures.effects > 0


@pytest.mark.slow
async def test_sixty_copies_put_back_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    figures = await gate(tmp_path, base, tell, rounds=ROUNDS)
    assert figures.wrongs == 0, figures.findings
    assert figures.effects > 10 * ROUNDS
