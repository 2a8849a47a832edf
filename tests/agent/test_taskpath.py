"""The task path as a whole: it starts, stops and breaks as one thing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.journal import JournalLockedError
from contract.errors import PolicyRefusedError
from contract.task import TaskName
from tests.agent.farm import Site, site, until


async def test_a_loop_that_breaks_takes_every_slot_with_it(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    at.task()
    await until(lambda: "verify" in miner.trace)

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    at.cloud.claim = broken  # type: ignore[assignment,method-assign]
    at.cloud.poke()
    assert at._run is not None
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(asyncio.shield(at._run), 10)
    assert caught.group_contains(ZeroDivisionError)
    assert not [each for each in asyncio.all_tasks() if each.get_name().startswith("slot ")]
    async with site(tmp_path, cloud=None, farm=at.farm):
        pass  # the journal is free for the next one


async def test_a_second_agent_on_the_same_folder_is_turned_away(tmp_path: Path) -> None:
    async with site(tmp_path):
        other = Site(tmp_path)
        with pytest.raises(JournalLockedError):
            await other.path.run()


async def test_no_task_of_the_site_is_taken_while_stopping(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.path.stop()
        with pytest.raises(PolicyRefusedError):
            await at.path.submit_local(
                TaskName.LIGHT, {"action": "on"}, at.farm.miners[0].ref, "act"
            )


async def test_stopping_reports_what_has_ended(tmp_path: Path) -> None:
    at = Site(tmp_path)
    at.start()
    await asyncio.wait_for(at.path.ready(), 10)
    task = at.task()
    await until(lambda: at.farm.miners[0].ledger == ["Light"] and not at.path.dispatcher.tasks)
    await at.stop()
    assert at.cloud.end(task) is not None


async def test_the_supervision_of_slots_can_be_seen_alive(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        beat = at.path.dispatcher.heartbeat_mono
        await until(lambda: at.path.dispatcher.heartbeat_mono > beat)
        assert at.path.slots_alive
        writer = at.journal.heartbeat_mono
        await until(lambda: at.journal.heartbeat_mono > writer)
