"""An agent that breaks a rule of the task path is found out: the checker is no rubber stamp."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.mutants import MUTANTS
from tests.system.site import HERE, Killer, load_of, open_site

ROUNDS, KILLS = 4, 4
# What each is bound to show, whatever else it does.
SHOWS = {
    "intent_dropped": "unclaimed",
    "intent_late": "unclaimed",
    "sent_twice": "twice",
    "redone": "twice",
    "settled_early": "false_succeed",
}


@pytest.mark.slow
@pytest.mark.parametrize("mutant", sorted(MUTANTS))
async def test_a_mutant_of_the_agent_does_not_pass(
    mutant: str, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    async with open_site(
        tmp_path, makes="antminer:16", base=base, settings={"log": {"level": "info"}}
    ) as site:
        await site.stage.agent.end()
        site.use_agent(HERE / "mutants.py", mutant)
        await site.stage.agent.start()
        load = load_of(site, seed=7, open_tasks=40)
        killer = Killer(site, seed=7)
        working = asyncio.create_task(load.run())
        try:
            for _ in range(ROUNDS):
                await killer.agent(KILLS)
                # Only what went wrong already counts: a task still under way is no finding.
                figures = site.glance(killer.kills)
                if getattr(figures, SHOWS[mutant]):
                    break
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        figures = site.glance(killer.kills)
        tell(figures.table(f"mutant {mutant}, {len(killer.kills)} kills"))
        assert getattr(figures, SHOWS[mutant]) > 0


def test_every_mutant_has_something_to_show() -> None:
    assert set(SHOWS) == set(MUTANTS)
