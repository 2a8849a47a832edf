"""What mines in a program's folder is that program's, whatever the service knows of it: there is never a second one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from agent.rig.client import RigService
from agent.rig.processes import MARK, end_all_in
from agent.rig.shapes import ProgramState
from tests.agent.rig.stage import RigStage, is_alive, is_ours
from tests.waiting import until

pytestmark = pytest.mark.real_time


def mining(stage: RigStage) -> set[int]:
    """Every process of the stage that lives, children of programs among them."""
    pids = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())
    return {pid for pid in pids if is_ours(pid, stage.folder) and is_alive(pid)}


async def test_a_state_that_comes_back_from_a_copy_starts_no_second_miner(stage: RigStage) -> None:
    async with stage.running():
        await stage.mines("old")
    copy = stage.folder / "copy.json"
    shutil.copy(stage.folder / "state/programs.json", copy)
    async with stage.running():
        newer = await stage.mines("new")
    shutil.copy(copy, stage.folder / "state/programs.json")
    async with stage.running():
        await until(lambda: not is_alive(newer), within_s=20)
        await until(lambda: _runs_as_another(stage, newer))
        pid = (await stage.only()).pid
        await until(
            lambda: mining(stage) == {pid}
        )  # what is just executed shows no environment yet


async def test_a_state_from_before_it_was_told_to_stop_by_hand_leaves_nothing_behind(
    stage: RigStage,
) -> None:
    async with stage.running():
        await stage.mines("old")
        async with RigService(stage.socket) as service:
            await service.stop("XMRig")
    copy = stage.folder / "copy.json"
    shutil.copy(stage.folder / "state/programs.json", copy)
    async with stage.running():
        async with RigService(stage.socket) as service:
            await service.start("XMRig")
        pid = (await stage.only()).pid or 0
    shutil.copy(copy, stage.folder / "state/programs.json")
    async with stage.running():
        await until(lambda: not is_alive(pid), within_s=20)
        assert (await stage.only()).is_stopped_by_hand
        assert mining(stage) == set()


async def test_what_a_program_left_behind_while_nobody_watched_mines_no_more(
    stage: RigStage,
) -> None:
    async with stage.running():
        pid = await stage.mines("brood")
        child = int(stage.log.read_text().rpartition("child ")[2].split()[0])
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid), within_s=20)
    assert is_alive(child)
    async with stage.running():
        await until(lambda: not is_alive(child), within_s=20)
        await until(lambda: len(mining(stage)) == 2)  # a new one, and what that began
        assert (await stage.only()).pid in mining(stage)


async def test_one_that_begets_another_all_the_time_is_ended_all_the_same(stage: RigStage) -> None:
    async with stage.running():
        await stage.mines("hydra")
        await stage.apply()
        assert mining(stage) == set()


def test_one_that_is_just_executing_is_seen(tmp_path: Path) -> None:
    """Between two programs a process shows no environment; these are between two for a good part of their lives."""
    again = tmp_path / "again.sh"
    again.write_text('exec /bin/sh "$0"\n')
    own = {"HOME": str(tmp_path), MARK: "1"}
    running = [subprocess.Popen(["/bin/sh", again], env=own) for _ in range(20)]
    try:
        end_all_in(tmp_path)
        assert [each.pid for each in running if is_alive(each.pid)] == []
    finally:
        for each in running:
            each.kill()
            each.wait()


async def test_a_person_can_stop_what_mines_though_the_state_was_lost(stage: RigStage) -> None:
    async with stage.running():
        pid = await stage.mines()
    (stage.folder / "state/programs.json").unlink()
    async with stage.running():
        async with RigService(stage.socket) as service:
            await service.stop("XMRig")
        assert not is_alive(pid)


async def _runs_as_another(stage: RigStage, pid: int) -> bool:
    status = await stage.only()
    return status.state is ProgramState.RUNNING and status.pid != pid
