"""Agent and cloud killed at random instants under a mixed load: nothing lost, nothing twice, nothing claimed falsely."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.system.checker import INTENT_SHARE, UNKNOWN_SHARE, Figures
from tests.system.gates.onsite import Hands
from tests.system.site import Killer, load_of, open_site

SEED = 20_261_121
AGENT_KILLS = int(os.environ.get("MINER_AGENT_CRASHES", "300"))  # more of them by night, by hand
CLOUD_KILLS, MINERS = AGENT_KILLS // 3, 50
WHATSMINERS, ICERIVERS = 0.3, 0.2  # of the miners; of every dialect that takes changes
# One that is paused, and one whose program is ended by its unit; cards that take limits; a processor and no card.
RIGS = ("xmrig-and-lolminer", "6xrtx3080-trex", "xmrig-cpu")
DRIVEN = {"pause", "resume", "stop", "start", "power_limit", "reboot"}  # what these are to show
AWAY_S = 0.6  # as long as importing takes, which the lives here do without: what a miner does meanwhile goes on
KILL_S = 2.0  # how long one life of the agent takes, at least


async def gate(
    folder: Path,
    base: str,
    *,
    miners: int,
    rigs: Sequence[str],
    agent_kills: int,
    cloud_kills: int,
    open_tasks: int,
) -> tuple[Figures, int, int]:
    """Kill that often under load, then let everything end in peace and ask the checker. Gives its figures, how often the
    cloud was killed, and how many wishes on site were answered meanwhile.
    """
    whatsminers, icerivers = round(miners * WHATSMINERS), round(miners * ICERIVERS)
    antminers = miners - whatsminers - icerivers - len(rigs)
    makes = f"antminer:{antminers},whatsminer:{whatsminers},iceriver:{icerivers}"
    makes = ",".join((makes, *(f"rig/{key}" for key in rigs)))
    async with open_site(
        folder, makes=makes, base=base, settings={"log": {"level": "info"}}
    ) as site:
        await site.warm()
        load = load_of(site, seed=SEED, open_tasks=open_tasks)
        killer = Killer(site, seed=SEED, away_s=AWAY_S)
        hands = Hands(site, seed=SEED)
        working = [asyncio.create_task(each) for each in (load.run(), hands.run())]
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(killer.agent(agent_kills))
                mean_s = agent_kills * KILL_S / (cloud_kills + 1)
                group.create_task(killer.cloud(cloud_kills, mean_s=mean_s))
            meanwhile = len(hands.answers)
            await site.until(lambda: hands.answers, "the answer to a wish on site")
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        for each in working:
            if not each.cancelled():
                each.result()  # the load must not have ended by itself
        await load.all_ended()
        await site.all_reported()
        seen = await load.seen()
        figures = await site.verdict(seen, killer.kills, load.promised)
        shown = {each.task_id: each.status for each in seen}
        answered = {each["task_id"]: each["status"] for each in hands.answers}
        assert answered.items() <= shown.items()
        assert site.stage.agent.lives == agent_kills + 1
        return figures, killer.cloud_kills, meanwhile


async def test_a_few_crashes_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    figures, *_ = await gate(
        tmp_path, base, miners=12, rigs=RIGS[:1], agent_kills=5, cloud_kills=2, open_tasks=24
    )
    tell(figures.table("crash gate, small: 12 miners, 5 kills of the agent, 2 of the cloud"))
    assert figures.wrongs == 0, figures.findings
    assert figures.effects > 0


@pytest.mark.slow
async def test_three_hundred_crashes_lose_nothing_and_do_nothing_twice(
    tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    figures, cloud_kills, answered = await gate(
        tmp_path,
        base,
        miners=MINERS,
        rigs=RIGS,
        agent_kills=AGENT_KILLS,
        cloud_kills=CLOUD_KILLS,
        open_tasks=90,
    )
    tell(
        figures.table(
            f"crash gate: {MINERS} miners, {AGENT_KILLS} kills of the agent, {cloud_kills} of the cloud"
        )
    )
    assert figures.wrongs == 0, figures.findings
    assert set(figures.rig_effects) >= DRIVEN
    assert answered
    assert figures.kills >= AGENT_KILLS
    assert figures.intent_share >= INTENT_SHARE
    assert figures.unknown_share <= UNKNOWN_SHARE
