"""An agent that breaks a rule of the task path is found out: the checker is no rubber stamp."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.task import TaskName
from tests.system.checker import check
from tests.system.crashpoints.cloud_mutants import MUTANTS as CLOUD_MUTANTS
from tests.system.crashpoints.mutants import MUTANTS
from tests.system.site import HERE, Killer, Site, load_of, open_site
from tests.system.witness import Row, read_ledger, shown

ROUNDS, KILLS = 4, 4
# What each is bound to show, whatever else it does.
SHOWS = {
    "intent_dropped": "unclaimed",
    "intent_late": "unclaimed",
    "sent_twice": "twice",
    "redone": "twice",
    "settled_early": "false_succeed",
}


# Those that only a journal put back from a copy finds out.
PUT_BACK = ("begins_unanswered", "begun_taken_for_ok")
OF_THE_CLOUD = ("handed_out_held", "let_go_unproven")
SOUND = "sound"
NO_SOCKET = shutil.ignore_patterns("*.sock")


@pytest.mark.slow
@pytest.mark.parametrize("mutant", sorted(SHOWS))
async def test_a_mutant_of_the_agent_does_not_pass(
    mutant: str, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    async with open_site(
        tmp_path, makes="antminer:16", base=base, settings={"log": {"level": "info"}}
    ) as site:
        await site.stage.agent.end()
        site.use_agent(HERE / "crashpoints" / "mutants.py", mutant)
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


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [SOUND, *PUT_BACK])
async def test_a_folder_put_back_finds_out_who_begins_without_leave(
    mutant: str, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    settings = {"log": {"level": "info"}, "limits": {"power_ons_per_10_s": 10}}
    async with open_site(tmp_path, makes="antminer:8", base=base, settings=settings) as site:
        agent, folder, kept = site.stage.agent, site.journal.parent, tmp_path / "copy"
        await agent.end()
        if mutant != SOUND:
            site.use_agent(HERE / "crashpoints" / "mutants.py", mutant)
        await agent.start()
        batch = await site.order(TaskName.REBOOT, site.miners, {"force": True})
        await site.until(lambda: under_way(site), "the first reboot", every_s=0.01)
        kills = [await site.kill_agent()]  # most of them wait for their turn, accepted
        await asyncio.to_thread(shutil.copytree, folder, kept, ignore=NO_SOCKET)
        await agent.start()
        # The next ones were granted to this life, and the cloud has not heard of their ends.
        await site.until(lambda: len(under_way(site)) >= 2, "reboots under way", every_s=0.01)
        kills.append(await site.kill_agent())
        gone = site.rows()
        await asyncio.to_thread(shutil.rmtree, folder)
        await asyncio.to_thread(shutil.copytree, kept, folder)
        await site.until(lambda: all_up(site), "every miner back from its reboot")
        await agent.start()
        await site.ended(batch)
        await site.all_reported()
        told = []
        for each in await site.operator.batches():
            tasks = await site.operator.tasks(each["batch_id"])
            told += shown(each["batch_id"], each["task_name"], tasks)
        figures = check(read_ledger(site.stage.ledger), site.rows(), told, kills, gone=gone)
        tell(figures.table(f"{mutant}: a folder put back"))
        assert (figures.twice > 0) == (mutant != SOUND), figures.findings
        assert mutant != SOUND or figures.wrongs == 0, figures.findings


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [SOUND, *OF_THE_CLOUD])
async def test_a_cloud_that_does_not_let_a_group_wait_is_found_out(
    mutant: str, tmp_path: Path, base: str, tell: Callable[[str], None]
) -> None:
    async with open_site(tmp_path, makes="antminer:6", base=base) as site:
        cloud = site.stage.cloud
        if mutant != SOUND:
            await cloud.end()
            entry = [sys.executable, "-m", "tests.system.crashpoints.cloud_mutants", mutant]
            cloud.program = [*entry, *cloud.program[3:]]
            await cloud.start()
        order = {
            "task_name": TaskName.REBOOT, "canary": 1, "selection": {"make": {"eq": "antminer"}},
            "expect_count": len(site.miners),
        }  # fmt: skip
        made = await site.operator.ask("POST", "/tasks/batches", json=order)
        promised = {each["batch_id"]: each["task_count"] for each in made["data"]}
        first, later = promised
        refused = await site.ended(first)  # it hashes, and nobody forces it
        assert [each["status"] for each in refused] == ["failed"]
        if mutant == SOUND:
            group = made["meta"]["group_id"]
            await site.operator.ask("POST", f"/tasks/groups/{group}/release")
        await site.ended(later)
        told = []
        for each in await site.operator.batches():
            tasks = await site.operator.tasks(each["batch_id"])
            told += shown(each["batch_id"], each["task_name"], tasks)
        figures = await site.verdict(told, promised=promised)
        tell(figures.table(f"{mutant}: a group with one that goes first"))
        assert figures.held == len(site.miners) - 1
        assert (figures.early > 0) == (mutant != SOUND), figures.findings
        assert mutant != SOUND or figures.wrongs == 0, figures.findings


async def all_up(site: Site) -> bool:
    """Whether the API of each miner takes connections."""
    for miner in site.miners:
        try:
            _, writer = await asyncio.open_connection(miner.ip, site.stage.rpc_port)
        except OSError:
            return False
        writer.close()
    return True


def under_way(site: Site) -> list[Row]:
    """Reboots that this life has ordered and not seen the end of."""
    sent = {each.ip for each in read_ledger(site.stage.ledger) if each.action == "reboot"}
    rows = [row for row in site.rows() if row.name == TaskName.REBOOT and row.ip in sent]
    return [row for row in rows if row.state == "intent"]


def test_every_mutant_has_something_to_show() -> None:
    assert {*SHOWS, *PUT_BACK} == set(MUTANTS)
    assert set(OF_THE_CLOUD) == set(CLOUD_MUTANTS)
