"""The task path as a whole: it starts, stops and breaks as one thing."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.journal import Journal
from agent.journal.writer import Job
from agent.ports import CloudError
from contract.errors import PolicyRefusedError, StorageFullError
from contract.link import ClaimReply, ClaimRequest
from contract.task import TaskName
from service.files import FolderLockedError
from tests.agent.fake_cloud import FakeCloud
from tests.agent.stage import Site, site
from tests.virtual_time import loop_clock
from tests.waiting import until


class Breaking(FakeCloud):
    """Its next claim meets a bug of ours."""

    broken = False

    async def claim(self, request: ClaimRequest) -> ClaimReply:
        if self.broken:
            raise ZeroDivisionError("a bug of ours")
        return await super().claim(request)


async def test_a_loop_that_breaks_takes_every_slot_with_it(tmp_path: Path) -> None:
    cloud = Breaking()
    at = Site(tmp_path, cloud=cloud)
    at.start()
    miner = at.farm.miners[0]
    miner.gate["verify"] = asyncio.Event()
    at.task()
    await until(lambda: "verify" in miner.trace)
    cloud.broken = True
    cloud.poke()
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
        with pytest.raises(FolderLockedError):
            await other.path.run()


async def test_no_task_of_the_site_is_taken_while_stopping(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        at.path.stop()
        with pytest.raises(PolicyRefusedError):
            await at.path.submit_local(
                TaskName.LIGHT, {"action": "on"}, at.farm.miners[0].ref, "act"
            )


class Flinching(Journal):
    """A disk that gives an error at the end of a commit, which is in its log all the same and is found there later."""

    flinch = ""  # the id of a task; its first commit is such a one

    def _commit(self, batch: Sequence[Job]) -> None:
        super()._commit(batch)
        assert self._db is not None
        found = self._db.execute("SELECT 1 FROM tasks WHERE task_id = ?", (self.flinch,))
        if self.flinch and found.fetchone():
            self.flinch = ""
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error


async def test_a_task_the_disk_kept_while_it_refused_it_is_carried_out_once(tmp_path: Path) -> None:
    journal = Flinching(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    async with site(tmp_path, journal=journal) as at:
        journal.flinch = "flinched"
        at.task(task_id="flinched", name=TaskName.REBOOT, params={})
        assert (await at.cloud.ended("flinched")).state == "succeed"
        assert at.farm.miners[0].ledger == ["Reboot"]
        await until(lambda: not at.cloud.claims[-1].open)


async def test_a_task_of_the_site_the_disk_refused_is_not_carried_out_behind_its_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Flinching(tmp_path / "journal.db", loop_clock(), ballast_bytes=4096)
    ours = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: ours)
    async with site(tmp_path, journal=journal) as at:
        journal.flinch = str(ours)
        with pytest.raises(StorageFullError):
            await at.path.submit_local(
                TaskName.REBOOT, {"force": True}, at.farm.miners[0].ref, "act"
            )
        await until(lambda: _ended(at, str(ours)))
        found = await at.journal.find(str(ours))
        assert found is not None and found.status == "failed"
        assert at.farm.miners[0].trace == []


async def _ended(at: Site, task_id: str) -> bool:
    try:
        found = await at.journal.find(task_id)
    except StorageFullError:  # a disk that gave an error is tried again after a while
        return False
    return found is not None and found.status is not None


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


async def test_a_cloud_that_does_not_know_tasks_of_the_site_holds_up_nothing(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as at:
        at.cloud.ack_state = lambda event: "unknown_task" if event.arose else "ok"
        ref = at.farm.miners[0].ref
        assert (await at.path.submit_local(TaskName.LIGHT, {"action": "on"}, ref, "onsite"))[
            "status"
        ] == "succeed"
        await at.cloud.ended(at.task(1))
        async with asyncio.timeout(10):
            while await at.journal.depth():
                pass  # each look is a turn of the journal's thread


async def test_a_cloud_that_refuses_tasks_of_the_site_holds_up_nothing(tmp_path: Path) -> None:
    async with site(tmp_path) as at:
        refusal = CloudError("arose: no such key", retry=False, status=400)
        at.cloud.report_error = lambda request: (
            refusal if any(event.arose for event in request.events) else None
        )
        ref = at.farm.miners[0].ref
        for action in ("on", "off"):
            await at.path.submit_local(TaskName.LIGHT, {"action": action}, ref, "onsite")
        for number in (1, 2):
            assert (await at.cloud.ended(at.task(number))).state == "succeed"
        assert not any(event.arose for event in at.cloud.events)
